// Connections that share the work of inflating in one turn. The fake engine copies its input, so a plain byte costs 17:
// one for the output, 16 for the input.

import { Conn, type ConnSettings } from '@ws/conn';
import {
  FakePlatform,
  identityPlatform,
  inflatingPlatform,
  NO_TAKEOVER,
  naiveEncode,
  RepeatingInflater,
  TestTransport,
  turn,
} from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import type { Inflater } from '../src/engines.ts';

/** The budget of a turn. */
const BUDGET = 1_310_720;

describe.each(['plain', 'compressed'] as const)('a %s message of a lost connection', (form) => {
  it.each([true, false].flatMap((waits) => ['breaks', 'ends'].map((how) => ({ how, waits }))))(
    'is delivered, and the close frame after it counts, when the transport $how (waits: $waits)',
    async ({ how, waits }) => {
      const platform = identityPlatform();
      const connected = () => {
        const transport = new TestTransport();
        const conn = new Conn(transport, {
          role: 'client',
          platform,
          heartbeat: false,
          compression: true,
          deflate: {
            serverNoContextTakeover: true,
            clientNoContextTakeover: true,
            serverMaxWindowBits: 15,
            clientMaxWindowBits: 15,
          },
        });
        return { transport, conn };
      };
      const busy = connected();
      const lost = connected();
      void busy.conn.receive(() => {});
      await platform.settle();
      if (waits) busy.transport.feed(naiveEncode(2, new Uint8Array(BUDGET), { rsv: 0x40 }));
      const message = naiveEncode(1, Buffer.from('last'), { rsv: form === 'plain' ? 0 : 0x40 });
      lost.transport.feed(Buffer.concat([message, naiveEncode(8, Uint8Array.of(3, 232), {})]));
      if (how === 'ends') lost.transport.feedEnd();
      lost.transport.break();
      expect(await lost.conn.closed).toMatchObject({ code: 1000 });
      expect((await lost.conn.readMessage()).text()).toBe('last');
      await expect(lost.conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    },
  );
});

/** Records the first output byte of each step: the messages of these tests repeat one byte. */
class Recorded implements Inflater {
  readonly #engine: Inflater;
  readonly #steps: number[];

  constructor(engine: Inflater, steps: number[]) {
    this.#engine = engine;
    this.#steps = steps;
  }

  get used(): number {
    return this.#engine.used;
  }

  get produced(): number {
    return this.#engine.produced;
  }

  readonly extraCost = 0;

  reset(): void {}

  write(...args: Parameters<Inflater['write']>): ReturnType<Inflater['write']> {
    const status = this.#engine.write(...args);
    if (this.produced > 0) this.#steps.push(args[4][args[5]]!);
    return status;
  }

  close(): void {}
}

/** Servers on one platform whose turns the test runs. */
function servers() {
  const platform = new FakePlatform({ automatic: false });
  const steps: number[] = [];
  const { deflate } = inflatingPlatform(() => new Recorded(new RepeatingInflater(1), steps));
  Object.assign(platform, { deflate });
  const server = (settings: ConnSettings = {}) => {
    const transport = new TestTransport();
    const conn = new Conn(transport, {
      heartbeat: false,
      ...settings,
      role: 'server',
      platform,
      deflate: NO_TAKEOVER,
    });
    /** Feeds a compressed message that repeats `byte`, or a fragment of one. */
    const feed = (byte: number, size: number, part: 'whole' | 'first' | 'last' = 'whole'): void => {
      const rsv = part === 'last' ? 0 : 0x40;
      const opcode = part === 'last' ? 0 : 2;
      const options = { rsv, fin: part !== 'first', mask: 0x01020304 };
      transport.feed(naiveEncode(opcode, Buffer.alloc(size, byte), options));
    };
    return { conn, transport, feed };
  };
  /** Runs deferred callbacks and microtasks of this turn. */
  const settle = async (): Promise<void> => {
    do {
      platform.runDeferred();
      await turn();
    } while (platform.deferred > 0);
  };
  return {
    platform,
    server,
    settle,
    /** The messages in the order of their steps, without repetitions. */
    get order(): number[] {
      return steps.filter((byte, i) => byte !== steps[i - 1]);
    },
    /** Runs turns until nothing is scheduled. Returns their number. */
    async turns(most = 100): Promise<number> {
      for (let ran = 0; ran < most; ran++) {
        await settle();
        if (platform.yielded === 0) return ran;
        platform.runYielded();
      }
      return most;
    },
  };
}

/** Plain bytes of a message that takes more than two turns. */
const LONG = 200_000;

describe('compressed messages on several connections', () => {
  it('are inflated one after the other, each to its end, over several turns', async () => {
    const all = servers();
    const sizes: number[] = [];
    const conns = [1, 2, 3].map(() => all.server());
    for (const { conn } of conns) void conn.receive(({ length }) => void sizes.push(length));
    await all.settle();
    for (const [i, { feed }] of conns.entries()) feed(i + 1, LONG);
    expect(sizes).toEqual([]);
    expect(await all.turns()).toBeGreaterThanOrEqual(7);
    expect(sizes).toEqual([LONG, LONG, LONG]);
    expect(all.order).toEqual([1, 2, 3]);
  });

  it('alternate when each connection has several', async () => {
    const all = servers();
    const [a, b] = [all.server(), all.server()];
    for (const { conn } of [a, b]) void conn.receive(() => {});
    await all.settle();
    for (let i = 0; i < 3; i++) a.feed(1 + i, LONG);
    for (let i = 0; i < 2; i++) b.feed(11 + i, LONG);
    await all.turns();
    expect(all.order).toEqual([1, 11, 2, 12, 3]);
  });

  it('are delivered although another connection always has more', async () => {
    const all = servers();
    const flood = all.server();
    const other = all.server();
    void flood.conn.receive(() => flood.feed(1, 60_000));
    let received = 0;
    void other.conn.receive(() => void received++);
    await all.settle();
    for (let i = 0; i < 5; i++) flood.feed(1, 60_000);
    other.feed(2, 1000);
    await all.turns(3);
    expect(received).toBe(1);
    flood.conn.terminate();
    await all.turns();
  });

  it.each(['terminate', 'break', 'close'] as const)('are not held up by %s of one', async (how) => {
    const all = servers();
    const conns = [1, 2, 3].map(() => all.server());
    const received: number[] = [];
    for (const [i, { conn }] of conns.entries()) {
      conn.receive(() => void received.push(i + 1)).catch(() => {});
    }
    await all.settle();
    for (const [i, { feed }] of conns.entries()) feed(i + 1, LONG);
    const { conn, transport } = conns[1]!;
    if (how === 'break') transport.break();
    else if (how === 'terminate') conn.terminate();
    else void conn.close();
    await all.turns();
    // After its close and after the end of its transport, a connection delivers what has arrived.
    expect(received).toEqual(how === 'terminate' ? [1, 3] : [1, 2, 3]);
    expect(all.order).toEqual(received);
    expect(all.platform.yielded).toBe(0);
  });

  it('do not wait for the rest of a message that has begun', async () => {
    const all = servers();
    const [a, b] = [all.server(), all.server()];
    const received: string[] = [];
    void a.conn.receive(() => void received.push('a'));
    void b.conn.receive(() => void received.push('b'));
    await all.settle();
    a.feed(1, LONG, 'first');
    b.feed(2, LONG);
    await all.turns();
    expect(received).toEqual(['b']);
    a.feed(1, 10, 'last');
    await all.turns();
    expect(received).toEqual(['b', 'a']);
  });

  it.each(['that is not read', 'that is read as a stream, without a read of its pieces'])(
    'do not wait for one %s',
    async (how) => {
      const all = servers();
      const [a, b] = [all.server(), all.server()];
      const reader = how === 'that is not read' ? undefined : a.conn.nextReader();
      let received = 0;
      void b.conn.receive(() => void received++);
      await all.settle();
      a.feed(1, LONG);
      b.feed(2, LONG);
      await all.turns();
      expect(received).toBe(1);
      const stream = reader ?? a.conn.nextReader();
      await all.settle();
      const bytes = (await stream).bytes();
      await all.turns();
      expect((await bytes).length).toBe(LONG);
    },
  );

  it('are delivered to awaited reads of every connection', async () => {
    const all = servers();
    const conns = [1, 2, 3].map(() => all.server());
    const sizes: number[] = [];
    const reads = conns.map(async ({ conn }) => {
      for (let i = 0; i < 3; i++) sizes.push((await conn.readMessage()).data.length);
    });
    await all.settle();
    for (let i = 0; i < 3; i++) for (const { feed } of conns) feed(i, 50_000 + i);
    await all.turns();
    await Promise.all(reads);
    expect(sizes.toSorted((a, b) => a - b)).toEqual(
      [0, 0, 0, 1, 1, 1, 2, 2, 2].map((i) => 50_000 + i),
    );
  });

  it('fail with the error of a platform that gives no turn, and the others continue', async () => {
    const all = servers();
    const [failing, other] = [all.server({ report: () => {} }), all.server()];
    const failure = failing.conn.receive(() => {}).catch((error: unknown) => error);
    const sizes: number[] = [];
    void other.conn.receive(({ length }) => void sizes.push(length));
    await all.settle();
    const refused = vi.spyOn(all.platform, 'yield').mockImplementation(() => {
      throw new Error('no turn');
    });
    failing.feed(1, LONG);
    refused.mockRestore();
    other.feed(2, 1000);
    await all.turns();
    expect(await failure).toMatchObject({ cause: new Error('no turn') });
    expect(sizes).toEqual([1000]);
  });

  it('delay a ping behind them only until they are inflated', async () => {
    const all = servers();
    const [a, b] = [all.server(), all.server()];
    for (const { conn } of [a, b]) void conn.receive(() => {});
    await all.settle();
    a.feed(1, LONG);
    b.feed(2, 1000);
    b.transport.feed(naiveEncode(9, Buffer.from('hi'), { mask: 1 }));
    await all.settle();
    expect(b.transport.writes.length).toBe(0);
    await all.turns();
    expect(Buffer.from(b.transport.sent).toString('hex')).toBe('8a026869');
  });

  it('delay no ping behind them once their read deadline has passed', async () => {
    const all = servers();
    const [a, b] = [all.server(), all.server()];
    void a.conn.receive(() => {});
    const read = b.conn.readMessage();
    await all.settle();
    a.feed(1, LONG);
    b.feed(2, LONG);
    b.transport.feed(naiveEncode(9, Buffer.from('hi'), { mask: 1 }));
    await all.settle();
    b.conn.setReadDeadline(0);
    await expect(read).rejects.toThrow('read timeout');
    await all.settle();
    expect(Buffer.from(b.transport.sent).toString('hex')).toBe('8a026869');
    await all.turns();
    expect(all.order).toEqual([1]);
  });
});
