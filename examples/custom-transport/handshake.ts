import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import * as ws from '@ws/codec';

export const TIMEOUT = 5_000; // ms for the head of the peer, and for its part of the close
const MAX_INTERIM = 16; // answers before the last one
export type Open = (early: Uint8Array, socket: Socket) => void;

/** Answers a request. Of all web pages, only those of `origins` may connect. */
export function accept(
  socket: Socket,
  origins: readonly string[],
  open: Open,
  select: (head: ws.RequestHead) => ws.SwitchingOptions | undefined = () => undefined,
): void {
  readHead(socket, ws.RequestHead, (head, early) => {
    const isForeign = head.has('origin') && !origins.includes(head.list('origin'));
    const foreign = isForeign ? { status: 403, message: 'origin not allowed' } : undefined;
    const refusal: ws.Refusal | undefined = head.fault ?? ws.checkRequest(head) ?? foreign;
    if (refusal === undefined) {
      socket.write(ws.formatSwitching(head.once('sec-websocket-key')!, select(head)));
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
  return readHead(socket, ws.ResponseHead, (head, early) => {
    // Nothing was offered, so the answer may select nothing (RFC 6455, section 4.1).
    const offer = { accept: ws.acceptKey(key), subprotocols: [], extensions: [] };
    const fault = head.fault?.message ?? ws.checkResponse(head, offer)[0];
    if (fault === undefined) open(early, socket);
    else socket.destroy(new Error(`the server answered: ${fault}`));
  });
}

type Done<Head> = (head: Head, early: Uint8Array) => void;
type AnyHead = ws.RequestHead | ws.ResponseHead;

/** Skips a few interim answers, such as 103: another head follows each (RFC 9110, section 15.2). */
function readHead<H extends AnyHead>(socket: Socket, Head: new () => H, done: Done<H>): Socket {
  const timer = setTimeout(() => socket.destroy(), TIMEOUT).unref();
  let head = new Head();
  let interim = 0;
  const read = (chunk: Uint8Array): void => {
    if (head.push(chunk) === 'more') return;
    const early = chunk.subarray(head.end);
    if (isInterim(head) && ++interim <= MAX_INTERIM) {
      head = new Head();
      return read(early);
    }
    clearTimeout(timer);
    socket.off('data', read);
    done(head, early);
  };
  return socket.on('data', read).on('error', () => {});
}

function isInterim(head: AnyHead): boolean {
  if (head.fault !== undefined || !(head instanceof ws.ResponseHead)) return false;
  return head.status < 200 && head.status !== 101;
}
