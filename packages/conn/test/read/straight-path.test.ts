// Common messages take a straight path in front of the decode loop. An observer of messages makes
// every read take the general way instead. Both must do the same for every stream.
import type { Role } from '@ws/codec';
import { FakePlatform, naiveEncode, rounds, TestTransport } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  CloseMessage,
  Conn,
  type MessageData,
  TextMessage,
} from '../../src/index.ts';
import type { Observer } from '../../src/platform/observer.ts';
import { wired } from '../wired.ts';

class Observed extends FakePlatform {
  readonly observer: Observer = { messageIn: () => {} };
}

/** What the application does with the message of this number. */
type Act =
  | 'echo'
  | 'wait'
  | 'throw'
  | 'close'
  | 'terminate'
  | 'limit'
  | 'ping'
  | 'deadline'
  | 'large'
  | 'stream'
  | 'part';
type Way = 'receive' | 'async receive' | 'loop' | 'readMessage' | 'discardReads';

interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
  readonly fin: boolean;
  readonly rsv: number;
  readonly key: number;
  /** Set for a frame whose mask breaks the rules of its role. */
  readonly wrongMask: boolean;
}

/** When the first read starts: before the first chunk, after it in the same turn, or a turn later. */
type Start = 'before' | 'early' | 'same turn' | 'later';

interface Scene {
  readonly start: Start;
  readonly role: Role;
  readonly way: Way;
  readonly frames: readonly Frame[];
  readonly ends: boolean;
  /** Sizes of the chunks, and whether the turn ends after each. */
  readonly cuts: readonly (readonly [number, boolean])[];
  readonly acts: ReadonlyMap<number, Act>;
  readonly readLimit: number;
  readonly readAhead: number;
}

const payload = fc.oneof(
  { weight: 6, arbitrary: fc.string({ maxLength: 20 }).map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 20 }) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom(63, 64, 72, 125, 126, 127, 300, 5_000, 20_000, 33_000)
      .map((n) => new Uint8Array(n).fill(97)),
  },
);
const rarely = <T>(usual: T, ...others: T[]): fc.Arbitrary<T> =>
  fc.oneof(
    { weight: 40, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  );
const frame: fc.Arbitrary<Frame> = fc.record({
  opcode: fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(1, 2) },
    { weight: 6, arbitrary: fc.constantFrom(0, 9, 10) },
    { weight: 1, arbitrary: fc.constantFrom(8, 3, 11) },
  ),
  payload,
  fin: fc.oneof(
    { weight: 8, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  rsv: rarely(0, 0x40, 0x20),
  key: fc.oneof(fc.constant(0), fc.integer()),
  wrongMask: rarely(false, true),
});
const scene: fc.Arbitrary<Scene> = fc.record({
  start: fc.constantFrom<Start>('before', 'early', 'same turn', 'later'),
  role: fc.constantFrom<Role>('server', 'client'),
  way: fc.constantFrom<Way>('receive', 'async receive', 'loop', 'readMessage', 'discardReads'),
  frames: fc.array(frame, { minLength: 1, maxLength: 30 }),
  ends: fc.boolean(),
  cuts: fc.array(
    fc.tuple(
      fc.oneof(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4_000 }),
        fc.constant(60_000),
      ),
      fc.boolean(),
    ),
    { maxLength: 30 },
  ),
  acts: fc
    .array(
      fc.tuple(
        fc.nat(12),
        fc.constantFrom<Act>(
          'wait',
          'throw',
          'close',
          'terminate',
          'limit',
          'ping',
          'deadline',
          'large',
          'stream',
          'part',
        ),
      ),
      { maxLength: 3 },
    )
    .map((acts) => new Map(acts)),
  readLimit: fc.constantFrom(100, 200, 1_000_000),
  readAhead: fc.constantFrom(500, 65_536),
});

/** Frames in the order that the rules require, unless a fault was drawn for them. */
function streamOf({ frames, role }: Scene): Uint8Array {
  let open = false;
  return Buffer.concat(
    frames.map(({ opcode, payload, fin, rsv, key, wrongMask }) => {
      const control = opcode >= 8;
      const kind = control ? opcode : open ? 0 : opcode === 0 ? 2 : opcode;
      if (!control) open = !fin;
      const masks = (role === 'server') !== wrongMask;
      const body =
        opcode === 8 ? Uint8Array.of(3, 232) : control ? payload.subarray(0, 125) : payload;
      return naiveEncode(kind, body, {
        fin: fin || control,
        rsv,
        ...(masks ? { mask: key } : {}),
      });
    }),
  );
}

