import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { linesOf, responseHead } from '@ws/codec/internal';
import { type FinalResponse, ResponseBody } from '@ws/node-client/internal';
import { endAnsweredSocket } from '@ws/node-server/internal';
import type { HeaderLine } from './end-to-end.ts';

/** Most bytes of a refusal's body that pass to the client. */
const MAX_BODY = 1024 * 1024;
/** Bytes of the target that are read in one turn: a chunk of the body may have one byte. */
const BYTES_A_TURN = 64 * 1024;

/**
 * Passes a target's refusal to the client: status, headers and at most 1 MiB of the body. Both
 * sockets end then, so that no tunnel is left. The client can see that a body is not whole: it has
 * fewer bytes than its Content-Length, or no last chunk. A client that still sends after the last byte
 * was written has 2 s to read, as after every refusal.
 *
 * @param timeout - Milliseconds for the whole body of the target, and then for the client to take
 *   some bytes; Infinity for no bound.
 * @returns A promise that resolves when the answer was written.
 */
export function relayRefusal(
  client: Duplex,
  { stream, head, rest }: FinalResponse,
  lines: readonly HeaderLine[],
  timeout: number,
): Promise<void> {
  return new Promise((resolve) => {
    let pieces: Uint8Array[] = [];
    const body = new ResponseBody(head, MAX_BODY, (bytes) => pieces.push(bytes));
    const { length } = body;
    const chunked = length === undefined && !body.ended;
    // RFC 9110, section 15.5.22: a 426 names the protocol.
    const is426 = head.status === 426;
    const own: HeaderLine[] = [['Connection', is426 ? 'close, Upgrade' : 'close']];
    if (is426) own.push(['Upgrade', 'websocket'], ['Sec-WebSocket-Version', '13']);
    if (chunked) own.push(['Transfer-Encoding', 'chunked']);
    if (length !== undefined) own.push(['Content-Length', `${length}`]);
    const timer = timeout === Infinity ? undefined : setTimeout(() => finish(), timeout);
    let waiting = rest;
    let nextTurn: NodeJS.Immediate | undefined;
    const finish = (): void => {
      clearTimeout(timer);
      clearImmediate(nextTurn);
      client.off('drain', proceed).off('close', finish);
      stream.off('data', onData).off('close', onEnd).off('end', onEnd);
      stream.destroy();
      if (stream.readableEnded) body.end();
      if (chunked && body.whole) client.write('0\r\n\r\n');
      client.end();
      endAnsweredSocket(client, undefined, timeout);
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
      if (bytes.length > 0) client.write(chunked ? chunkOf(bytes) : bytes);
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
    const reason = STATUS_CODES[head.status] ?? 'Unknown';
    client.write(responseHead(head.status, reason, linesOf([...own, ...lines])), 'latin1');
    client.on('drain', proceed).on('close', finish);
    if (body.ended) return finish();
    stream.on('data', onData).on('end', onEnd).on('close', onEnd);
    proceed();
  });
}

/** Formats a chunk of a chunked body (RFC 9112, section 7.1). */
function chunkOf(bytes: Uint8Array): Buffer {
  const size = Buffer.from(`${bytes.length.toString(16)}\r\n`);
  return Buffer.concat([size, bytes, CRLF]);
}

const CRLF = Buffer.from('\r\n');
