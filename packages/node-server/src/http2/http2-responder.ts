import { IncomingMessage } from 'node:http';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isWebSocketKey, type RequestFacts } from '@ws/codec';
import type { Transport } from '@ws/conn';
import { http2Transport } from '@ws/node-io';
import {
  acceptKeyByCrypto,
  addressOf,
  cutStream,
  Http2Code,
  streamFields,
} from '@ws/node-io/internal';
import { disconnectError } from '../client-socket.ts';
import { HandshakeError, type HeaderPair } from '../errors.ts';
import { type Answer, Responder } from '../responder/responder.ts';
import { noteAnswer } from './session-guard.ts';

/** Milliseconds in which a client that has the whole answer may end its side. */
const END_WAIT_MS = 250;
/** Milliseconds in which a client must take some bytes of a refusal. */
const STALL_MS = 10_000;

/** Answers a request on its own stream of HTTP/2. */
export class Http2Responder extends Responder {
  override readonly stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream) {
    super();
    this.stream = stream;
  }

  override get peerAddress(): string | undefined {
    const { session } = this.stream;
    if (session === undefined) throw disconnectError(this.stream);
    return addressOf(session.socket, 'remoteAddress');
  }

  override get client(): Duplex {
    const { remoteAddress, remotePort, remoteFamily } = this.stream.session?.socket ?? {};
    return Object.assign(this.stream, { remoteAddress, remotePort, remoteFamily });
  }

  override get isAnswered(): boolean {
    return this.stream.headersSent && !this.stream.destroyed;
  }

  override writeAccepted(
    facts: RequestFacts,
    subprotocol: string,
    extensions: string,
    headers: readonly HeaderPair[],
  ): void {
    const key = facts.once('sec-websocket-key') ?? '';
    const answer = streamFields(headers);
    answer[':status'] = 200;
    // A key is not needed, but undici and the clients of haproxy send one and check the answer.
    if (isWebSocketKey(key)) answer['sec-websocket-accept'] = acceptKeyByCrypto(key);
    if (subprotocol !== '') answer['sec-websocket-protocol'] = subprotocol;
    if (extensions !== '') answer['sec-websocket-extensions'] = extensions;
    this.stream.respond(answer);
    noteAnswer(this.stream);
  }

  override transport(
    early: Uint8Array,
    { highWaterMark }: Parameters<Responder['transport']>[1],
  ): Transport {
    // Unshifted bytes come before all later reads.
    if (early.length > 0) this.stream.unshift(early);
    return http2Transport(this.stream, { highWaterMark });
  }

  override refuse({ status, headers, body }: Answer, _method: string | undefined): void {
    const { stream } = this;
    if (stream.destroyed || stream.closed) return;
    if (!stream.headersSent) {
      stream.respond({
        'content-type': 'text/plain; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'sec-websocket-version': '13',
        ...streamFields(headers),
        ':status': status,
      });
      noteAnswer(stream);
    }
    if (stream.writable) stream.end(status === 304 ? undefined : body);
    this.endAnswered(STALL_MS);
  }

  /** Drops what the client still sends, and resets a stream that the client keeps open. */
  override endAnswered(stallTimeout: number): void {
    const { stream } = this;
    if (stream.closed || stream.destroyed) return;
    stream.resume();
    if (stallTimeout !== Infinity) stream.setTimeout(stallTimeout, () => cutStream(stream));
    const onFinish = (): void => {
      stream.setTimeout(0);
      resetLater(stream);
    };
    if (stream.writableFinished) onFinish();
    else stream.once('finish', onFinish);
  }
}

/** Resets a stream that its client keeps open after the whole answer (RFC 9113, section 8.1). */
function resetLater(stream: ServerHttp2Stream): void {
  const timer = setTimeout(() => stream.close(Http2Code.NO_ERROR), END_WAIT_MS);
  stream.once('close', () => clearTimeout(timer));
}

/**
 * Resets the stream of a page after its answer when the client keeps it open: at once if nothing reads
 * its body, otherwise when the body stalls.
 */
export function resetAfterAnswer(stream: ServerHttp2Stream): void {
  if (stream.endAfterHeaders) return;
  stream.once('finish', () => {
    if (stream.closed) return;
    if (stream.listenerCount('data') > 0) {
      stream.setTimeout(STALL_MS, () => stream.close(Http2Code.NO_ERROR));
    } else {
      stream.resume();
      resetLater(stream);
    }
  });
}

const NOT_HTTP_1 = 'the client is not using the websocket protocol: request is not HTTP/1.1';

/**
 * Refuses a request of node:http2's compatibility API on its own stream. The socket carries other
 * streams too, and HTTP/1.1 bytes written to it would become the body of a 200.
 */
export class CompatResponder extends Http2Responder {
  override readonly fault: HandshakeError = new HandshakeError(
    400,
    `${NOT_HTTP_1}; use upgradeStream`,
    { body: `${NOT_HTTP_1}\n` },
  );
}

/**
 * The request of a stream, for the application's functions: an IncomingMessage, as over HTTP/1.1. Its
 * method is `CONNECT`, its headers also have `host` and the pseudo-headers. Its socket belongs to
 * the session.
 */
export class StreamRequest extends IncomingMessage {
  readonly stream: ServerHttp2Stream;

  /** @param rawHeaders - Default: the lines of `headers`, in which Node has joined repeated fields. */
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: string[] = rawHeadersOf(headers),
  ) {
    super(stream.session?.socket ?? new Socket());
    this.stream = stream;
    this.httpVersion = '2.0';
    this.httpVersionMajor = 2;
    this.httpVersionMinor = 0;
    this.method = onlyLine(headers[':method']);
    this.url = onlyLine(headers[':path']);
    const host = headers.host ?? headers[':authority'];
    this.headers = host === undefined ? { ...headers } : { ...headers, host };
    this.rawHeaders = rawHeaders;
    this.complete = true;
  }

  /** The bytes after the request are frames. */
  override _read(): void {
    this.push(null);
  }

  /** Resets the stream: the session's socket carries others too. Node calls it after the end as well. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.readableEnded) cutStream(this.stream);
    done(error);
  }
}

/** `''` for a field that another parser has found twice: the rules refuse it. */
function onlyLine(field: unknown): string {
  return typeof field === 'string' ? field : '';
}

function rawHeadersOf(headers: IncomingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((line) => [name, line]),
  );
}
