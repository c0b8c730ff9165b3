import Module, { createRequire } from 'node:module';
import type { Server as SocketIoServer } from 'socket.io';

/** Heartbeats would be part of the cost, and the other servers send none. */
const NO_HEARTBEAT_MS = 3_600_000;

const require = createRequire(import.meta.url);

interface Resolver {
  _resolveFilename(request: string, ...more: unknown[]): string;
}

/** Makes each later `require('ws')` load @ws/compat: what an override in package.json does. */
export function swapWs(): void {
  const loader = Module as unknown as Resolver;
  const resolve = loader._resolveFilename.bind(loader);
  const compat = require.resolve('@ws/compat');
  loader._resolveFilename = (request, ...more) =>
    request === 'ws' ? compat : resolve(request, ...more);
}

/** Options of engine.io and of socket.io. */
export const IO_OPTIONS = {
  transports: ['websocket' as const],
  pingInterval: NO_HEARTBEAT_MS,
};

/** Loads socket.io, and with it ws. */
export async function socketIo(): Promise<typeof SocketIoServer> {
  return (await import('socket.io')).Server;
}

/** A server of engine.io, which attaches to a server of HTTP. */
export interface EngineIo {
  attach(http: object): void;
  on(event: 'connection', listener: (socket: EngineIoSocket) => void): void;
}

interface EngineIoSocket {
  on(event: 'message', listener: (data: string) => void): void;
  send(data: string): void;
}

/** Loads the engine.io of socket.io, and with it ws. */
export function engineIo(): EngineIo {
  const { Server } = createRequire(require.resolve('socket.io'))('engine.io') as {
    Server: new (options: object) => EngineIo;
  };
  return new Server(IO_OPTIONS);
}
