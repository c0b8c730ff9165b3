import type { Socket } from 'node:net';
import { BinaryMessage, type Conn, TextMessage } from '@ws/conn';
import { Dialer } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { selfSigned, turn } from '../../src/index.ts';
import {
  nothingLeft,
  OVER,
  type RawPeer,
  rawClient,
  rawServer,
  switchingProtocols,
  upgradeRequest,
  whenOver,
} from '../../src/peers/index.ts';
import { type Answering, answering, payloads } from './answering.ts';

const KINDS = [
  { kind: 'text', opcode: TextMessage },
  { kind: 'binary', opcode: BinaryMessage },
] as const;

/** How often a socket is handed bytes for the kernel: each call of these ends in one system call. */
function countWrites(socket: Socket): () => number {
  let count = 0;
  const write = socket._write.bind(socket);
  const writev = socket._writev!.bind(socket);
  socket._write = (...args) => {
    count++;
    write(...args);
  };
  socket._writev = (...args) => {
    count++;
    writev(...args);
  };
  return () => count;
}

/** How often bytes are read, by whoever reads them. */
function countReads(socket: Socket): () => number {
  let count = 0;
  socket.on('data', () => count++);
  return () => count;
}

/** Sends the messages in one piece, waits for the answers, and says in how many reads and writes they were given. */
async function exchange(peer: RawPeer, socket: Socket, opcode: number): Promise<object> {
  const reads = countReads(socket);
  const writes = countWrites(socket);
  const sent = payloads();
  void peer.bytes(Buffer.concat(sent.map((payload) => peer.encode(opcode, payload))));
  await peer.frame(sent.length - 1);
  expect(peer.frames.map((frame) => frame.opcode)).toEqual(sent.map(() => opcode));
  expect(peer.frames.map((frame) => frame.payload)).toEqual(sent);
  // What comes behind the last answer counts as well.
  await turn();
  return { reads: reads(), writes: writes() };
}

async function servedBy({ run }: Answering, secure: boolean): Promise<[RawPeer, Socket]> {
  const { key, cert } = await selfSigned();
  let accept!: (conn: Conn) => void;
  const accepted = new Promise<Conn>((resolve) => {
    accept = resolve;
  });
  const tls = secure ? { key, cert } : undefined;
  const server = await serve({ host: '127.0.0.1', tls }, async (conn) => {
    accept(conn);
    await run(conn).catch(() => {});
  });
  whenOver(() => server.close({ timeout: 1 }));
  const peer = await rawClient(Number(new URL(server.url).port), secure);
  await peer.bytes(upgradeRequest());
  await peer.head();
  peer.startFrames();
  return [peer, (await accepted).underlyingConn as Socket];
}

async function dialedBy({ run }: Answering, secure: boolean): Promise<[RawPeer, Socket]> {
  let accept!: (peer: RawPeer) => void;
  const accepted = new Promise<RawPeer>((resolve) => {
    accept = resolve;
  });
  const { url, ca } = await rawServer(secure, async (peer) => {
    await peer.bytes(switchingProtocols(await peer.head()));
    peer.startFrames();
    accept(peer);
  });
  const { conn } = await new Dialer({ tls: { ca } }).dial(url);
  whenOver(() => conn.terminate());
  void run(conn).catch(() => {});
  return [await accepted, conn.underlyingConn as Socket];
}

describe.each(OVER)('small messages of one read, over %s,', (_, secure) => {
  nothingLeft();

  for (const way of answering) {
    it.each(KINDS)(
      `are answered by a server in one write ($kind; ${way.says})`,
      async ({ opcode }) => {
        const [peer, socket] = await servedBy(way, secure);
        expect(await exchange(peer, socket, opcode)).toEqual({ reads: 1, writes: 1 });
      },
    );

    it.each(KINDS)(
      `are answered by a client in one write ($kind; ${way.says})`,
      async ({ opcode }) => {
        const [peer, socket] = await dialedBy(way, secure);
        expect(await exchange(peer, socket, opcode)).toEqual({ reads: 1, writes: 1 });
      },
    );
  }
});
