// A server that closes delivers what its clients have sent before they saw the close frame.
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { dial } from '@ws/node-client';
import { nothingLeft, whenOver } from '@ws/tests/peers';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Conn, serve, Upgrader } from '../../src/index.ts';

/** A client that sends until it sees the close frame. */
interface Sender {
  readonly open: boolean;
  send(text: string): void;
}

const clients: Record<string, (url: string) => Promise<Sender>> = {
  async ws(url) {
    const ws = new WebSocket(url, { perMessageDeflate: false });
    await once(ws, 'open');
    return {
      get open() {
        return ws.readyState === WebSocket.OPEN;
      },
      send: (text) => ws.send(text),
    };
  },
  async ours(url) {
    const conn = await dial(url);
    void conn.discardReads();
    return {
      get open() {
        return conn.state === 'open';
      },
      send: (text) => void conn.send(text),
    };
  },
};

/** Sends 20 messages per ms, at most `most`, until the close frame. Returns their number. */
async function sendAll(client: Sender, most: number): Promise<number> {
  let sent = 0;
  for (const start = performance.now(); sent < most && client.open; await wait(0)) {
    const due = Math.min(most, Math.ceil((performance.now() - start) * 20));
    while (sent < due && client.open) client.send(`m${sent++}`);
  }
  return sent;
}

/** Ways in which a handler of the server reads. */
const handlers: Record<
  string,
  (handled: string[], ms: number) => (conn: Conn) => Promise<unknown> | void
> = {
  'a returned receive': (handled, ms) => (conn) =>
    conn.receive((message) => {
      handled.push(message.text());
      return ms === 0 ? undefined : wait(ms);
    }),
  'a receive that is not returned': (handled, ms) => (conn) => {
    void conn.receive(async (message) => {
      const text = message.text();
      if (ms > 0) await wait(ms);
      handled.push(text);
    });
  },
  'a loop that answers': (handled, ms) => async (conn) => {
    for await (const message of conn) {
      handled.push(message.text());
      if (ms > 0) await wait(ms);
      void conn.send(message);
    }
  },
  'readMessage that awaits its answer': (handled, ms) => async (conn) => {
    for (;;) {
      const message = await conn.readMessage();
      handled.push(message.text());
      if (ms > 0) await wait(ms);
      await conn.send(message).catch(() => {});
    }
  },
};

const numbered = (count: number): string[] => Array.from({ length: count }, (_, i) => `m${i}`);

/** Messages per client: as many as a handler of `ms` can handle in the time of a test. */
const MOST: Readonly<Record<number, number>> = { 0: 20_000, 5: 40, 50: 4 };

const cases = Object.keys(clients).flatMap((client) =>
  Object.keys(handlers).flatMap((handler) => [0, 5, 50].map((ms) => ({ client, handler, ms }))),
);

describe('a server that closes under load', () => {
  nothingLeft();

  it.each(cases)('loses nothing of $client: $handler, $ms ms', async ({ client, handler, ms }) => {
    const handled: string[] = [];
    const server = await serve({ host: '127.0.0.1' }, handlers[handler]!(handled, ms));
    whenOver(() => server.close());
    const sender = await clients[client]!(server.url);
    const sending = sendAll(sender, MOST[ms]!);
    while (handled.length === 0) await wait(1);
    await wait(ms === 0 ? 20 : 2);
    const result = await server.close({ code: 1001 });
    expect(handled).toEqual(numbered(await sending));
    expect(result).toEqual({ closed: 1, terminated: 0, handlersPending: 0 });
  });

  it('drops what has not been read with the option discard', async () => {
    const handled: string[] = [];
    let conn!: Conn;
    const server = await serve({ host: '127.0.0.1', close: { discard: true } }, (opened) => {
      conn = opened;
      return handlers['a returned receive']!(handled, 5)(opened);
    });
    whenOver(() => server.close());
    const sending = sendAll(await clients['ours']!(server.url), 200);
    while (handled.length === 0) await wait(1);
    await wait(20);
    await server.close();
    const sent = await sending;
    expect(handled.length).toBeLessThan(sent);
    expect(handled.length + conn.stats.messagesDropped).toBe(sent);
  });

  it.each([1, 'yes', null])('rejects discard: %j', async (discard) => {
    const upgrader = new Upgrader();
    const options = { discard } as unknown as { discard: boolean };
    await expect(upgrader.close(options)).rejects.toThrow('close.discard: expected true or false');
    expect(() => new Upgrader({ close: options })).toThrow(TypeError);
  });
});
