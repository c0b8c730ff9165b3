import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Role } from '@ws/codec';
import { accept, type Open, request, TIMEOUT } from './handshake.ts';
import { Peer } from './peer.ts';

/** Echoes every message. */
export function serve(port: number, origins: readonly string[] = []): Server {
  const open: Open = (early, socket) => {
    const peer = new Peer('server');
    peer.onMessage = (type, payload) => peer.send(type, payload);
    run(socket, 'server', peer, early);
  };
  return createServer((socket) => accept(socket, origins, open)).listen(port, '127.0.0.1');
}

/** Connects `peer` to a server. Set its handlers before. */
export function dial(port: number, peer: Peer): Socket {
  const open: Open = (early, socket) => run(socket, 'client', peer, early);
  return request(connect(port, '127.0.0.1'), `localhost:${port}`, open);
}

function run(socket: Socket, role: Role, peer: Peer, early: Uint8Array): void {
  const flush = (): void => {
    // A peer that does not read is not read either.
    peer.flush((chunk, release) => socket.write(chunk, release) || socket.pause());
    if (!peer.ended) return;
    socket.removeAllListeners('data').resume();
    // A client waits for the end of the server (RFC 6455, section 7.1.1).
    if (role === 'server') socket.end();
    setTimeout(() => socket.destroy(), TIMEOUT).unref();
  };
  const receive = (chunk: Uint8Array): void => {
    peer.receive(chunk);
    flush();
  };
  socket.on('drain', () => socket.resume()).on('data', receive);
  // A reset has no 'end'.
  socket.on('end', () => peer.end()).on('close', () => peer.end());
  receive(early);
}
