// A broadcast is serialized once and written once to each connection. Its bytes on the wire equal
// those of separate messages.

import type { Role } from '@ws/codec';
import { type Deflater, type Inflater, perMessageDeflate } from '@ws/deflate';
import {
  FakePlatform,
  inWords,
  NO_TAKEOVER,
  naiveDecode,
  naiveEncode,
  TestTransport,
} from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  broadcast,
  Conn,
  type ConnSettings,
  type MessageWriter,
  PreparedMessage,
  TextMessage,
} from '../../src/index.ts';

/** A transport that keeps the written views and copies of them, to detect later changes. */
class Witness extends TestTransport {
  /** Views without a release function. */
  readonly given: Uint8Array[] = [];
  readonly lent: Uint8Array[] = [];

  override write(chunk: Uint8Array, release?: () => void): boolean {
    (release === undefined ? this.given : this.lent).push(chunk);
    return super.write(chunk, release);
  }
}

/** Makes half as many bytes of a message, always the same. */
const halving = perMessageDeflate({
  memoryBudget: Infinity,
  generation: 0,
  inflater: (): Inflater => {
    throw new Error('nothing is inflated here');
  },
  deflater: (): Deflater => ({
    used: 0,
    produced: 0,
    reset() {},
    write(input, from, to, _flush, output, at) {
      const half = (to - from) >> 1;
      output.set(input.subarray(from, from + half), at);
      output.set([0, 0, 0xff, 0xff], at + half);
      this.used = to - from;
      this.produced = half + 4;
      return true;
    },
    close() {},
  }),
});

class End {
  readonly conn: Conn;
  readonly transport: Witness;
  readonly role: Role;
  writer: MessageWriter | undefined;
  /** Its write deadline is past: a broadcast leaves it out, where a write would be its end. */
  expired = false;

  constructor(
    platform: FakePlatform,
    kind: Role | 'compressing',
    settings: ConnSettings,
    mark: number,
  ) {
    this.role = kind === 'client' ? 'client' : 'server';
    this.transport = new Witness({ highWaterMark: mark });
    const compresses = { deflate: NO_TAKEOVER, compression: { threshold: 20 } };
    this.conn = new Conn(this.transport, {
      heartbeat: false,
      ...settings,
      ...(kind === 'compressing' ? compresses : {}),
      role: this.role,
      platform,
    });
  }

  get sent(): string[] {
    const peer = this.role === 'server' ? 'client' : 'server';
    return naiveDecode(this.transport.sent, peer).frames.map(inWords);
  }
}

function room(
  count: number,
  kind: Role | 'compressing' = 'server',
  platform: FakePlatform = lending(),
): { platform: FakePlatform; ends: End[]; conns: Set<Conn> } {
  const ends = Array.from({ length: count }, () => new End(platform, kind, {}, 0));
  return { platform, ends, conns: new Set(ends.map(({ conn }) => conn)) };
}

function lending(automatic = true): FakePlatform {
  return Object.assign(new FakePlatform({ automatic }), { deflate: halving });
}

function givenOnce(ends: readonly End[]): Uint8Array {
  const given = ends.map(({ transport }) => transport.given);
  expect(given.map(({ length }) => length)).toEqual(ends.map(() => 1));
  const first = given[0]![0]!;
  for (const [chunk] of given) expect(chunk).toBe(first);
  return first;
}

