import { Conn, type ConnOptions, type Role } from '@ws/conn';
import { nodeDeflate } from '@ws/node-io';
import type { Watch } from '../../src/hostile/index.ts';
import { FakeHost, type NaiveFrame, naiveDecode, TestTransport, turn } from '../../src/index.ts';

/** The roles of what is attacked: every rule is told twice. */
export const ROLES: readonly Role[] = ['server', 'client'];

/** The fields of a frame, all of them at the attacker's mercy. */
export interface FrameFields {
  /** Default true. */
  readonly fin?: boolean;
  /** 0x40, 0x20, 0x10 as on the wire. Default 0. */
  readonly rsv?: number;
  /** The length that the header announces. Default: the payload's. */
  readonly claims?: number | bigint;
  /** Bits of the length field. Default: the fewest that do. */
  readonly lengthBits?: 7 | 16 | 64;
  /** Default: as the role at the other end wants it. */
  readonly masked?: boolean;
  /** Default 0x11223344. */
  readonly key?: number;
}

/** One frame for `role` to read. Checks nothing. */
export function frame(
  role: Role,
  opcode: number,
  payload: Uint8Array | string = '',
  { fin = true, rsv = 0, claims, lengthBits, masked, key = 0x11223344 }: FrameFields = {},
): Buffer {
  const body = Buffer.from(payload as string);
  const length = BigInt(claims ?? body.length);
  const bits = lengthBits ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64);
  const isMasked = masked ?? role === 'server';
  const after = bits === 7 ? 2 : 2 + bits / 8;
  const head = Buffer.alloc(isMasked ? after + 4 : after);
  head[0] = (fin ? 0x80 : 0) | rsv | opcode;
  head[1] = (isMasked ? 0x80 : 0) | (bits === 7 ? Number(length) : bits === 16 ? 126 : 127);
  if (bits === 16) head.writeUInt16BE(Number(length), 2);
  if (bits === 64) head.writeBigUInt64BE(length, 2);
  if (isMasked) {
    head.writeUInt32BE(key, after);
    for (let i = 0; i < body.length; i++) body[i]! ^= head[after + (i & 3)]!;
  }
  return Buffer.concat([head, body]);
}

/** A Conn that is attacked, with its clock and its socket in the test's hands. */
export interface Victim {
  readonly role: Role;
  readonly conn: Conn;
  readonly host: FakeHost;
  readonly transport: TestTransport;
  /** {@link frame} for its role. */
  readonly frame: (opcode: number, payload?: Uint8Array | string, fields?: FrameFields) => Buffer;
  /** Frames arrive, as one chunk. */
  readonly feed: (...frames: readonly Uint8Array[]) => void;
  /** What it has sent so far. */
  readonly sent: () => readonly NaiveFrame[];
  /** The code of the close frame that it has sent, of all bytes so far; 0 when there is none. */
  readonly closeCode: () => number;
  /** The connection breaks, and all that follows from it has happened. */
  readonly end: () => Promise<void>;
}

/** What a {@link Victim} can be told. */
export type VictimOptions = Omit<ConnOptions, 'role' | 'host'>;

/** permessage-deflate as agreed on, where nothing is said: each message for itself, with a full window. */
export const SHARED = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: true,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

/** A platform in the test's hands that lends zlib. */
export function deflatingHost(): FakeHost {
  return Object.assign(new FakeHost(), { deflate: nodeDeflate });
}

/** A {@link Victim} without a heartbeat, unless `options` say so. */
export function victim(
  role: Role,
  options: VictimOptions = {},
  host: FakeHost = options.deflate === undefined ? new FakeHost() : deflatingHost(),
): Victim {
  const transport = new TestTransport();
  const conn = new Conn(transport, { heartbeat: false, ...options, role, host });
  const sent = (): readonly NaiveFrame[] =>
    naiveDecode(transport.sent, role === 'server' ? 'client' : 'server').frames;
  return {
    role,
    conn,
    host,
    transport,
    frame: (opcode, payload, fields) => frame(role, opcode, payload, fields),
    feed: (...frames) => transport.feed(Buffer.concat(frames)),
    sent,
    closeCode() {
      const close = sent().find(({ opcode }) => opcode === 8);
      return close === undefined ? 0 : Buffer.from(close.payload).readUInt16BE(0);
    },
    async end() {
      await host.settle();
      transport.break();
      await host.settle();
      // A turn for each case: a stall is that of one.
      await turn();
    },
  };
}

/** A {@link Victim} that reads whatever comes, from the next byte on. */
export async function readingVictim(
  role: Role,
  options: VictimOptions = {},
  host: FakeHost = options.deflate === undefined ? new FakeHost() : deflatingHost(),
): Promise<Victim> {
  const target = victim(role, options, host);
  void target.conn.receive(() => {});
  await host.settle();
  return target;
}

/** Feeds `bytes` one by one until the connection fails; says how many that took. */
export async function readUntilFailure(target: Victim, bytes: Uint8Array): Promise<number> {
  let read = 0;
  while (read < bytes.length && target.conn.state === 'open') {
    target.transport.feed(bytes.subarray(read, ++read));
  }
  await target.host.settle();
  return read;
}

/** The one value that all cases came to. */
export function only<T>(values: Iterable<T>): T {
  const different = new Set(values);
  if (different.size !== 1) throw new Error(`not one outcome: ${[...different].join(', ')}`);
  return [...different][0]!;
}

/** Watches nothing. */
const BLIND: Watch = { sent() {}, weigh() {}, held: () => 0 };

/** Attacks some times before it counts: compilers and pools have what they need then, and few rounds tell enough. */
export async function warmUp(attack: (watch: Watch) => unknown, times = 10): Promise<void> {
  for (let i = 0; i < times; i++) await attack(BLIND);
}
