import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import * as ws from '@ws/codec';

export const TIMEOUT = 5_000; // ms for the head of the peer, and for its part of the close
export type Open = (early: Uint8Array, socket: Socket) => void;

/** Answers a request. Of all web pages, only those of `origins` may connect. */
export function accept(socket: Socket, origins: readonly string[], open: Open): void {
  const head = new ws.RequestHead();
  readHead(socket, head, (early) => {
    const isForeign = head.has('origin') && !origins.includes(head.list('origin'));
    const foreign = isForeign ? { status: 403, message: 'origin not allowed' } : undefined;
    const refusal: ws.Refusal | undefined = head.fault ?? ws.checkRequest(head) ?? foreign;
    if (refusal === undefined) {
      socket.write(ws.formatSwitching(head.once('sec-websocket-key')!));
      return open(early, socket);
    }
    const answer = ws.formatRefusal(refusal.status, refusal.headers, refusal.message);
    socket.end(answer, () => socket.destroy());
  });
}

/** Sends a request and checks the answer. */
export function request(socket: Socket, host: string, open: Open): Socket {
  const key = randomBytes(16).toString('base64');
  socket.write(ws.formatRequest('/', host, key));
  const head = new ws.ResponseHead();
  return readHead(socket, head, (early) => {
    const isOpen = head.status === 101 && head.wantsWebSocket;
    if (isOpen && head.once('sec-websocket-accept') === ws.acceptKey(key)) open(early, socket);
    else socket.destroy(new Error(`the server answered ${head.status}`));
  });
}

function readHead(socket: Socket, head: ws.RequestHead | ws.ResponseHead, done: Open): Socket {
  const timer = setTimeout(() => socket.destroy(), TIMEOUT).unref();
  const read = (chunk: Uint8Array): void => {
    if (head.push(chunk) === 'more') return;
    clearTimeout(timer);
    socket.off('data', read);
    done(chunk.subarray(head.end), socket);
  };
  return socket.on('data', read).on('error', () => {});
}
