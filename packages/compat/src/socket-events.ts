import type { Duplex } from 'node:stream';
import { CloseCode, CloseMessage } from '@ws/codec';
import { CLOSED, CLOSING, type Connection, OPEN } from './connection.ts';
import type { FaultError } from './errors.ts';
import type { ParserEvents } from './message-parser.ts';
import { disown, ownerOf } from './owned-socket.ts';
import { nextTick, platform } from './platform.ts';

/** Connects the events of the socket with the connection that owns it. */
export function listen(socket: Duplex): void {
  socket.on('close', onClose);
  socket.on('data', onData);
  socket.on('end', onEnd);
  socket.on('error', onError);
}

export const parserEvents: ParserEvents<Connection> = {
  /** Ends the connection when too many answers wait for the socket. */
  answerPing(ws, data) {
    // The socket may have ended since.
    if (ws._readyState !== OPEN) return;
    const limit = ws._maxPendingAutoPongs;
    if (limit > 0 && ws._pendingAutoPongs >= limit) return ws.terminate();
    ws._pendingAutoPongs++;
    ws._onPongSent ??= () => {
      ws._pendingAutoPongs--;
    };
    ws.pong(data, !ws._isServer, ws._onPongSent);
  },
  conclude(ws, code, reason, inflated) {
    if (!stopReading(ws)) return;
    const answer = (): void => {
      if (code === CloseCode.NoStatusReceived) ws.close();
      else ws.close(code, reason);
    };
    afterTurns(inflated, () => {
      if (ws._delaysAnswer?.(answer) !== true) answer();
    });
  },
  fault(ws, error) {
    nextTick(onFault, ws, error);
  },
  drain(ws) {
    if (!ws._paused) ws._stream!.resume();
  },
  finish(ws) {
    if (ownerOf(ws._stream!) === undefined && ws._readyState !== CLOSED) ws.emitClose();
  },
};

/**
 * ws inflates each message in a turn, so an application has as many turns to answer them before the
 * close that follows.
 */
function afterTurns(turns: number, callback: () => void): void {
  if (turns === 0) callback();
  else platform.yield(() => afterTurns(turns - 1, callback));
}

/** From now on, input is read and dropped. Returns false when the socket has closed. */
function stopReading(ws: Connection): boolean {
  const socket = ws._stream!;
  if (ownerOf(socket) === undefined) return false;
  socket.removeListener('data', onData);
  process.nextTick(resume, socket);
  return true;
}

function resume(socket: Duplex): void {
  socket.resume();
}

/** The peer broke a rule. */
function onFault(ws: Connection, error: FaultError): void {
  if (stopReading(ws)) sendClose(ws);
  emitError(ws, error);
}

/** Sends the close frame of the machine, or ends the socket when that is sent and answered. */
export function sendClose(ws: Connection): void {
  if (ws._readyState !== OPEN) return endIfAnswered(ws);
  ws._sender!.control(CloseMessage, ws._receiver!.closePayload, !ws._isServer, (error) => {
    // This error is that of the socket.
    if (error) return;
    ws._closeFrameSent = true;
    endIfAnswered(ws);
  });
  ws._readyState = CLOSING;
  startCloseTimer(ws);
}

/** As in ws, a client does not wait for the server to end the socket first. */
function endIfAnswered(ws: Connection): void {
  if (ws._closeFrameSent && ws._receiver!.concluded) ws._stream!.end();
}

/** A message could not be sent, for another reason than an error of the socket. */
export function onSendError(ws: Connection, error: Error): void {
  if (ws._readyState === CLOSED) return;
  if (ws._readyState === OPEN) {
    ws._readyState = CLOSING;
    startCloseTimer(ws);
  }
  ws._stream!.end();
  emitError(ws, error);
}

/** A connection emits one error. */
function emitError(ws: Connection, error: Error): void {
  if (ws._errorEmitted) return;
  ws._errorEmitted = true;
  ws.emit('error', error);
}

/** Ends a closing handshake that hangs. */
function startCloseTimer(ws: Connection): void {
  const socket = ws._stream!;
  ws._closeTimer = setTimeout(() => socket.destroy(), ws._closeTimeout);
}

function onData(this: Duplex, chunk: Buffer): void {
  const receiver = ownerOf(this)!._receiver!;
  receiver.receive(chunk);
  if (receiver.full) this.pause();
}

function onEnd(this: Duplex): void {
  const ws = ownerOf(this)!;
  ws._readyState = CLOSING;
  ws._receiver!.end();
  this.end();
}

function onError(this: Duplex): void {
  this.removeListener('error', onError);
  this.on('error', () => {});
  const ws = ownerOf(this);
  if (ws === undefined) return;
  ws._readyState = CLOSING;
  this.destroy();
}

function onClose(this: Duplex): void {
  const ws = ownerOf(this)!;
  const receiver = ws._receiver!;
  this.removeListener('close', onClose);
  this.removeListener('data', onData);
  this.removeListener('end', onEnd);
  ws._readyState = CLOSING;
  // A paused socket may have bytes that were not read.
  if (!this.readableEnded && !receiver.concluded && this.readableLength > 0) {
    const rest = this.read(this.readableLength) as Buffer | null;
    if (rest !== null) receiver.receive(rest);
  }
  receiver.end();
  // The callbacks of unsent frames get the error of the socket.
  ws._frames?.flush();
  disown(this);
  clearTimeout(ws._closeTimer);
  if (receiver.finished) ws.emitClose();
}
