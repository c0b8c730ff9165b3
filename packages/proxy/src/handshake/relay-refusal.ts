import { STATUS_CODES } from 'node:http';
import type { ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { linesOf, NO_BYTES } from '@ws/codec/internal';
import { ResponseBody } from '@ws/node-client/internal';
import { cutStream, isHttp2Stream, streamFields, TransportDuplex } from '@ws/node-io/internal';
import type { UpgradeRequest } from '@ws/node-server/internal';
import { duplexOf } from '../tunnel/duplex.ts';
import type { TargetAnswer } from './answer.ts';
import type { HeaderLine } from './end-to-end.ts';

/** Most bytes of a refusal's body that pass to the client. */
const MAX_BODY = 1024 * 1024;
/** Milliseconds in which a target of HTTP/2 may end its side. */
const END_WAIT_MS = 250;
/** Bytes of the target that are read in one turn: a chunk of the body may have one byte. */
const BYTES_A_TURN = 64 * 1024;

/**
 * Passes a target's refusal to the client: status, headers and at most 1 MiB of the body. Both
 * streams end then, so that no tunnel is left. The client can see that a body is not whole: it has
 * fewer bytes than its Content-Length, or no last chunk; over HTTP/2 its stream is reset. A client that
 * still sends after the last byte was written has 2 s to read, as after every refusal.
 *
 * @param timeout - Milliseconds for the whole body of the target, and then for the client to take
 *   some bytes; Infinity for no bound.
 * @returns A promise that resolves when the answer was written.
 */
export function relayRefusal(
  responder: UpgradeRequest['responder'],
  { stream: from, head, rest }: TargetAnswer,
  lines: readonly HeaderLine[],
  timeout: number,
): Promise<void> {
  return new Promise((resolve) => {
    let pieces: Uint8Array[] = [];
    const client = responder.stream;
    const stream = duplexOf(from, BYTES_A_TURN);
    const body = new ResponseBody(head, MAX_BODY, (bytes) => pieces.push(bytes));
    const writer = writerFor(client);
    const timer = timeout === Infinity ? undefined : setTimeout(() => finish(), timeout);
    let waiting: Uint8Array = rest;
    let nextTurn: NodeJS.Immediate | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      clearImmediate(nextTurn);
      client.off('drain', proceed).off('close', finish);
      stream.off('data', onData).off('close', onEnd).off('end', onEnd);
      if (stream.readableEnded) body.end();
      endTarget(stream, body.whole);
      writer.end(body.whole);
      responder.endAnswered(timeout);
      resolve();
    };
    /** Reads some of `waiting`, then waits for the next turn, or for a client that does not read. */
    const proceed = (): void => {
      clearImmediate(nextTurn);
      if (waiting.length === 0) return isOver() ? finish() : void stream.resume();
      const part = waiting.subarray(0, BYTES_A_TURN);
      waiting = waiting.subarray(part.length);
      body.push(part);
      const bytes = Buffer.concat(pieces);
      pieces = [];
      if (bytes.length > 0) writer.write(bytes);
      if (body.ended) return finish();
      if (!client.writableNeedDrain) nextTurn = setImmediate(proceed);
    };
    const onData = (bytes: Buffer): void => {
      stream.pause();
      waiting = bytes;
      proceed();
    };
    const isOver = (): boolean => stream.destroyed || stream.readableEnded;
    const onEnd = (): void => {
      if (waiting.length === 0) finish();
    };
    writer.head(head.status, lines, body);
    client.on('drain', proceed).on('close', finish);
    if (body.ended) return finish();
    stream.on('data', onData).on('end', onEnd).on('close', onEnd);
    proceed();
  });
}

/**
 * Ends the stream of the target. Its servers bound the resets of a session, which clients share: so a
 * stream of HTTP/2 whose body is whole gets END_STREAM.
 */
function endTarget(stream: Duplex, isWhole: boolean): void {
  if (!isWhole || !(stream instanceof TransportDuplex)) return void stream.destroy();
  stream.resume().end();
  const timer = setTimeout(() => stream.destroy(), END_WAIT_MS);
  stream.once('close', () => clearTimeout(timer));
}

/** Writes a refusal to the client. */
interface RefusalWriter {
  head(status: number, lines: readonly HeaderLine[], body: ResponseBody): void;
  write(bytes: Uint8Array): void;
  end(isWhole: boolean): void;
}

class Http1Writer implements RefusalWriter {
  readonly #stream: Duplex;
  #chunked = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
  }

  head(status: number, lines: readonly HeaderLine[], { length, ended }: ResponseBody): void {
    this.#chunked = length === undefined && !ended;
    // RFC 9110, section 15.5.22: a 426 names the protocol.
    const is426 = status === 426;
    const own: HeaderLine[] = [['Connection', is426 ? 'close, Upgrade' : 'close']];
    if (is426) own.push(['Upgrade', 'websocket'], VERSION);
    if (this.#chunked) own.push(['Transfer-Encoding', 'chunked']);
    if (length !== undefined) own.push(['Content-Length', `${length}`]);
    const reason = STATUS_CODES[status] ?? 'Unknown';
    const head = `HTTP/1.1 ${status} ${reason}\r\n${linesOf([...own, ...lines])}\r\n`;
    this.#stream.write(head, 'latin1');
  }

  write(bytes: Uint8Array): void {
    this.#stream.write(this.#chunked ? chunkOf(bytes) : bytes);
  }

  end(isWhole: boolean): void {
    if (this.#chunked && isWhole) this.#stream.write('0\r\n\r\n');
    this.#stream.end();
  }
}

class Http2Writer implements RefusalWriter {
  readonly #stream: ServerHttp2Stream;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  head(status: number, lines: readonly HeaderLine[], { length }: ResponseBody): void {
    const own: HeaderLine[] = status === 426 ? [VERSION] : [];
    if (length !== undefined) own.push(['content-length', `${length}`]);
    this.#stream.respond({ ...streamFields([...own, ...lines]), ':status': status });
  }

  write(bytes: Uint8Array): void {
    if (this.#stream.writable) this.#stream.write(bytes);
  }

  end(isWhole: boolean): void {
    const stream = this.#stream;
    if (isWhole) stream.end();
    else if (stream.writable) stream.write(NO_BYTES, () => cutStream(stream));
  }
}

function writerFor(stream: Duplex): RefusalWriter {
  return isHttp2Stream(stream)
    ? new Http2Writer(stream as ServerHttp2Stream)
    : new Http1Writer(stream);
}

const VERSION: HeaderLine = ['Sec-WebSocket-Version', '13'];

/** Formats a chunk of a chunked body (RFC 9112, section 7.1). */
function chunkOf(bytes: Uint8Array): Buffer {
  const size = Buffer.from(`${bytes.length.toString(16)}\r\n`);
  return Buffer.concat([size, bytes, CRLF]);
}

const CRLF = Buffer.from('\r\n');
