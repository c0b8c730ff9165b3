// Messages that wait in a page: what a ReconnectingConn without a reader keeps, when it dials, and how they are read.
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type BrowserConn, ReconnectingConn } from '../src/index.ts';
import { bytes, socketClass } from './fake-web-socket.ts';
import { connected, openAt, pass } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function page() {
  const { WebSocket, sockets } = socketClass();
  const live = new ReconnectingConn('ws://h', { WebSocket, minDelay: 1, maxDelay: 2 });
  onTestFinished(() => void live.close());
  return { sockets, live };
}

describe('C3 a page without a reader', () => {
  it('sends after each of 70 breaks', async () => {
    const { sockets, live } = page();
    for (let i = 0; i < 70; i++) {
      const socket = await openAt(sockets, i);
      if (i > 0) expect(socket.sent).toEqual([String(i)]);
      socket.end();
      await pass(0);
      void live.send(String(i + 1));
      await pass(2);
    }
    expect(sockets).toHaveLength(71);
  });

  it('keeps at most 16 MiB of all its connections, then dials for a reader only', async () => {
    const { sockets, live } = page();
    const size = 5 * 2 ** 20;
    for (let i = 0; i < 4; i++) {
      const socket = await openAt(sockets, i);
      socket.message(bytes(i));
      socket.message(new ArrayBuffer(size));
      socket.end();
      await pass(0);
      void live.send(String(i));
      await pass(5);
    }
    // 20 MiB wait, which three connections may not have and the fourth may exceed.
    await pass(60_000);
    expect(sockets).toHaveLength(4);
    const lengths: number[] = [];
    void live.receive((message) => void lengths.push(message.length));
    await pass(5);
    expect(lengths).toEqual([1, size, 1, size, 1, size, 1, size]);
    expect(sockets).toHaveLength(5);
  });
});

const COUNT = 4_500;

const READS: Readonly<
  Record<string, (conn: BrowserConn, took: (text: string) => void) => unknown>
> = {
  receive: (conn, took) => conn.receive((message) => took(message.text())),
  'receive with a promise': (conn, took) =>
    conn.receive((message) => Promise.resolve().then(() => took(message.text()))),
  async 'for await'(conn, took) {
    for await (const message of conn) took(message.text());
  },
  async readMessage(conn, took) {
    for (;;) took((await conn.readMessage()).text());
  },
  async toStreams(conn, took) {
    const reader = conn.toStreams().readable.getReader();
    for (;;) took(String((await reader.read()).value));
  },
};

describe('C9 a long queue of a page', () => {
  it.each(Object.keys(READS))(
    'gives %s at most 1,000 messages in a turn, in order',
    async (way) => {
      vi.useRealTimers();
      const { conn, socket } = connected();
      const send = (from: number, to: number): void => {
        for (let i = from; i < to; i++) socket.message(String(i));
      };
      send(0, COUNT - 500);
      const got: string[] = [];
      let inTurn = 0;
      let most = 0;
      const turnBegins = async (): Promise<void> => {
        await new Promise((resolve) => void setImmediate(resolve));
        inTurn = 0;
      };
      // Before the read begins, so that each turn of the test begins before that of the queue.
      let turn = turnBegins();
      void Promise.resolve(
        READS[way]!(conn, (text) => {
          got.push(text);
          most = Math.max(most, ++inTurn);
        }),
      ).catch(() => {});
      await turn;
      turn = turnBegins();
      // These arrive while older messages wait for the next turn.
      send(COUNT - 500, COUNT);
      while (got.length < COUNT) {
        await turn;
        turn = turnBegins();
      }
      expect(got).toEqual(Array.from({ length: COUNT }, (_, i) => String(i)));
      expect(most).toBeLessThanOrEqual(1_000);
      conn.terminate();
    },
  );

  it('is read to its end after the connection has ended', async () => {
    vi.useRealTimers();
    const { conn, socket } = connected();
    for (let i = 0; i < COUNT; i++) socket.message(String(i));
    socket.end(1000);
    let count = 0;
    for await (const _ of conn) count++;
    expect(count).toBe(COUNT);
  });
});
