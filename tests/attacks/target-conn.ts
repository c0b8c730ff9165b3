import { Conn, type ConnOptions, type Role } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import {
  FakePlatform,
  type NaiveFrame,
  type NaiveFrameOptions,
  naiveDecode,
  naiveEncode,
  TestTransport,
  turn,
} from '../kit/index.ts';

export const ROLES: readonly Role[] = ['server', 'client'];

/** The fields of a frame, without any check. */
export interface FrameFields extends Omit<NaiveFrameOptions, 'mask'> {
  /** Default: as the receiver requires. */
  readonly masked?: boolean;
  /** Default: 0x11223344. */
  readonly key?: number;
}

/** Returns one frame for `role` to read, valid or not. */
export function frame(
  role: Role,
  opcode: number,
  payload: Uint8Array | string = '',
  { masked = role === 'server', key = 0x11223344, ...fields }: FrameFields = {},
): Buffer {
  const options = masked ? { ...fields, mask: key } : fields;
  return Buffer.from(naiveEncode(opcode, payload, options).buffer);
}

/** A connection under attack, with a fake clock and a test transport. */
export interface TargetConn {
  readonly role: Role;
  readonly conn: Conn;
  readonly platform: FakePlatform;
  readonly transport: TestTransport;
  /** {@link frame} for this role. */
  readonly frame: (opcode: number, payload?: Uint8Array | string, fields?: FrameFields) => Buffer;
  /** Delivers frames as one chunk. */
  readonly feed: (...frames: readonly Uint8Array[]) => void;
  /** Returns all frames that the target has sent. */
  readonly sent: () => readonly NaiveFrame[];
  /** Returns the code of the sent close frame, or 0 without one. */
  readonly closeCode: () => number;
  readonly end: () => Promise<void>;
}

export type TargetOptions = Omit<ConnOptions, 'role' | 'platform'>;

export function deflatingPlatform(): FakePlatform {
  return Object.assign(new FakePlatform(), { deflate: nodeDeflate });
}

/** What a target gets its bytes from. `pnpm long http2` replaces it. */
export const targets: {
  transport: () => TestTransport;
  /** Waits until fed bytes have arrived. Undefined: they arrive within `feed`. */
  arrived?: () => Promise<void>;
} = { transport: () => new TestTransport() };

function platformFor({ deflate }: TargetOptions): FakePlatform {
  return deflate === undefined ? new FakePlatform() : deflatingPlatform();
}

/** Returns a {@link TargetConn}, by default without a heartbeat. */
export function targetConn(
  role: Role,
  options: TargetOptions = {},
  platform = platformFor(options),
): TargetConn {
  const transport = targets.transport();
  const conn = new Conn(transport, { heartbeat: false, ...options, role, platform });
  const sent = (): readonly NaiveFrame[] =>
    naiveDecode(transport.sent, role === 'server' ? 'client' : 'server').frames;
  return {
    role,
    conn,
    platform,
    transport,
    frame: (opcode, payload, fields) => frame(role, opcode, payload, fields),
    feed: (...frames) => transport.feed(Buffer.concat(frames)),
    sent,
    closeCode: () => closeCodeIn(sent()),
    async end() {
      await platform.settle();
      transport.break();
      await platform.settle();
      // Each case has its own turn, so that a stall belongs to one case.
      await turn();
    },
  };
}

/** Returns a {@link TargetConn} that reads all messages. */
export async function readingTargetConn(
  role: Role,
  options: TargetOptions = {},
  platform = platformFor(options),
): Promise<TargetConn> {
  const target = targetConn(role, options, platform);
  void target.conn.receive(() => {});
  await platform.settle();
  return target;
}

/** Feeds `bytes` one by one until the connection fails. Returns their number. */
export async function feedUntilFailure(target: TargetConn, bytes: Uint8Array): Promise<number> {
  let read = 0;
  while (read < bytes.length && target.conn.state === 'open') {
    target.transport.feed(bytes.subarray(read, ++read));
    await targets.arrived?.();
  }
  await target.platform.settle();
  return read;
}

/** Returns the code of the close frame among `frames`, or 0 without one. */
export function closeCodeIn(frames: readonly NaiveFrame[]): number {
  const close = frames.find(({ opcode }) => opcode === 8);
  return close === undefined ? 0 : Buffer.from(close.payload).readUInt16BE(0);
}

/** The answer of a target to some bytes. */
export interface TargetAnswer {
  /** The code of its close frame, or 0. */
  readonly close: number;
  /** Bytes read until the failure. */
  readonly read: number;
  readonly delivered: number;
}

/** Feeds `bytes` one by one to a new target, after `first` as one chunk. */
export async function answerTo(
  role: Role,
  bytes: Uint8Array,
  options: TargetOptions = {},
  first: readonly Uint8Array[] = [],
): Promise<TargetAnswer> {
  const target = await readingTargetConn(role, options);
  target.feed(...first);
  const read = await feedUntilFailure(target, bytes);
  const close = target.closeCode();
  const delivered = target.conn.stats.messagesIn;
  await target.end();
  return { close, read, delivered };
}

/** Returns the common close code and number of messages, and the most bytes read. */
export function combined(answers: readonly TargetAnswer[]): TargetAnswer {
  return {
    close: only(answers.map(({ close }) => close)),
    read: Math.max(...answers.map(({ read }) => read)),
    delivered: only(answers.map(({ delivered }) => delivered)),
  };
}

/** Returns the value that all cases have in common. */
export function only<T>(values: Iterable<T>): T {
  const different = new Set(values);
  if (different.size !== 1) throw new Error(`not one outcome: ${[...different].join(', ')}`);
  return [...different][0]!;
}
