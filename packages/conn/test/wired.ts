import type { Role } from '@ws/codec';
import {
  FakePlatform,
  inWords,
  type NaiveFrameOptions,
  naiveDecode,
  naiveEncode,
  TestTransport,
} from '@ws/tests';
import { Conn } from '../src/conn.ts';
import type { MessageReader } from '../src/index.ts';
import type { ConnOptions } from '../src/options/conn-options.ts';

/** A Conn with a fake clock and a fake socket. */
export interface Wired {
  readonly conn: Conn;
  readonly platform: FakePlatform;
  readonly transport: TestTransport;
  /** The bytes of a frame as the peer sends it. */
  readonly frame: (
    opcode: number,
    payload?: string | Uint8Array,
    options?: NaiveFrameOptions,
  ) => Uint8Array;
  /** The peer sends frames, as one chunk. */
  readonly feed: (...frames: Uint8Array[]) => void;
  /** As `feed`. Resolves when the connection has handled them. */
  readonly deliver: (...frames: Uint8Array[]) => Promise<void>;
  /** Begins to read a message as a stream, then the peer sends frames. Returns the reader. */
  readonly stream: (...frames: Uint8Array[]) => Promise<MessageReader>;
  /** The transport takes a first message, and then none until it has drained. */
  readonly block: (first?: string) => Promise<void>;
  /** The transport takes all that waits. */
  readonly drain: () => Promise<void>;
  /** All frames sent so far, readable. */
  readonly sent: () => string[];
  /** As `sent`, when all that is ready has run. */
  readonly output: () => Promise<string[]>;
}

export function wired(
  role: Role,
  settings: Partial<ConnOptions> = {},
  highWaterMark = 0,
  platform: FakePlatform = new FakePlatform(),
): Wired {
  const transport = new TestTransport({ highWaterMark });
  const conn = new Conn(transport, { heartbeat: false, ...settings, role, platform });
  const mask = role === 'server' ? { mask: 0x01020304 } : {};
  const feed = (...frames: Uint8Array[]): void => transport.feed(Buffer.concat(frames));
  const sent = (): string[] =>
    naiveDecode(transport.sent, role === 'server' ? 'client' : 'server').frames.map(inWords);
  return {
    conn,
    platform,
    transport,
    frame(opcode, payload = '', options = {}) {
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
      return naiveEncode(opcode, bytes, { ...mask, ...options });
    },
    feed,
    async deliver(...frames) {
      feed(...frames);
      await platform.settle();
    },
    stream(...frames) {
      const next = conn.nextReader();
      feed(...frames);
      return next;
    },
    async block(first = 'going') {
      transport.block();
      void conn.send(first);
      await platform.settle();
    },
    async drain() {
      transport.drain();
      await platform.settle();
    },
    sent,
    async output() {
      await platform.settle();
      return sent();
    },
  };
}
