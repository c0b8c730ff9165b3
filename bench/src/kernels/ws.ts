import { createRequire } from 'node:module';
import type { Role } from '@ws/codec';
import type { Batch } from '../harness/batches.ts';

// ws exports this class, but its types lack it.
interface Sender {
  send(data: unknown, options: object): void;
}
const require = createRequire(import.meta.url);
const ws = require('ws') as {
  Sender: new (socket: object, extensions: object) => Sender;
};

/**
 * A Sender over a socket that discards everything, with the arguments that `WebSocket.send(data)`
 * of ws passes.
 */
export function encode(data: Buffer | string, frames: number, role: Role): Batch {
  const socket = { cork() {}, uncork() {}, write: () => true };
  const sender = new ws.Sender(socket, {});
  const mask = role === 'client';
  return () => {
    for (let i = 0; i < frames; i++) {
      // `WebSocket.send` of ws creates a new object too, with `compress` false without compression.
      sender.send(data, { binary: typeof data !== 'string', mask, compress: false, fin: true });
    }
  };
}
