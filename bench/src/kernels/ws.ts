import { createRequire } from 'node:module';
import type { Role } from '@ws/codec';
import type { Batch } from '../harness/batches.ts';

// ws exports these two classes, but its types lack them.
interface Receiver {
  on(event: 'message', listener: () => void): void;
  on(event: 'error', listener: (error: Error) => void): void;
  write(chunk: Uint8Array): boolean;
}
interface Sender {
  send(data: unknown, options: object): void;
}
const require = createRequire(import.meta.url);
const ws = require('ws') as {
  Receiver: new (options: { isServer: boolean; skipUTF8Validation: boolean }) => Receiver;
  Sender: new (socket: object, extensions: object) => Sender;
};

/** Feeds the stream to a Receiver once, in chunks. */
export function decode(stream: Uint8Array, chunkBytes: number, role: Role): Batch {
  const chunks: Buffer[] = [];
  for (let i = 0; i < stream.length; i += chunkBytes) {
    chunks.push(Buffer.from(stream.slice(i, i + chunkBytes).buffer));
  }
  const receiver = new ws.Receiver({ isServer: role === 'server', skipUTF8Validation: false });
  const counter = { frames: 0 };
  receiver.on('message', () => {
    counter.frames++;
  });
  receiver.on('error', (error) => {
    throw error;
  });
  return () => {
    for (let i = 0; i < chunks.length; i++) receiver.write(chunks[i]!);
  };
}

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
