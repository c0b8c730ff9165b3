import type { Duplex } from 'node:stream';
import type { Role } from '@ws/codec';
import { WebSocket } from 'ws';

/** The parts of a WebSocket of `ws` that its own handshakes use. */
interface Parts {
  _isServer: boolean;
  setSocket(stream: Duplex, head: Buffer, options: object): void;
}

/** What `ws` sets for a connection of its own handshakes, without limits. */
const OPTIONS = {
  autoPong: true,
  closeTimeout: 30_000,
  allowSynchronousEvents: true,
  maxPayload: 0,
  maxFragments: 0,
  maxBufferedChunks: 0,
  maxPendingAutoPongs: 0,
  skipUTF8Validation: false,
};

/** A WebSocket of `ws` on a stream after the handshake. `ws` has no handshake over HTTP/2. */
export function wsOver(stream: Duplex, role: Role): WebSocket {
  const ws = new WebSocket(null as never, undefined, OPTIONS);
  const parts = ws as unknown as Parts;
  parts._isServer = role === 'server';
  parts.setSocket(stream, Buffer.alloc(0), OPTIONS);
  return ws;
}
