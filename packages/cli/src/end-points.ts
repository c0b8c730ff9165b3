import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { inputOutput, usage } from './failure.ts';
import { addressOf } from './listen.ts';

/** An end of a tunnel. */
export type EndPoint =
  | { readonly kind: 'ws'; readonly text: string }
  | StreamPoint
  | { readonly kind: 'stdio'; readonly text: string };

/** An end of a tunnel that is a socket of bytes. */
export type StreamPoint =
  | { readonly kind: 'tcp'; readonly text: string; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly text: string; readonly path: string };

/** @throws Failure, exit code 2. */
export function parseEndPoint(text: string): EndPoint {
  const [, scheme = '', rest = ''] = /^([a-z+]+):(.*)$/is.exec(text) ?? [];
  switch (scheme.toLowerCase()) {
    case 'ws':
    case 'wss':
    case 'ws+unix':
    case 'wss+unix':
      return { kind: 'ws', text };
    case 'stdio':
      return { kind: 'stdio', text };
    case 'unix':
      if (rest !== '') return { kind: 'unix', text, path: rest };
      break;
    case 'tcp': {
      const address = rest.replace(/^\/\//, '');
      if (/\d$/.test(address)) return { kind: 'tcp', text, ...addressOf(address) };
      break;
    }
    default:
  }
  throw usage(
    `expected an end such as ws://host:8080, tcp:host:5432, unix:/run/app.sock or stdio:, got ${text}`,
  );
}

/** Connects to an end. @throws Failure, exit code 8. */
export async function openStream(point: StreamPoint): Promise<Socket> {
  const socket = connect({ ...optionsOf(point), allowHalfOpen: true });
  // From now on: Node may emit an error before the promise of `begun` has its turn.
  socket.on('error', () => {});
  await begun(point, socket, 'connect');
  return socket;
}

/** Listens at an end. @throws Failure, exit code 8. */
export async function listenAt(
  point: StreamPoint,
  onSocket: (socket: Socket) => void,
): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    onSocket(socket.on('error', () => {}));
  });
  // A failed accept (EMFILE) is an error too, and loses only that client.
  server.on('error', () => {});
  await begun(point, server.listen(optionsOf(point)), 'listening');
  return server;
}

/** @throws Failure, exit code 8, for an error before `event`. */
async function begun(point: StreamPoint, end: Server | Socket, event: string): Promise<void> {
  try {
    await once(end, event);
  } catch (error) {
    throw inputOutput(point.text, error);
  }
}

function optionsOf(point: StreamPoint) {
  return point.kind === 'tcp' ? { host: point.host, port: point.port } : { path: point.path };
}
