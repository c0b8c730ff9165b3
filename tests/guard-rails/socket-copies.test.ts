// `copies.test.ts` through the sockets of Node: compares memory ranges.
import type { Socket } from 'node:net';
import { sharedSlabPool } from '@ws/codec';
import { simdReadBuffer } from '@ws/codec/internal';
import { BinaryMessage, broadcast, type Conn } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { nothingLeft, type RawPeer, TRANSPORTS } from '../peers/index.ts';
import { dialed, type Place, served, servedMany, watchReads, watchWrites } from './sockets.ts';

const MIB = 1024 * 1024;
const ENDS = [
  { end: 'server', connect: served },
  { end: 'client', connect: dialed },
] as const;

/** Sends messages of `size` bytes in one piece. */
function sendAll(peer: RawPeer, count: number, size: number): Promise<void> {
  const frame = peer.encode(BinaryMessage, Buffer.alloc(size, 'a'));
  return peer.write(Buffer.alloc(count * frame.length, frame));
}

/** The distinct items. Compare buffers by identity before `expect`, which would print their bytes. */
function distinct<T>(all: readonly T[]): T[] {
  return [...new Set(all)];
}

/** How many of the written bytes are in `memory`. */
function bytesFrom(memory: ArrayBufferLike, writes: readonly (readonly Place[])[]): number {
  const places = writes.flat().filter((place) => place.memory === memory);
  return places.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Echoes, and records the memory of each lent message. */
function echoing(lent: ArrayBufferLike[]): (conn: Conn) => Promise<unknown> {
  return (conn) =>
    conn.receive((message) => {
      lent.push(message.borrow().buffer);
      return conn.send(message);
    });
}

describe.each(TRANSPORTS)('a message received over %s', (_, secure) => {
  nothingLeft();

  it.each(ENDS)('is lent by a $end in the memory of the SIMD kernel', async ({ connect }) => {
    const lent: ArrayBufferLike[] = [];
    const { peer } = await connect(secure, echoing(lent));
    await sendAll(peer, 10, 100);
    await peer.frame(9);
    expect(lent.length).toBe(10);
    expect(distinct(lent).length).toBe(1);
    expect(lent[0] === simdReadBuffer()!.buffer).toBe(true);
  });

  it('is echoed from the memory it was assembled in, when it is large', async () => {
    const lent: ArrayBufferLike[] = [];
    const { conn, peer } = await served(secure, echoing(lent));
    const writes = watchWrites(conn);
    await sendAll(peer, 1, MIB);
    await peer.frame();
    // With the frame header before it.
    expect(bytesFrom(lent[0]!, writes)).toBe(MIB + 10);
  });

  it('is copied for a loop in blocks of eight', async () => {
    const memory: ArrayBufferLike[] = [];
    const { conn, peer } = await served(secure, async (conn) => {
      for await (const { type, data } of conn) {
        memory.push(data.buffer);
        await conn.writeMessage(type, data);
      }
    });
    const reads = watchReads(conn);
    await sendAll(peer, 64, 128);
    await peer.frame(63);
    expect(reads.length).toBe(1);
    expect(memory.length).toBe(64);
    expect(distinct(memory).length).toBe(8);
    expect(memory.includes(reads[0]!.memory)).toBe(false);
  });
});

describe.each(TRANSPORTS)('a message sent by a server over %s', (_, secure) => {
  nothingLeft();

  it('reaches the socket in the memory of the caller, when it is large', async () => {
    const { conn, peer } = await served(secure);
    const writes = watchWrites(conn);
    const data = Buffer.alloc(MIB);
    await conn.send(data);
    await peer.frame();
    expect(bytesFrom(data.buffer, writes)).toBe(MIB);
  });

  it('is broadcast with one write per connection from the same memory', async () => {
    const all = await servedMany(5, secure);
    const writes = all.map(({ conn }) => watchWrites(conn));
    const conns = all.map(({ conn }) => conn);
    expect(broadcast(conns, Buffer.alloc(100, 'a'))).toBe(5);
    expect(broadcast(conns, 'and more')).toBe(5);
    await Promise.all(all.map(({ peer }) => peer.frame(1)));
    const places = writes.flat(2);
    expect(writes.map((own) => own.length)).toEqual([1, 1, 1, 1, 1]);
    expect(places.map(({ bytes }) => bytes)).toHaveLength(5);
    expect(distinct(places.map(({ memory }) => memory)).length).toBe(1);
    expect(distinct(places.map(({ from }) => from))).toHaveLength(1);
  });
});

describe('the slab of a small answer over TCP', () => {
  nothingLeft();

  it('is released within the read and serves the next connection', async () => {
    const all = await servedMany(3, false, echoing([]));
    const lent: number[] = [];
    const places: Place[] = [];
    for (const { conn, peer } of all) {
      const before = sharedSlabPool().lent;
      const writes = watchWrites(conn);
      // This listener runs after that of the connection.
      const socket = conn.underlyingConn as Socket;
      socket.on('data', () => lent.push(sharedSlabPool().lent - before));
      await sendAll(peer, 1, 100);
      await peer.frame();
      places.push(...writes.flat());
    }
    expect(lent).toEqual([0, 0, 0]);
    expect(places.map(({ bytes }) => bytes)).toHaveLength(3);
    expect(distinct(places.map(({ memory }) => memory)).length).toBe(1);
    expect(distinct(places.map(({ from }) => from))).toHaveLength(1);
  });
});
