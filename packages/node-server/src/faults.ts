import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HandshakeError } from './errors.ts';
import { currentResponse } from './http-socket.ts';
import { detachReader, endRefused } from './linger.ts';
import { refusal } from './respond.ts';

/** What Node's parser and its clock say of a head, and what that is answered with; all else it says of one is a 400. */
const FAULTS: ReadonlyMap<string, readonly [status: number, says: string]> = new Map([
  ['HPE_HEADER_OVERFLOW', [431, 'request head is too large']],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', [413, 'chunk extensions are too large']],
  ['ERR_HTTP_REQUEST_TIMEOUT', [408, 'request took too long']],
]);

type ParserError = NodeJS.ErrnoException & { readonly reason?: string };

/**
 * Makes a listener for 'clientError' that answers what is no HTTP request, where Node would end the connection with a
 * bare status.
 *
 * @param timeout - How long the answers to the requests before it are waited for, in ms; Infinity for no bound.
 */
export function answerFaults(timeout: number): (error: ParserError, socket: Duplex) => void {
  const ending = new WeakSet<Duplex>();
  return (error, socket) => {
    // Node says it again of whatever comes behind, and of the end.
    if (ending.has(socket)) return;
    ending.add(socket);
    const answer = answerTo(error);
    if (answer === undefined || !socket.writable) socket.destroy();
    else void answerInTurn(socket, answer, timeout);
  };
}

/** Other errors are those of the socket or of TLS, and leave nobody to be told. */
function answerTo({ code = '', reason = 'malformed' }: ParserError): HandshakeError | undefined {
  if (!FAULTS.has(code) && !code.startsWith('HPE_')) return undefined;
  const [status, says] = FAULTS.get(code) ?? [400, `not an HTTP request: ${reason}`];
  return new HandshakeError(status, says);
}

/** Nothing may stand in an earlier answer, or in the place of one. */
async function answerInTurn(
  socket: Duplex,
  answer: HandshakeError,
  timeout: number,
): Promise<void> {
  detachReader(socket);
  const timer = timeout === Infinity ? undefined : setTimeout(() => socket.destroy(), timeout);
  let response = currentResponse(socket);
  // Whose request is not whole is the one that has the fault.
  while (response?.req.complete && !socket.destroyed) {
    await closed(response, socket);
    response = currentResponse(socket);
  }
  clearTimeout(timer);
  if (!socket.writable || response?.headersSent) return void socket.destroy();
  socket.write(refusal(answer, undefined));
  // A peer that has ended in the middle of a request sends nothing more to be lost by; over TLS it may be a reset one.
  if (socket.readableEnded) socket.destroy();
  else endRefused(socket);
}

/** Resolves with the end of either: of several responses only the first learns that their socket is gone. */
function closed(response: ServerResponse, socket: Duplex): Promise<void> {
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
