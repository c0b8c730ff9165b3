import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import * as ws from '@ws/codec';

const TIMEOUT = 5_000; // ms for the head of the peer, and for its part of the close
const MAX_INTERIM = 16; // answers before the last one

/** Echoes every message. Of all web pages, only those of `origins` may connect. */
export function serve(port: number, origins: readonly string[] = []): Server {
  return createServer((socket) => {
    readHead(socket, ws.RequestHead, (head, early) => {
      const isForeign = head.has('origin') && !origins.includes(head.list('origin'));
      const foreign = isForeign ? { status: 403, message: 'origin not allowed' } : undefined;
      const refusal: ws.Refusal | undefined = head.fault ?? ws.checkRequest(head) ?? foreign;
      if (refusal === undefined) {
        socket.write(ws.formatSwitching(head.once('sec-websocket-key')!));
        return run(socket, 'server', new ws.Endpoint({ role: 'server' }), early, echo);
      }
      const answer = ws.formatRefusal(refusal.status, refusal.headers, refusal.message);
      socket.end(answer, () => socket.destroy());
    });
  }).listen(port, '127.0.0.1');
}

function echo(event: ws.EndpointEvent, endpoint: ws.Endpoint): void {
  if (event.kind === 'text') endpoint.send(event.text);
  if (event.kind === 'binary') endpoint.send(event.data);
}

/** Sends `hello`, and calls `handle` for each event of the connection. */
export function dial(port: number, hello: string, handle: typeof echo): Socket {
  const key = randomBytes(16).toString('base64');
  const socket = connect(port, '127.0.0.1');
  socket.write(ws.formatRequest('/', `localhost:${port}`, key));
  return readHead(socket, ws.ResponseHead, (head, early) => {
    // Nothing was offered, so the answer may select nothing (RFC 6455, section 4.1).
    const offer = { accept: ws.acceptKey(key), subprotocols: [], extensions: [] };
    const fault = head.fault?.message ?? ws.checkResponse(head, offer)[0];
    if (fault !== undefined) return socket.destroy(new Error(`the server answered: ${fault}`));
    const endpoint = new ws.Endpoint({ role: 'client' });
    endpoint.send(hello);
    return run(socket, 'client', endpoint, early, handle);
  });
}

type Done<Head> = (head: Head, early: Uint8Array) => unknown;

/** Reads a head, after a few interim ones such as 103 (RFC 9110, section 15.2). */
function readHead<H extends ws.Head>(socket: Socket, Head: new () => H, done: Done<H>): Socket {
  const timer = setTimeout(() => socket.destroy(), TIMEOUT).unref();
  let head = new Head();
  let interim = 0;
  const read = (chunk: Uint8Array): void => {
    const verdict = head.push(chunk);
    if (verdict === 'more') return;
    const early = chunk.subarray(head.end);
    const isInterim = head instanceof ws.ResponseHead && head.status < 200 && head.status !== 101;
    if (verdict === 'done' && isInterim && ++interim <= MAX_INTERIM) {
      head = new Head();
      return read(early);
    }
    clearTimeout(timer);
    socket.off('data', read);
    done(head, early);
  };
  return socket.on('data', read).on('error', () => {});
}

function run(
  socket: Socket,
  role: ws.Role,
  endpoint: ws.Endpoint,
  early: Uint8Array,
  handle: typeof echo,
): void {
  const step = (events: ws.EndpointEvent[]): void => {
    for (const event of events) handle(event, endpoint);
    // Both ends answer what they read, so a peer that does not read is not read either. An end that
    // also sends on its own reads on: two such ends could wait for each other.
    endpoint.output((chunk, release) => socket.write(chunk, release) || socket.pause());
    if (endpoint.finished) socket.removeAllListeners('data').resume();
    // A client waits for the end of the server (RFC 6455, section 7.1.1).
    if (endpoint.finished && role === 'server') socket.end();
    if (endpoint.state !== 'open') setTimeout(() => socket.destroy(), TIMEOUT).unref();
  };
  socket.on('drain', () => socket.resume()).on('data', (chunk) => step(endpoint.receive(chunk)));
  socket.on('close', () => step(endpoint.end()));
  step(endpoint.receive(early));
}