describe('a broadcast in one turn', () => {
  it('is one write to each connection, of the same memory, and one deferred call', async () => {
    const { platform, ends, conns } = room(50);
    await platform.settle();
    for (let i = 0; i < 16; i++) broadcast(conns, `message ${i}`);
    expect(platform.deferred).toBe(1);
    await platform.settle();
    givenOnce(ends);
    const expected = Array.from({ length: 16 }, (_, i) => `text message ${i}`);
    for (const { transport, sent } of ends) {
      expect(transport.writes).toHaveLength(1);
      expect(sent).toEqual(expected);
    }
  });

  it('is shared within each set of rooms, with other messages between', async () => {
    const platform = lending();
    const [one, other] = [room(5, 'server', platform), room(5, 'server', platform)];
    const guest = new End(platform, 'server', {}, 0);
    const [some, more] = [new Set(one.conns).add(guest.conn), new Set(other.conns).add(guest.conn)];
    for (let i = 0; i < 20; i++) {
      broadcast(some, `one ${i} ${'x'.repeat(i * 20)}`);
      broadcast(more, `other ${i}`);
    }
    await platform.settle();
    expect(givenOnce(one.ends)).not.toBe(givenOnce(other.ends));
    expect(givenOnce([guest])).toHaveLength(
      one.ends[0]!.transport.sent.length + other.ends[0]!.transport.sent.length,
    );
    expect(one.ends[4]!.sent).toHaveLength(20);
    expect(other.ends[0]!.sent.at(-1)).toBe('text other 19');
    expect(guest.sent.slice(0, 4).map((text) => text.split(' x')[0])).toEqual([
      'text one 0',
      'text other 0',
      'text one 1',
      'text other 1',
    ]);
  });

  it('is shared by connections with the same compression', async () => {
    const platform = lending();
    const [plain, packed] = [room(3, 'server', platform), room(3, 'compressing', platform)];
    const conns = plain.ends.flatMap(({ conn }, i) => [conn, packed.ends[i]!.conn]);
    for (const text of ['short', 'long '.repeat(20), 'also short', 'long again '.repeat(9)]) {
      broadcast(conns, text);
    }
    await platform.settle();
    expect(givenOnce(plain.ends).length).toBeGreaterThan(givenOnce(packed.ends).length);
  });

  it('is not shared by clients, since each masks it with its own key', async () => {
    const { platform, ends, conns } = room(2, 'client');
    broadcast(conns, 'x'.repeat(20));
    await platform.settle();
    const [one, other] = ends.map(({ transport }) => Buffer.from(transport.sent));
    expect(one!.equals(other!)).toBe(false);
    expect(ends.map(({ sent }) => sent)).toEqual([
      [`text ${'x'.repeat(20)}`],
      [`text ${'x'.repeat(20)}`],
    ]);
  });

  it('is shared when a prepared message is written to several connections', async () => {
    const { platform, ends } = room(4);
    const message = new PreparedMessage(TextMessage, 'prepared');
    for (const { conn } of ends) {
      void conn.writePreparedMessage(message);
      void conn.writePreparedMessage(message);
    }
    await platform.settle();
    givenOnce(ends);
    expect(ends[3]!.sent).toEqual(['text prepared', 'text prepared']);
  });

  it('grows from room to room, and leaves at 64 KiB', async () => {
    const { platform, ends, conns } = room(3);
    const expected = [];
    for (let i = 0; i < 30; i++) {
      const text = String.fromCharCode(97 + (i % 26)).repeat(5000);
      expected.push(text);
      broadcast(conns, text);
    }
    const early = ends.map(({ transport }) => transport.writes.map(({ length }) => length));
    expect(early).toEqual(ends.map(() => [14 * 5004, 14 * 5004]));
    await platform.settle();
    for (const { transport } of ends) {
      expect(transport.given).toEqual(ends[0]!.transport.given);
      expect(transport.given[0]).toBe(ends[0]!.transport.given[0]);
      expect(transport.writes).toHaveLength(3);
      const { frames } = naiveDecode(transport.sent, 'client');
      expect(frames.map(({ payload }) => Buffer.from(payload).toString())).toEqual(expected);
    }
  });

  it('is referenced when it is large', async () => {
    const { platform, ends, conns } = room(2);
    const message = new PreparedMessage(BinaryMessage, new Uint8Array(70_000));
    broadcast(conns, message);
    await platform.settle();
    for (const { transport } of ends) {
      expect(transport.given).toEqual([]);
      expect(transport.lent.map(({ length }) => length)).toEqual([10, 70_000]);
      expect(transport.lent[1]!.buffer).toBe(message.bytes.buffer);
    }
  });

  it('is one write together with a message to one connection', async () => {
    const { platform, ends, conns } = room(3);
    broadcast(conns, 'a');
    broadcast(conns, 'b'.repeat(300));
    void ends[1]!.conn.send('mine');
    broadcast(conns, 'c');
    void ends[2]!.conn.ping('p').catch(() => {});
    await platform.settle();
    const long = 'text <300>';
    expect(ends.map(({ sent }) => sent)).toEqual([
      ['text a', long, 'text c'],
      ['text a', long, 'text mine', 'text c'],
      ['text a', long, 'text c', 'ping p'],
    ]);
    expect(ends.map(({ transport }) => transport.writes.length)).toEqual([1, 1, 1]);
  });

  it('is counted before it leaves, and dropped with the connection', async () => {
    const { platform, ends, conns } = room(2);
    broadcast(conns, 'x'.repeat(98));
    const [{ conn, transport }] = ends as [End];
    expect(conn.bufferedAmount).toBe(100);
    expect(conn.stats).toMatchObject({ messagesOut: 1, framesOut: 1, bytesOut: 100 });
    conn.terminate();
    await platform.settle();
    expect(conn.bufferedAmount).toBe(0);
    expect(transport.writes).toEqual([]);
    expect(ends[1]!.sent).toHaveLength(1);
  });

  it('is copied for a slow transport, after the bytes that it still holds', async () => {
    const { platform, ends, conns } = room(2);
    const slow = new End(platform, 'server', {}, 1_000_000);
    conns.add(slow.conn);
    slow.transport.block();
    for (let i = 0; i < 5; i++) {
      broadcast(conns, `turn ${i}`);
      await platform.settle();
    }
    expect(slow.transport.writes).toHaveLength(5);
    // It holds one piece of shared memory; later pieces are separate copies.
    const own = slow.transport.given.filter(({ buffer, length }) => buffer.byteLength === length);
    expect(own).toHaveLength(4);
    expect(ends[0]!.transport.given).toHaveLength(5);
    slow.transport.drain();
    expect(slow.sent).toEqual(ends[0]!.sent);
  });

  it('is a view of the platform’s type', async () => {
    const view = (bytes: Uint8Array, start: number, end: number): Buffer => {
      return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    };
    const platform = Object.assign(lending(), { view });
    const { ends, conns } = room(2, 'server', platform);
    for (let i = 0; i < 3; i++) broadcast(conns, 'x'.repeat(9000));
    await platform.settle();
    expect(givenOnce(ends)).toBeInstanceOf(Buffer);
  });

  it('allows control frames while the transport is blocked', async () => {
    const { platform, ends, conns } = room(1);
    const [{ conn, transport }] = ends as [End];
    transport.block();
    broadcast(conns, 'goes');
    await platform.settle();
    broadcast(conns, 'waits');
    broadcast(conns, 'waits too');
    void conn.ping('p').catch(() => {});
    await platform.settle();
    transport.drain();
    await platform.settle();
    expect(ends[0]!.sent).toEqual(['text goes', 'ping p', 'text waits', 'text waits too']);
  });

  it('is paced like a message that is compressed for one connection', async () => {
    const platform = lending(false);
    const [{ conn }] = room(1, 'compressing', platform).ends as [End];
    const message = new PreparedMessage(TextMessage, 'x'.repeat(20_000));
    const writes = Array.from({ length: 7 }, () => conn.writePreparedMessage(message));
    expect(await within(writes[5]?.then(() => 'accepted'))).toBe('accepted');
    expect(await within(writes[6]?.then(() => 'accepted'))).toBeUndefined();
    platform.runYielded();
    expect(await within(writes[6]?.then(() => 'accepted'))).toBe('accepted');
  });

  it('is dropped at the end of the turn', async () => {
    const { platform, ends, conns } = room(2);
    const message = new PreparedMessage(TextMessage, 'again');
    broadcast(conns, message);
    await platform.settle();
    broadcast(conns, message);
    await platform.settle();
    const { given } = ends[0]!.transport;
    expect(given[1]).toEqual(given[0]);
    expect(given[1]).not.toBe(given[0]);
  });

  it('is dropped during a very long turn', () => {
    const { ends, conns } = room(2);
    const large = Array.from({ length: 10 }, () => {
      return new PreparedMessage(BinaryMessage, new Uint8Array(65_536));
    });
    for (const message of [...large, large[9]!, large[0]!]) broadcast(conns, message);
    const [given, others] = ends.map(({ transport }) => transport.given);
    expect(given).toHaveLength(12);
    expect(given!.map((chunk, i) => chunk === others![i])).toEqual(Array(12).fill(true));
    expect(given![10]).toBe(given![9]);
    expect(given![11]).not.toBe(given![0]);
  });

  it('never changes once it is handed over', async () => {
    const { platform, ends, conns } = room(2);
    for (let turn = 0; turn < 300; turn++) {
      for (let i = 0; i <= turn % 3; i++) broadcast(conns, `${turn} ${i}`.repeat(30));
      await platform.settle();
    }
    const { given, writes } = ends[1]!.transport;
    expect(given).toHaveLength(300);
    expect(Buffer.concat(given).equals(Buffer.concat(writes))).toBe(true);
    expect(new Set(given.map(({ buffer }) => buffer)).size).toBeLessThan(20);
    // A slow transport that holds one piece keeps no more than this alive.
    expect(Math.max(...given.map(({ buffer }) => buffer.byteLength))).toBeLessThanOrEqual(16_384);
  });
});

