import type { Socket } from 'node:net';
import type { Conn } from '@ws/conn';
import { Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { selfSigned } from '../kit/index.ts';
import {
  type RawPeer,
  rawClient,
  rawServer,
  switchingProtocols,
  upgradeRequest,
  whenOver,
} from '../peers/index.ts';

/** A connection and its raw peer. */
export interface Connected {
  readonly conn: Conn;
  readonly peer: RawPeer;
}

export async function served(
  secure: boolean,
  run?: (conn: Conn) => Promise<unknown>,
): Promise<Connected> {
  const [connected] = await servedMany(1, secure, run);
  return connected!;
}

export async function servedMany(
  count: number,
  secure: boolean,
  run = (conn: Conn): Promise<unknown> => conn.discardReads(),
): Promise<Connected[]> {
  const { key, cert } = await selfSigned();
  let accept!: (conn: Conn) => void;
  const tls = secure ? { key, cert } : undefined;
  const server = await serve({ host: '127.0.0.1', tls }, async (conn) => {
    accept(conn);
    await run(conn).catch(() => {});
  });
  whenOver(() => server.close({ timeout: 1 }));
  const all: Connected[] = [];
  for (let i = 0; i < count; i++) {
    const accepted = new Promise<Conn>((resolve) => {
      accept = resolve;
    });
    const peer = await rawClient(Number(new URL(server.url).port), secure);
    await peer.write(upgradeRequest());
    await peer.head();
    peer.startFrames();
    all.push({ conn: await accepted, peer });
  }
  return all;
}

export async function dialed(
  secure: boolean,
  run: (conn: Conn) => Promise<unknown>,
): Promise<Connected> {
  let accept!: (peer: RawPeer) => void;
  const accepted = new Promise<RawPeer>((resolve) => {
    accept = resolve;
  });
  const { url, ca } = await rawServer(secure, async (peer) => {
    await peer.write(switchingProtocols(await peer.head()));
    peer.startFrames();
    accept(peer);
  });
  const conn = await new Dialer({ tls: { ca } }).dial(url);
  whenOver(() => conn.terminate());
  void run(conn).catch(() => {});
  return { conn, peer: await accepted };
}

/** A memory range. Slabs may share one ArrayBuffer, so `from` belongs to it. */
export interface Place {
  readonly memory: ArrayBufferLike;
  readonly from: number;
  readonly bytes: number;
}

function placeOf({ buffer, byteOffset, length }: Uint8Array): Place {
  return { memory: buffer, from: byteOffset, bytes: length };
}

/** Ranges of each write of the socket to the kernel from now on. */
export function watchWrites(conn: Conn): Place[][] {
  const socket = conn.underlyingConn as Socket;
  const places: Place[][] = [];
  const write = socket._write.bind(socket);
  const writev = socket._writev!.bind(socket);
  socket._write = (chunk: Uint8Array, ...rest) => {
    places.push([placeOf(chunk)]);
    write(chunk, ...rest);
  };
  socket._writev = (parts, ...rest) => {
    places.push(parts.map(({ chunk }) => placeOf(chunk as Uint8Array)));
    writev(parts, ...rest);
  };
  return places;
}

/** Ranges of each read of the socket from now on, before other listeners see them. */
export function watchReads(conn: Conn): Place[] {
  const places: Place[] = [];
  const socket = conn.underlyingConn as Socket;
  socket.prependListener('data', (chunk) => places.push(placeOf(chunk)));
  return places;
}
