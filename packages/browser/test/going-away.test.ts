// Firefox ends all connections of a page with 1001 at a click on a download, an answer 204 and
// `window.stop()`. A server's 1001 says the same to a page: dial again.
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { connected, rejection } from './support.ts';

const END = { name: 'CloseError', closeCode: 1001 };

describe('P4 an end with 1001 in a page', () => {
  it('makes a loop throw, after the messages that have arrived', async () => {
    const { conn, socket } = connected();
    socket.message('a');
    socket.end(1001);
    const texts: string[] = [];
    const iterate = async (): Promise<void> => {
      for await (const message of conn) texts.push(message.text());
    };
    expect(await rejection(iterate())).toMatchObject(END);
    expect(texts).toEqual(['a']);
  });

  it('makes a pending loop throw', async () => {
    const { conn, socket } = connected();
    const next = conn[Symbol.asyncIterator]().next();
    socket.end(1001);
    expect(await rejection(next)).toMatchObject(END);
  });

  it('rejects receive and discardReads', async () => {
    const { conn, socket } = connected();
    const receiving = conn.receive(() => {});
    socket.end(1001);
    expect(await rejection(receiving)).toMatchObject(END);
    const other = connected();
    const discarding = other.conn.discardReads();
    other.socket.end(1001);
    expect(await rejection(discarding)).toMatchObject(END);
  });

  it('gives closed an error, with the code and reason of the peer', async () => {
    const { conn, socket } = connected();
    socket.end(1001, 'server shuts down');
    expect(await conn.closed).toMatchObject({
      code: 1001,
      reason: 'server shuts down',
      wasClean: true,
      error: END,
    });
  });

  it('fails writes and streams', async () => {
    const { conn, socket } = connected();
    const { readable, writable } = conn.toStreams();
    const reading = readable.getReader().read();
    socket.end(1001);
    expect(await rejection(reading)).toMatchObject(END);
    expect(await rejection(conn.send('late'))).toMatchObject(END);
    expect(await rejection(writable.getWriter().close())).toMatchObject(END);
  });

  it('rejects calls', async () => {
    const { conn, socket } = connected();
    const own = contract({ server: { slow: method(z.number(), z.number()) } });
    const call = own.connect(conn, {}).slow(1);
    socket.end(1001);
    expect(await rejection(call)).toMatchObject(END);
  });

  it('is a normal end when the page has closed the connection before', async () => {
    const { conn, socket } = connected();
    const receiving = conn.receive(() => {});
    void conn.close();
    socket.end(1001);
    const { error } = await conn.closed;
    expect(error).toBeUndefined();
    expect(await receiving).toMatchObject({ code: 1001, wasClean: true });
  });
});