const KINDS = ['server', 'server', 'client', 'compressing', 'compressing'] as const;
const who = fc.nat(KINDS.length - 1);
/**
 * So many steps of this size fit one slab, and leave in the same pieces whether they are shared or
 * not.
 */
const size = fc.oneof(
  { weight: 6, arbitrary: fc.nat(60) },
  { weight: 2, arbitrary: fc.nat(1500) },
  { weight: 1, arbitrary: fc.constantFrom(125, 126) },
);
const large = fc.constantFrom(5, 16_000, 30_000, 65_535, 65_536, 65_537, 70_000);
const TURN: Step = { does: 'turn', who: 0, size: 0 };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ does: fc.constant('broadcast' as const), who: fc.nat(31), size }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('prepared' as const), who, size }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('send' as const), who, size }) },
  {
    weight: 5,
    arbitrary: fc.record({
      does: fc.constantFrom('ping', 'pinged', 'block', 'drain', 'writer', 'written'),
      who,
      size: fc.nat(60),
    }),
  },
  { weight: 3, arbitrary: fc.constant(TURN) },
  {
    weight: 1,
    arbitrary: fc.record({
      does: fc.constantFrom('close', 'terminate', 'fault', 'deadline'),
      who,
      size: fc.constant(0),
    }),
  },
);
const largeStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ does: fc.constant('broadcast' as const), who: fc.nat(31), size: large }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constantFrom('send', 'prepared'), who, size: large }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constantFrom('block', 'drain'), who, size: fc.nat(1) }),
  },
  { weight: 2, arbitrary: fc.constant(TURN) },
);

