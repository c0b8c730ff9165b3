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
  /** All frames sent so far, readable. */
  readonly sent: () => string[];
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
  return {
    conn,
    platform,
    transport,
    frame(opcode, payload = '', options = {}) {
      const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
      return naiveEncode(opcode, bytes, { ...mask, ...options });
    },
    feed: (...frames) => transport.feed(Buffer.concat(frames)),
    sent: () =>
      naiveDecode(transport.sent, role === 'server' ? 'client' : 'server').frames.map(inWords),
  };
}
