import { connect, createServer, type Server, type Socket } from 'node:net';
import { Endpoint, type EndpointEvent } from '@ws/codec';
import { accept, type Open, request, TIMEOUT } from './handshake.ts';

/** Echoes every message. */
export function serve(port: number, origins: readonly string[] = []): Server {
  const open: Open = (early, socket) => run(socket, new Endpoint({ role: 'server' }), early, echo);
  return createServer((socket) => accept(socket, origins, open)).listen(port);
}

function echo(event: EndpointEvent, endpoint: Endpoint): void {
  if (event.kind === 'text') endpoint.send(event.text);
  if (event.kind === 'binary') endpoint.send(event.data);
}

/** Calls `handle` for each event of a connection, after `hello`. */
export function dial(port: number, hello: string, handle: typeof echo): Socket {
  const endpoint = new Endpoint({ role: 'client' });
  endpoint.send(hello);
  const open: Open = (early, socket) => run(socket, endpoint, early, handle);
  return request(connect(port), `localhost:${port}`, open);
}

function run(socket: Socket, endpoint: Endpoint, early: Uint8Array, handle: typeof echo): void {
  const step = (events: EndpointEvent[]): void => {
    for (const event of events) handle(event, endpoint);
    // A peer that does not read is not read either.
    endpoint.output((chunk, release) => socket.write(chunk, release) || socket.pause());
    if (endpoint.finished) socket.end().removeAllListeners('data').resume();
    if (endpoint.state !== 'open') setTimeout(() => socket.destroy(), TIMEOUT).unref();
  };
  const end = (): void => step(endpoint.end());
  socket.on('drain', () => socket.resume()).on('data', (chunk) => step(endpoint.receive(chunk)));
  // A reset has no 'end'.
  socket.on('end', end).on('close', end);
  step(endpoint.receive(early));
}
