// Ten restarts of a server while its client sends: nothing that a connection has accepted is lost.
import { setTimeout as wait } from 'node:timers/promises';
import { ReconnectingConn } from '@ws/node-client';
import { type Conn, serve, type WsServer } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { nothingLeft, ownPort, whenOver } from '../peers/index.ts';

const RESTARTS = 10;

/** Ways in which the server handles a message. */
const handlers: Record<string, (got: string[]) => (conn: Conn) => unknown> = {
  'receive at once': (got) => (conn) => conn.receive((message) => void got.push(message.text())),
  'receive in 5 ms': (got) => (conn) =>
    conn.receive(async (message) => {
      const text = message.text();
      await wait(5);
      got.push(text);
    }),
  'a loop that answers': (got) => async (conn) => {
    for await (const message of conn) {
      got.push(message.text());
      void conn.send(message);
    }
  },
};

describe('ten restarts under load', () => {
  nothingLeft();

  it.each(Object.keys(handlers))('lose nothing that was sent: %s', async (name) => {
    const got: string[] = [];
    const handler = handlers[name]!(got);
    const port = await ownPort();
    let server: WsServer = await serve({ host: '127.0.0.1', port }, handler);
    whenOver(() => server.close());
    const live = new ReconnectingConn(server.url, { minDelay: 5, maxDelay: 20, report: () => {} });
    whenOver(() => live.close());
    void live.receive(() => {});
    let sending = true;
    const sent: string[] = [];
    const sender = (async () => {
      while (sending) {
        const text = `m${sent.length}`;
        await live.send(text);
        sent.push(text);
        await wait(1);
      }
    })();
    for (let i = 0; i < RESTARTS; i++) {
      const enough = sent.length + 10;
      while (sent.length < enough) await wait(1);
      await server.close({ timeout: 10_000 });
      server = await serve({ host: '127.0.0.1', port }, handler);
    }
    sending = false;
    await sender;
    await live.close();
    await server.close();
    expect(got).toEqual(sent);
  });
});