interface Step {
  readonly does: 'broadcast' | 'prepared' | 'turn' | keyof typeof deeds;
  readonly who: number;
  readonly size: number;
}

function feed({ transport }: End, bytes: Uint8Array | string): void {
  if (!transport.closed) transport.feed(bytes);
}

/** An action on one connection, or of its peer. */
const deeds = {
  send: ({ conn }: End, bytes: Uint8Array) => void conn.send(bytes),
  ping: ({ conn }: End, bytes: Uint8Array) => void conn.ping(bytes).catch(() => {}),
  pinged: (end: End, bytes: Uint8Array) =>
    feed(end, naiveEncode(9, bytes, end.role === 'server' ? { mask: 7 } : {})),
  fault: (end: End) => feed(end, 'ff ff'),
  block: ({ transport }: End) => transport.block(),
  drain: ({ transport }: End, { length }: Uint8Array) => {
    if (!transport.closed) transport.drain(length % 2 === 0 ? 1 : Infinity);
  },
  writer: async (end: End, bytes: Uint8Array, type: number) => {
    end.writer ??= await within(end.conn.nextWriter(type, { queue: true }));
    await within(end.writer?.write(bytes));
  },
  written: async (end: End) => {
    await within(end.writer?.close());
    end.writer = undefined;
  },
  close: ({ conn }: End) => void conn.close(),
  terminate: ({ conn }: End) => conn.terminate(),
  deadline: (end: End) => {
    end.conn.setWriteDeadline(0);
    end.expired = true;
  },
};

