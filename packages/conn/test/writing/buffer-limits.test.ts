import { FakePlatform, inWords, naiveDecode, naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { internalsOf } from '../../src/conn-like.ts';
import {
  BackpressureError,
  broadcast,
  Conn,
  type ConnOptions,
  type Transport,
  type TransportSink,
} from '../../src/index.ts';
import { WRITE_COST, WriteBudget } from '../../src/writing/buffer-limits.ts';

const KIB = 1_024;
const MIB = 1_024 * KIB;

/** A socket whose peer reads only when the test says so. It keeps no bytes. */
class SlowSocket implements Transport {
  bufferedAmount = 0;
  /** The last bytes that were written. */
  sent: Uint8Array = new Uint8Array();
  /** Whether the peer reads all bytes at once. */
  isFast = false;
  #sink!: TransportSink;
  #owesDrain = false;
  #releases: (() => void)[] = [];

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    this.sent = chunk.slice(0, 8);
    if (this.isFast) {
      release?.();
      return true;
    }
    this.bufferedAmount += chunk.length;
    if (release !== undefined) this.#releases.push(release);
    this.#owesDrain ||= this.bufferedAmount > 64 * KIB;
    return !this.#owesDrain;
  }

  feed(bytes: Uint8Array): void {
    this.#sink.data(bytes);
  }

  /** The peer reads `bytes`. */
  take(bytes: number): void {
    this.bufferedAmount = Math.max(0, this.bufferedAmount - bytes);
    if (this.bufferedAmount === 0) for (const release of this.#releases.splice(0)) release();
    if (!this.#owesDrain || this.bufferedAmount > 64 * KIB) return;
    this.#owesDrain = false;
    this.#sink.drain();
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    queueMicrotask(() => this.#sink.close());
  }
}

interface Slow {
  readonly conn: Conn;
  readonly socket: SlowSocket;
}

/** The connections of one server, with a bound of `total` bytes. */
function serverOf(total: number, options: Partial<ConnOptions> = {}) {
  const platform = Object.assign(new FakePlatform(), { writeBudget: new WriteBudget(total) });
  const settings = { heartbeat: false as const, report() {}, ...options };
  const connect = (): Slow => {
    const socket = new SlowSocket();
    return { socket, conn: new Conn(socket, { ...settings, role: 'server', platform }) };
  };
  return { platform, connect, connectAll: (n: number) => Array.from({ length: n }, connect) };
}

/** Sends messages without `await`. Returns how many were refused. */
async function feed({ conn }: Slow, size: number, messages: number): Promise<number> {
  const message = new Uint8Array(size);
  const sent = Array.from({ length: messages }, () => conn.send(message));
  for (const each of sent) each.catch(() => {});
  await new Promise(setImmediate);
  return conn.stats.messagesRefused;
}

const held = (all: Iterable<Slow>): number => {
  let sum = 0;
  for (const { conn } of all) sum += conn.bufferedAmount;
  return sum;
};

describe('the total of all connections', () => {
  // While a socket is below its own mark, a connection has that many bytes more.
  it.each([
    [20, 15 * MIB, 64 * MIB, 64 * KIB],
    [300, MIB, 64 * MIB, 64 * KIB],
    [2_000, 64 * KIB, 16 * MIB, 64 * KIB],
    [300, 20 * KIB, MIB, 128 * KIB],
  ])('holds for %i connections with messages of %i bytes', async (n, size, total, each) => {
    const { connectAll, platform } = serverOf(total);
    const all = connectAll(n);
    const message = new Uint8Array(size);
    const most = 2 * total + n * each;
    for (let round = 0; round < 4; round++) {
      for (const { conn } of all) for (let i = 0; i < 4; i++) conn.send(message).catch(() => {});
      expect(held(all)).toBeLessThanOrEqual(most);
      await platform.settle();
      expect(held(all)).toBeLessThanOrEqual(most);
    }
  });

  it('leaves each connection its maxBufferedAmount below it', async () => {
    const { connect } = serverOf(64 * MIB);
    expect(await feed(connect(), 16 * KIB, 1_000)).toBe(0);
    expect(await feed(connect(), 16 * KIB, 1_000)).toBe(0);
  });

  it('leaves a victim its share beside connections that do not read', async () => {
    const { connect, connectAll } = serverOf(64 * MIB);
    const attackers = connectAll(5);
    for (const attacker of attackers) await feed(attacker, 20 * KIB, 900);
    expect(held(attackers)).toBeGreaterThan(64 * MIB);
    expect(await feed(connect(), 20 * KIB, 500)).toBe(0);
  });

  it('leaves a victim its share in a broadcast', async () => {
    const { connect, connectAll } = serverOf(64 * MIB);
    const attackers = connectAll(5);
    for (const attacker of attackers) await feed(attacker, 20 * KIB, 900);
    const victim = connect();
    const all = [...attackers, victim].map(({ conn }) => conn);
    const message = new Uint8Array(20 * KIB);
    for (let i = 0; i < 500; i++) broadcast(all, message);
    expect(victim.conn.stats).toMatchObject({ messagesRefused: 0, messagesOut: 500 });
  });

  it('leaves highWaterMark to each connection, however many wait', async () => {
    const { connectAll } = serverOf(MIB);
    for (const slow of connectAll(200)) expect(await feed(slow, 8 * KIB, 7)).toBe(0);
  });

  it('refuses no message of a caller that awaits its writes', async () => {
    const { connect, connectAll, platform } = serverOf(MIB);
    for (const attacker of connectAll(40)) await feed(attacker, 60 * KIB, 10);
    const { conn, socket } = connect();
    let sent = 0;
    const done = (async () => {
      for (; sent < 50; sent++) await conn.send(new Uint8Array(40 * KIB));
    })();
    while (sent < 50) {
      await platform.settle();
      socket.take(80 * KIB);
    }
    await done;
    expect(conn.stats.messagesRefused).toBe(0);
  });

  it('refuses the first message of an idle connection above its share', async () => {
    const { connect, connectAll } = serverOf(64 * MIB);
    const snapshot = new Uint8Array(15 * MIB);
    for (const { conn } of connectAll(4)) conn.send(snapshot).catch(() => {});
    await expect(connect().conn.send(snapshot)).rejects.toThrow(
      `and ${15 * MIB} more would exceed maxTotalBufferedAmount (${64 * MIB})`,
    );
    expect(await feed(connect(), 12 * MIB, 1)).toBe(0);
  });

  it('does not count messages that have left at once', async () => {
    const { connectAll } = serverOf(MIB);
    const all = connectAll(200);
    for (const { socket } of all) socket.isFast = true;
    const message = new Uint8Array(100 * KIB);
    for (const { conn } of all) conn.send(message).catch(() => {});
    expect(all.every(({ conn }) => conn.stats.messagesRefused === 0)).toBe(true);
    expect(
      broadcast(
        all.map(({ conn }) => conn),
        message,
      ),
    ).toBe(200);
  });

  it('counts the cost of writes that wait with a signal', async () => {
    const { connectAll } = serverOf(MIB);
    const { signal } = new AbortController();
    const all = connectAll(5);
    for (const slow of all) await feed(slow, 60 * KIB, 2);
    for (const { conn } of all) {
      for (let i = 0; i < 2_000; i++) conn.send('x', { signal }).catch(() => {});
    }
    let waiting = 0;
    for (const { conn } of all) waiting += 2_002 - conn.stats.messagesRefused;
    expect(waiting * WRITE_COST).toBeLessThan(2 * MIB + 5 * 64 * KIB);
  });

  it('counts the bytes of a text', async () => {
    const { connect } = serverOf(MIB);
    await feed(connect(), 900 * KIB, 1);
    await expect(connect().conn.send('ä'.repeat(300 * KIB))).rejects.toThrow(
      `and ${600 * KIB} more would exceed maxTotalBufferedAmount (${MIB})`,
    );
    const { conn } = connect();
    conn.send('a'.repeat(400 * KIB)).catch(() => {});
    expect(conn.stats.messagesOut).toBe(1);
  });

  it('closes with 1013 when a handler does not catch the error', async () => {
    const { connect, platform } = serverOf(MIB);
    await feed(connect(), MIB, 1);
    const { conn, socket } = connect();
    const received = conn.receive(() => conn.send(new Uint8Array(MIB)));
    socket.feed(naiveEncode(2, Buffer.from('ask'), { mask: 1 }));
    await expect(received).rejects.toThrow(BackpressureError);
    await platform.settle();
    expect(inWords(naiveDecode(socket.sent, 'client').frames[0]!)).toBe('close 1013');
  });
});

describe('a connection above its share', () => {
  it('ends after 5 s in which it has taken nothing, the largest first', async () => {
    const { connectAll, platform } = serverOf(8 * MIB);
    const all = connectAll(5);
    const messages = [400, 150, 20, 20, 20];
    for (const [i, slow] of all.entries()) await feed(slow, 16 * KIB, messages[i]!);
    const before = held(all);
    expect(before).toBeGreaterThan(8 * MIB);
    await platform.advance(4_900);
    expect(held(all)).toBe(before);
    await platform.advance(200);
    expect(all.map(({ conn }) => conn.state)).toEqual(['closing', 'open', 'open', 'open', 'open']);
    await platform.advance(60_000);
    const info = await all[0]!.conn.closed;
    expect(info).toMatchObject({ code: 1013, error: expect.any(BackpressureError) });
    expect(all.slice(1).map(({ conn }) => conn.state)).toEqual(['open', 'open', 'open', 'open']);
  });

  it('stays while it takes a tenth of its share in 5 s', async () => {
    const { connectAll, platform } = serverOf(8 * MIB);
    const [reader, deaf, ...others] = connectAll(5);
    await feed(reader!, 16 * KIB, 400);
    await feed(deaf!, 16 * KIB, 300);
    for (const slow of others) await feed(slow, 16 * KIB, 80);
    for (let i = 0; i < 5; i++) {
      await platform.advance(1_000);
      reader!.socket.take(40 * KIB);
    }
    await platform.advance(1_000);
    expect([reader!.conn.state, deaf!.conn.state]).toEqual(['open', 'closing']);
  });

  it('stays while its reader takes a tenth of what it keeps in 5 s', async () => {
    const { connectAll, platform } = serverOf(8 * MIB);
    const [slow, stuck, other] = connectAll(3);
    const count = ({ conn }: Slow, bytes: number) => internalsOf(conn).countKept(bytes, true);
    expect(count(slow!, 6 * MIB)).toBe(true);
    expect(count(stuck!, 5 * MIB)).toBe(false);
    expect(await feed(other!, 16 * KIB, 3)).toBe(0);
    for (let i = 0; i < 5; i++) {
      await platform.advance(1_000);
      count(slow!, -100 * KIB);
      count(slow!, 100 * KIB);
    }
    await platform.advance(1_000);
    const states = [slow, stuck, other].map((one) => one!.conn.state);
    expect(states).toEqual(['open', 'closing', 'open']);
  });

  it.each([true, false])(
    'leaves with its connection what its reader keeps, unless it lasts: %s',
    async (isLasting) => {
      const { connectAll, platform } = serverOf(8 * MIB);
      const [ended, other] = connectAll(2);
      const count = ({ conn }: Slow, bytes: number) =>
        internalsOf(conn).countKept(bytes, isLasting);
      expect(count(ended!, 6 * MIB)).toBe(true);
      ended!.conn.terminate();
      await ended!.conn.closed;
      expect(count(other!, 5 * MIB)).toBe(!isLasting);
      expect(count(other!, -5 * MIB)).toBe(true);
      await platform.advance(60_000);
      count(ended!, -6 * MIB);
      expect([count(other!, 7 * MIB), other!.conn.state]).toEqual([true, 'open']);
    },
  );

  it('makes room for a message that was refused', async () => {
    const { connect, connectAll, platform } = serverOf(64 * MIB);
    const snapshot = new Uint8Array(15 * MIB);
    const attackers = connectAll(4);
    for (const { conn } of attackers) conn.send(snapshot).catch(() => {});
    const victim = connect();
    await expect(victim.conn.send(snapshot)).rejects.toThrow(BackpressureError);
    await platform.advance(20_000);
    expect(attackers.filter(({ conn }) => conn.state === 'closed').length).toBe(1);
    expect(await feed(connect(), 15 * MIB, 1)).toBe(0);
  });

  it('stays while the total holds', async () => {
    const { connectAll, platform } = serverOf(8 * MIB);
    const all = connectAll(3);
    await feed(all[0]!, 16 * KIB, 400);
    await platform.advance(60_000);
    expect(all[0]!.conn.state).toBe('open');
  });
});
