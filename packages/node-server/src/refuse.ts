import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { TransportError } from '@ws/conn';
import { HandshakeError } from './errors.ts';
import type { Handshake } from './handshake.ts';
import { bytesWritten, earlierResponse, isAnswered, isRead, ownResponse } from './http-socket.ts';
import { endAnswered, endRefused } from './linger.ts';
import type { UpgraderOptions } from './options.ts';
import { refusal } from './respond.ts';

/** Writes an answer in place of the default. */
type ErrorHook = UpgraderOptions['error'];

/**
 * Sees to a socket whose handshake has failed: what is a refusal is answered, once the answers before it are out.
 *
 * @throws what the hook throws, or rejects with.
 */
export async function endFailed(
  handshake: Handshake,
  req: IncomingMessage,
  socket: Duplex,
  error: unknown,
  hook: ErrorHook,
): Promise<void> {
  handshake.release();
  if (isAnswered(req, socket)) {
    // Where Node reads the socket it goes on to the next request.
    if (isRead(socket)) return;
    return endAnswered(socket, ownResponse(req, socket), handshake.timeout);
  }
  const told = error instanceof TransportError ? halfClosed(error) : error;
  if (!(told instanceof HandshakeError && (await isDue(handshake, req, socket)))) {
    socket.destroy();
    return;
  }
  await refuse(handshake, req, socket, told, hook);
}

/** What a client is told that has ended its half and may still read. */
function halfClosed(cause: TransportError): HandshakeError {
  const says = 'the client has ended its half of the connection before the answer';
  return new HandshakeError(400, says, { cause });
}

/** Waits for the answers that stand before this one; false when they do not come in time, or nobody is left. */
async function isDue(handshake: Handshake, req: IncomingMessage, socket: Duplex): Promise<boolean> {
  if (earlierResponse(req, socket) === undefined) return socket.writable;
  // It has been waited for already.
  if (handshake.failure !== undefined) return false;
  try {
    await handshake.turn(req);
    return true;
  } catch {
    return false;
  } finally {
    handshake.release();
  }
}

async function refuse(
  handshake: Handshake,
  req: IncomingMessage,
  socket: Duplex,
  error: HandshakeError,
  hook: ErrorHook,
): Promise<void> {
  const before = bytesWritten(socket);
  try {
    if (hook === undefined) socket.write(refusal(error, req.method));
    else await handshake.answered(hook(req, socket, error.status, error));
  } catch (fault) {
    // As long as nothing of another answer is out.
    if (before !== undefined && bytesWritten(socket) === before && socket.writable) {
      socket.write(refusal(error, req.method));
      endRefused(socket);
    } else socket.destroy();
    throw fault;
  }
  endRefused(socket);
}
