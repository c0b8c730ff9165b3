import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Connection } from './connection.ts';

/** The connection of a socket, so that listeners of the socket need no closure. */
const OWNER = Symbol('websocket');
/** Other code has references to the socket too, such as `request.socket`. */
const WRITING = ['write', 'end', 'destroy'] as const;

type Method = (...args: unknown[]) => unknown;

interface OwnedSocket extends Duplex {
  [OWNER]?: Connection | undefined;
}

/** For each method of a socket: the same, after all frames were written. */
const flushing = new WeakMap<Method, Method>();

/** The connection that uses `socket`. */
export function ownerOf(socket: Duplex): Connection | undefined {
  return (socket as OwnedSocket)[OWNER];
}

/** From now on, whatever writes to the socket, or ends it, writes the frames of `ws` first. */
export function own(socket: Duplex, ws: Connection): void {
  (socket as OwnedSocket)[OWNER] = ws;
  const methods = socket as unknown as Record<string, Method>;
  for (const name of WRITING) methods[name] = afterFrames(methods[name]!);
}

export function disown(socket: Duplex): void {
  (socket as OwnedSocket)[OWNER] = undefined;
}

function afterFrames(method: Method): Method {
  let wrapped = flushing.get(method);
  if (wrapped === undefined) {
    wrapped = function (this: OwnedSocket, one: unknown, two: unknown, three: unknown): unknown {
      this[OWNER]?._frames?.flush();
      return method.call(this, one, two, three);
    };
    flushing.set(method, wrapped);
  }
  return wrapped;
}

/** The methods of all sockets, TLS too. */
const { write, _write } = Socket.prototype as unknown as Record<string, Method>;
const flushingWrite = afterFrames(write!);

/**
 * Whether the methods that write are those of Node. Others, as of a program that simulates a slow
 * network, may keep the bytes after they have reported them as written.
 */
export function isUnchanged(socket: Duplex): boolean {
  const methods = socket as unknown as Record<string, Method>;
  const isNodes = methods['write'] === flushingWrite || methods['write'] === write;
  return isNodes && methods['_write'] === _write;
}
