import { createRequire } from 'node:module';
import type { Role } from '@ws/codec';
import type { Batch } from '../harness/batches.ts';

// ws exports this class, but its types lack it.
interface Sender {
  send(data: unknown, options: object): void;
}
interface Receiver {
  on(event: 'message', listener: () => void): void;
  write(chunk: Buffer): void;
}
const require = createRequire(import.meta.url);
const ws = require('ws') as {
  Sender: new (socket: object, extensions: object) => Sender;
  Receiver: new (options: object) => Receiver;
};

/**
 * A Receiver of a server, with the options of `WebSocketServer`. It keeps views of its chunks, so each
 * chunk is new, as the 'data' events of a socket give them.
 */
export function receiver(): (chunk: Uint8Array, end: number) => number {
  const options = { isServer: true, allowSynchronousEvents: true, maxPayload: 104_857_600 };
  const reader = new ws.Receiver(options);
  let messages = 0;
  reader.on('message', () => messages++);
  return (chunk, end) => {
    messages = 0;
    reader.write(Buffer.from(chunk.subarray(0, end)));
    return messages;
  };
}

/**
 * A Sender over a socket that discards everything, with the arguments that `WebSocket.send(data)`
 * of ws passes.
 */
export function encode(data: Buffer | string, frames: number, role: Role): Batch {
  const send = sender(data, role);
  return () => {
    for (let i = 0; i < frames; i++) send();
  };
}

/** Sends `data` once at each call, as {@link encode}. */
export function sender(data: Uint8Array | string, role: Role): () => void {
  const socket = { cork() {}, uncork() {}, write: () => true };
  const sender = new ws.Sender(socket, {});
  const mask = role === 'client';
  const binary = typeof data !== 'string';
  // `WebSocket.send` of ws creates a new object too, with `compress` false without compression.
  return () => sender.send(data, { binary, mask, compress: false, fin: true });
}