/** Connections for a comparison: two worlds differ only in the way in which broadcasts are sent. */
class World {
  readonly platform = lending(false);
  readonly ends: End[];
  readonly #joins: boolean;
  #message = 0;

  constructor(joins: boolean, settings: ConnSettings, mark: number) {
    this.#joins = joins;
    this.ends = KINDS.map((kind) => new End(this.platform, kind, settings, mark));
  }

  async do({ does, who: index, size: length }: Step): Promise<unknown> {
    const bytes = new Uint8Array(length).fill(++this.#message);
    const type = this.#message % 2 === 0 ? TextMessage : BinaryMessage;
    if (does === 'turn') return this.#turn();
    if (does === 'broadcast') {
      const reached = this.ends.filter((_, i) => ((index >> i) & 1) === 1);
      return this.#toMany(reached, type, bytes);
    }
    const end = this.ends[index]!;
    if (does === 'prepared') return this.#toMany([end], type, bytes);
    await deeds[does](end, bytes, type);
    return undefined;
  }

  async #turn(): Promise<void> {
    this.platform.runDeferred();
    await ready();
    this.platform.runYielded();
  }

  async #toMany(ends: End[], type: number, data: Uint8Array): Promise<number> {
    if (this.#joins) {
      return broadcast(
        ends.map(({ conn }) => conn),
        new PreparedMessage(type, data),
      );
    }
    const reached = ends.filter(({ conn, expired }) => conn.state === 'open' && !expired);
    let accepted = reached.length;
    for (const { conn } of reached) {
      const { messagesRefused } = conn.stats;
      conn.writeMessage(type, data).catch(() => {});
      accepted -= conn.stats.messagesRefused - messagesRefused;
    }
    await ready();
    return accepted;
  }

  get facts(): object[] {
    return this.ends.map(({ conn, transport }) => ({
      state: conn.state,
      buffered: conn.bufferedAmount,
      stats: conn.stats,
      ended: transport.ended,
      destroyed: transport.destroyed,
      sizes: transport.writes.map(({ length }) => length),
      wire: Buffer.from(transport.sent).toString('base64'),
    }));
  }
}

/** All microtasks that are ready. */
async function ready(): Promise<void> {
  await new Promise((resolve) => process.nextTick(resolve));
  await new Promise((resolve) => process.nextTick(resolve));
}

/** What it resolves with, if it does at once. */
async function within<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  let value: T | undefined;
  promise?.then(
    (result) => {
      value = result;
    },
    () => {},
  );
  await ready();
  return value;
}

describe('broadcasts between other writes', () => {
  it('equal separate messages on the wire', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40, size: 'max' }),
        fc.record({
          maxBufferedAmount: fc.constantFrom(200, 5000, 200_000),
          highWaterMark: fc.constantFrom(1, 300, 65_536),
        }),
        fc.constantFrom(0, 300, 100_000),
        async (steps, settings, mark) => {
          const [joined, alone] = [
            new World(true, settings, mark),
            new World(false, settings, mark),
          ];
          for (const one of [...steps, TURN]) {
            const accepted = await joined.do(one);
            await ready();
            expect([one, accepted]).toEqual([one, await alone.do(one)]);
            await ready();
            expect(joined.facts).toEqual(alone.facts);
          }
        },
      ),
      { numRuns: Number(process.env['RUNS'] ?? 80) },
    );
  });

  it('equal them with large messages too, in pieces of other sizes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(largeStep, { maxLength: 15, size: 'max' }), async (steps) => {
        const settings = { maxBufferedAmount: false } as const;
        const [joined, alone] = [new World(true, settings, 0), new World(false, settings, 0)];
        for (const world of [joined, alone]) {
          for (const one of steps) await world.do(one);
          for (const { transport } of world.ends) transport.drain();
          await world.platform.settle();
        }
        const [seen, expected] = [joined, alone].map(({ facts }) => facts);
        const withoutSizes = expected!.map((facts) => ({ ...facts, sizes: expect.anything() }));
        expect(seen).toEqual(withoutSizes);
      }),
      { numRuns: Number(process.env['RUNS'] ?? 15) },
    );
  });
});
