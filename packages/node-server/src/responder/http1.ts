import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RequestFacts } from '@ws/codec';
import { linesOf, refusalHead, switchingHead } from '@ws/codec/internal';
import type { Transport } from '@ws/conn';
import { socketTransport } from '@ws/node-io';
import { acceptKeyByCrypto, addressOf } from '@ws/node-io/internal';
import { disconnectError } from '../client-socket.ts';
import type { HeaderPair } from '../errors.ts';
import { headerOf } from '../headers.ts';
import { endAnsweredSocket, endRefusedSocket } from './linger.ts';
import { type Answer, Responder } from './responder.ts';

/** Answers a request on a stream of bytes, in HTTP/1.1. */
export class Http1Responder extends Responder {
  override readonly stream: Duplex;

  constructor(stream: Duplex) {
    super();
    this.stream = stream;
  }

  override get peerAddress(): string | undefined {
    const address = addressOf(this.stream, 'remoteAddress');
    // A socket keeps its `localAddress` once it was read: 96 bytes.
    if (address === undefined && addressOf(this.stream, 'localAddress') !== undefined) {
      throw disconnectError(this.stream);
    }
    return address;
  }

  override get isAnswered(): boolean {
    return this.stream.writableEnded && !this.stream.destroyed;
  }

  override writeAccepted(
    facts: RequestFacts,
    subprotocol: string,
    extensions: string,
    headers: readonly HeaderPair[],
  ): void {
    const lines = headers.length === 0 ? '' : linesOf(headers);
    const accept = acceptKeyByCrypto(facts.once('sec-websocket-key') ?? '');
    this.stream.write(switchingHead(accept, subprotocol, extensions, lines), 'latin1');
  }

  override transport(
    head: Uint8Array,
    { highWaterMark, readBuffer }: Parameters<Responder['transport']>[1],
  ): Transport {
    return socketTransport(this.stream, { head, highWaterMark, readBuffer });
  }

  override refuse(answer: Answer, method: string | undefined): void {
    if (this.stream.writable) this.stream.write(formatAnswer(answer, method));
    endRefusedSocket(this.stream);
  }

  override endAnswered(stallTimeout: number): void {
    endAnsweredSocket(this.stream, undefined, stallTimeout);
  }
}

/** @param method - A HEAD request gets no body. */
function formatAnswer({ status, headers, body: text }: Answer, method: string | undefined): Buffer {
  const fields: HeaderPair[] = [...headers];
  if (headerOf(headers, 'sec-websocket-version') === undefined) {
    fields.unshift(['Sec-WebSocket-Version', '13']);
  }
  // RFC 9110, section 15.5.22.
  if (status === 426 && headerOf(headers, 'upgrade') === undefined) {
    fields.unshift(['Upgrade', 'websocket']);
  }
  if (headerOf(headers, 'date') === undefined) fields.unshift(['Date', new Date().toUTCString()]);
  // RFC 9110, sections 15.4.5 and 9.3.2: a 304 has no content; the answer to HEAD has only its
  // length.
  const body = status === 304 ? undefined : Buffer.from(text);
  const reason = STATUS_CODES[status] ?? 'Unknown';
  const head = refusalHead(status, reason, linesOf(fields), body?.length);
  const bytes = Buffer.from(head, 'latin1');
  return method === 'HEAD' || body === undefined ? bytes : Buffer.concat([bytes, body]);
}
