import type { Socket } from 'node:net';
import { BinaryMessage, type Conn, TextMessage } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { stoppedClock, turn } from '../kit/index.ts';
import { nothingLeft, type RawPeer, TRANSPORTS } from '../peers/index.ts';
import { answering, payloads } from './answering.ts';
import { dialed, served } from './sockets.ts';

const KINDS = [
  { kind: 'text', opcode: TextMessage },
  { kind: 'binary', opcode: BinaryMessage },
] as const;

/** Counts the writes of a socket: each call ends in one system call. */
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

function countReads(socket: Socket): () => number {
  let count = 0;
  socket.on('data', () => count++);
  return () => count;
}

/** Sends messages in one piece, waits for the answers and counts reads and writes. */
async function exchange(conn: Conn, peer: RawPeer, opcode: number): Promise<object> {
  const socket = conn.underlyingConn as Socket;
  const reads = countReads(socket);
  const writes = countWrites(socket);
  const sent = payloads();
  void peer.write(Buffer.concat(sent.map((payload) => peer.encode(opcode, payload))));
  await peer.frame(sent.length - 1);
  expect(peer.frames.map((frame) => frame.opcode)).toEqual(sent.map(() => opcode));
  expect(peer.frames.map((frame) => frame.payload)).toEqual(sent);
  // A write after the last answer counts as well.
  await turn();
  return { reads: reads(), writes: writes() };
}

describe.each(TRANSPORTS)('small messages of one read over %s', (_, secure) => {
  nothingLeft();
  stoppedClock();

  for (const { says, run } of answering) {
    it.each(KINDS)(`are answered by a server in one write ($kind; ${says})`, async ({ opcode }) => {
      const { conn, peer } = await served(secure, run);
      expect(await exchange(conn, peer, opcode)).toEqual({ reads: 1, writes: 1 });
    });

    it.each(KINDS)(`are answered by a client in one write ($kind; ${says})`, async ({ opcode }) => {
      const { conn, peer } = await dialed(secure, run);
      expect(await exchange(conn, peer, opcode)).toEqual({ reads: 1, writes: 1 });
    });
  }
});

describe.each(TRANSPORTS)('messages of one turn, sent by a server over %s,', (_, secure) => {
  nothingLeft();
  stoppedClock();

  it('leave in one write, even in several slabs', async () => {
    const { conn, peer } = await served(secure);
    const writes = countWrites(conn.underlyingConn as Socket);
    for (let i = 0; i < 50; i++) void conn.send(Buffer.alloc(1000, `${i}, `));
    await peer.frame(49);
    expect(writes()).toBe(1);
  });

  it('leave in one write with a message too large for a copy', async () => {
    const { conn, peer } = await served(secure);
    const writes = countWrites(conn.underlyingConn as Socket);
    void conn.send('before');
    await conn.send(Buffer.alloc(100_000));
    await peer.frame(1);
    expect(writes()).toBe(1);
  });
});