/** Everything that the application and the peer see, in order. */
async function traceOf(scene: Scene, platform: FakePlatform): Promise<readonly string[]> {
  const trace: string[] = [];
  const transport = new TestTransport();
  const { role, readLimit, readAhead } = scene;
  const conn = new Conn(transport, {
    role,
    platform,
    readLimit,
    readAhead,
    heartbeat: false,
    report: (error) => void trace.push(`report ${String(error)}`),
  });
  conn.setPingHandler((data) => {
    trace.push(`ping ${data.length}`);
    return conn.writeControl(10, data).catch(() => {});
  });
  conn.setPongHandler((data) => void trace.push(`pong ${data.length}`));
  let number = 0;
  const act = async (data: Uint8Array, echo: MessageData): Promise<void> => {
    const act = scene.acts.get(number++) ?? 'echo';
    trace.push(`${act} ${Buffer.from(data).toString('hex').slice(0, 80)} ${data.length}`);
    if (act === 'throw') throw new Error('thrown');
    else if (act === 'close') void conn.close(1001, 'bye');
    else if (act === 'terminate') conn.terminate();
    else if (act === 'limit') conn.setReadLimit(10);
    else if (act === 'ping') void conn.ping().catch(() => {});
    else if (act === 'deadline') conn.setReadDeadline(0);
    else if (act === 'large') void conn.send(new Uint8Array(70_000)).catch(() => {});
    else if (act === 'wait') await new Promise<void>((done) => platform.yield(done));
    else if (act === 'stream') {
      const read = conn.nextReader().then((reader) => reader.bytes());
      trace.push(
        await read.then(
          (bytes) => `stream ${bytes.length}`,
          (error) => `no stream ${error}`,
        ),
      );
    } else if (act === 'part') {
      const into = new Uint8Array(3);
      const read = conn.nextReader().then((reader) => reader.read(into));
      trace.push(
        await read.then(
          (n) => `part ${n}`,
          (error) => `no part ${error}`,
        ),
      );
    } else await conn.send(echo);
  };
  const reads = async (): Promise<unknown> => {
    switch (scene.way) {
      case 'receive':
        return conn.receive((message) => {
          // An echo returns the promise of its write, and no other one.
          if ((scene.acts.get(number) ?? 'echo') === 'wait') return act(message.borrow(), message);
          if (scene.acts.get(number) === 'throw') {
            number++;
            throw new Error('thrown');
          }
          void act(message.borrow(), message).catch(() => {});
          return undefined;
        });
      case 'async receive':
        return conn.receive((message) => act(message.borrow(), message));
      case 'discardReads':
        return conn.discardReads();
      case 'loop':
        for await (const { data } of conn) await act(data, data);
        return 'done';
      case 'readMessage':
        for (;;) {
          const { type, data } = await conn.readMessage();
          await act(data, data);
          if (type !== TextMessage && type !== BinaryMessage) throw new Error('a wrong type');
        }
    }
  };
  const starts = (): Promise<unknown> =>
    reads().then(
      () => trace.push('over'),
      (error: unknown) => trace.push(`over: ${String(error)}`),
    );
  const { start } = scene;
  let over = start === 'before' ? starts() : undefined;
  if (start !== 'early') await platform.settle();
  const stream = streamOf(scene);
  let at = 0;
  for (const [size, turn] of [...scene.cuts, [Infinity, true] as const]) {
    const end = Math.min(stream.length, at + size);
    if (!transport.destroyed && at < end) transport.feed(stream.subarray(at, end));
    at = end;
    if (start !== 'later') over ??= starts();
    if (turn) await platform.settle();
    over ??= starts();
    trace.push(`${conn.state} sent ${Buffer.from(transport.takeSent()).toString('base64')}`);
  }
  if (scene.ends && !transport.destroyed) transport.feedEnd();
  await platform.settle();
  conn.terminate();
  await platform.advance(10_000);
  await over;
  trace.push(JSON.stringify({ ...(await conn.closed), ...conn.stats }));
  return trace;
}

describe('the straight path', () => {
  it('does the same as the general way, for every stream', async () => {
    await fc.assert(
      fc.asyncProperty(scene, async (scene) => {
        const straight = await traceOf(scene, new FakePlatform());
        expect(straight).toEqual(await traceOf(scene, new Observed()));
      }),
      { numRuns: Number(process.env['RUNS'] ?? rounds(50, 150)) },
    );
  });

  it('takes a message as other reads do: the close frame after it waits for the next read', async () => {
    const { conn, platform, feed, frame, sent, output } = wired('server');
    await platform.settle();
    feed(frame(TextMessage, 'last'), frame(CloseMessage, Uint8Array.of(3, 232)));
    expect((await conn.readMessage()).text()).toBe('last');
    expect(await output()).toEqual([]);
    await expect(conn.readMessage()).rejects.toThrow('close 1000');
    expect(sent()).toEqual(['close 1000']);
  });

  it('drops the rest of the message that a MessageReader has not read', async () => {
    const { conn, feed, frame, platform } = wired('server');
    await platform.settle();
    feed(
      frame(BinaryMessage, 'streamed', { fin: false }),
      frame(0, 'rest'),
      frame(TextMessage, 'next'),
    );
    const reader = await conn.nextReader();
    expect((await conn.readMessage()).text()).toBe('next');
    await expect(reader.bytes()).rejects.toMatchObject({ code: 'WS_ERR_READ_PENDING' });
  });
});
