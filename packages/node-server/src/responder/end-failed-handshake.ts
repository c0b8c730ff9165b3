import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import { isInstance } from '@ws/node-io/internal';
import { HandshakeError } from '../errors.ts';
import type { Handshake } from '../handshake.ts';
import type { ErrorHook } from '../policies/error-hook.ts';
import type { AppRequest } from '../server-request.ts';
import {
  earlierResponse,
  isAnswered,
  isHttpReading,
  ownResponse,
  WriteWatch,
} from './http-socket.ts';
import { endAnsweredSocket, endRefusedSocket } from './linger.ts';
import { writeRefusal } from './write-refusal.ts';

/**
 * Returns the refusal for the error of a handshake; undefined for an error that is not answered.
 */
export function refusalOf(error: unknown, socket: Duplex): HandshakeError | undefined {
  if (isInstance(error, HandshakeError)) return error;
  return isInstance(error, TransportError) && socket.writable
    ? halfClosedRefusal(error)
    : undefined;
}

/**
 * Ends the socket of a handshake that was rejected. A refusal is answered first, after the
 * responses to earlier requests.
 *
 * @param refusal - Undefined destroys the socket without an answer.
 * @throws the error of `hook`.
 */
export async function endFailedHandshake(
  handshake: Handshake,
  req: AppRequest,
  socket: Duplex,
  refusal: HandshakeError | undefined,
  hook: ErrorHook,
): Promise<void> {
  handshake.release();
  if (isAnswered(req, socket)) {
    // Node still reads the socket and continues with the next request.
    if (isHttpReading(socket)) return;
    return endAnsweredSocket(socket, ownResponse(req, socket), handshake.timeout);
  }
  if (refusal === undefined || !(await canAnswer(handshake, req, socket))) {
    socket.destroy();
    return;
  }
  await answer(handshake, req, socket, refusal, hook);
}

/** A client that has half-closed may still read this refusal. */
function halfClosedRefusal(cause: TransportError): HandshakeError {
  const message = 'the client has ended its half of the connection before the answer';
  return new HandshakeError(400, message, { cause });
}

/**
 * Waits for the responses to earlier requests.
 *
 * @returns false when they do not finish in time, or when the client has disconnected.
 */
async function canAnswer(handshake: Handshake, req: AppRequest, socket: Duplex): Promise<boolean> {
  if (earlierResponse(req, socket) === undefined) return socket.writable;
  // The handshake failed while it waited for these responses.
  if (handshake.failure !== undefined) return false;
  try {
    await handshake.waitForEarlierResponses(req);
    return true;
  } catch {
    return false;
  } finally {
    handshake.release();
  }
}

async function answer(
  handshake: Handshake,
  req: AppRequest,
  socket: Duplex,
  refusal: HandshakeError,
  hook: ErrorHook,
): Promise<void> {
  if (!hook.isAvailable) {
    writeRefusal(socket, refusal, req.method);
    return endRefusedSocket(socket);
  }
  const watch = new WriteWatch(socket);
  const isUnanswered = (): boolean => !watch.wrote && socket.writable;
  try {
    await handshake.waitForAnswer(hook.call(req, socket, refusal, handshake.timeout));
  } catch (fault) {
    // A part of an answer is worse than none.
    if (!isUnanswered()) socket.destroy();
    throw fault;
  } finally {
    watch.stop();
    // A hook may only log.
    if (isUnanswered()) writeRefusal(socket, refusal, req.method);
    endRefusedSocket(socket);
  }
}
