import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HandshakeError } from '../errors.ts';
import { Http1Responder } from './http1.ts';
import { detachReader } from './linger.ts';
import { currentResponse } from './node-http.ts';
import type { OnRefused } from './refusals.ts';

/**
 * Answers to errors of Node's HTTP parser and its timeouts, by code. Every other `HPE_` code gets a
 * 400.
 */
const ANSWERS: ReadonlyMap<string, readonly [status: number, message: string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'request head is too large']],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', [413, 'chunk extensions are too large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'request took too long']],
]);

type ParserError = NodeJS.ErrnoException & { readonly reason?: string };

/**
 * Makes a listener for 'clientError' that answers bytes that are not an HTTP request. Without it
 * `http.Server` ends the connection with a bare status line.
 *
 * @param server - Emits the event.
 * @param timeout - Milliseconds to wait for the responses to earlier requests; Infinity for no
 *   bound.
 * @param refused - Gets each refusal before it is written.
 */
export function clientErrorListener(
  server: Server,
  timeout: number,
  refused: OnRefused,
): (error: ParserError, socket: Duplex) => void {
  const answered = new WeakSet<Duplex>();
  const fail = (error: ParserError, socket: Duplex): void => {
    // Node emits 'clientError' again for later bytes and for the end of the socket.
    if (answered.has(socket)) return;
    answered.add(socket);
    const refusal = refusalOfParser(error);
    if (refusal === undefined || !socket.writable) socket.destroy();
    else void answerInOrder(socket, refusal, timeout, refused);
  };
  // In a busy process Node's check for requests that take too long may run before the sockets are read,
  // so these are read first.
  const late = new Map<Duplex, { error: ParserError; incomplete: IncomingMessage | undefined }>();
  const onHead = ({ socket }: IncomingMessage): void => void late.delete(socket);
  const failLate = (): void => {
    server.off('request', onHead).off('upgrade', onHead);
    const rest = [...late];
    late.clear();
    for (const [socket, { error, incomplete }] of rest) {
      if (!incomplete?.complete) fail(error, socket);
    }
  };
  return (error, socket) => {
    if (error.code !== 'ERR_HTTP_REQUEST_TIMEOUT') return fail(error, socket);
    if (late.size === 0) {
      server.on('request', onHead).on('upgrade', onHead);
      // The sockets are read between a timer and an immediate.
      setImmediate(failLate);
    }
    const req = currentResponse(socket)?.req;
    late.set(socket, { error, incomplete: req?.complete ? undefined : req });
  };
}

/** @returns undefined for errors of the socket or of TLS: the client cannot read an answer. */
function refusalOfParser({
  code = '',
  reason = 'malformed',
}: ParserError): HandshakeError | undefined {
  if (!ANSWERS.has(code) && !code.startsWith('HPE_')) return undefined;
  return notAnHttpRequest(code, reason);
}

/**
 * Makes the refusal of bytes that are no HTTP request.
 *
 * @param code - Of Node's HTTP parser and its timeouts.
 * @param reason - In words, for a code that has no words here.
 */
export function notAnHttpRequest(code: string, reason: string): HandshakeError {
  const [status, message] = ANSWERS.get(code) ?? [400, `not an HTTP request: ${reason}`];
  return new HandshakeError(status, message);
}

/** Waits for the responses to earlier requests, so that this answer is not read as one of them. */
async function answerInOrder(
  socket: Duplex,
  refusal: HandshakeError,
  timeout: number,
  refused: OnRefused,
): Promise<void> {
  detachReader(socket);
  const timer = timeout === Infinity ? undefined : setTimeout(() => socket.destroy(), timeout);
  let response = currentResponse(socket);
  // An incomplete request is the malformed one.
  while (response?.req.complete && !socket.destroyed) {
    await closeOfEither(response, socket);
    response = currentResponse(socket);
  }
  clearTimeout(timer);
  if (!socket.writable || response?.headersSent) return void socket.destroy();
  refused(refusal, socket, undefined);
  new Http1Responder(socket).refuse(refusal, undefined);
  // A peer that has ended in the middle of a request sends no more bytes that would need reading.
  // Over TLS such an end may also be a reset.
  if (socket.readableEnded) socket.destroy();
}

/**
 * Resolves when the response or its socket closes. Node 20 emits 'close' only on the first of
 * several responses when their socket is destroyed.
 */
function closeOfEither(response: ServerResponse, socket: Duplex): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('close', done);
      socket.off('close', done);
      resolve();
    };
    response.on('close', done);
    socket.on('close', done);
  });
}
