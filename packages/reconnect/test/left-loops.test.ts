// Loops that are left, abandoned or never begun, and the connections that they have not read.
import v8 from 'node:v8';
import { Conn, connPair } from '@ws/conn';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { dials, fast } from './dials.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function live(all: Pick<ReturnType<typeof dials>, 'dial'>, options?: ReconnectingConnOptions) {
  const client = new ReconnectingConn(all.dial, { ...fast, report: () => {}, ...options });
  onTestFinished(() => void client.close());
  return client;
}

function once(client: ReconnectingConn, event: 'open' | 'close'): Promise<void> {
  return new Promise((resolve) => {
    const remove = client.on(event, () => {
      remove();
      resolve();
    });
  });
}

/** Ends the connection, which has this number, at the server. */
async function breakAt(all: ReturnType<typeof dials>, client: ReconnectingConn, i: number) {
  const ended = once(client, 'close');
  (await all.server(i)).terminate();
  await ended;
}

/** What has happened before the breaks. */
const READERS: Record<string, (client: ReconnectingConn) => unknown> = {
  'no reader': () => {},
  'a loop that was left': async (client) => {
    for await (const _ of client) break;
  },
  'an abandoned loop': (client) => client[Symbol.asyncIterator]().next(),
};

const resend = { id: String, acknowledged: () => undefined };

describe('C3 a ReconnectingConn that only sends', () => {
  it.each(Object.keys(READERS))('sends after each of 70 breaks, with %s', async (reader) => {
    const all = dials();
    const client = live(all);
    const reading = READERS[reader]!(client);
    if (reader !== 'no reader') await (await all.server(0)).send('for the reader');
    await reading;
    await all.server(0);
    for (let i = 0; i < 70; i++) {
      await breakAt(all, client, i);
      const sent = client.send(String(i));
      const server = await all.server(i + 1);
      expect((await server.readMessage()).text()).toBe(String(i));
      await sent;
    }
  });

  it('dials by reconnect() after 70 connections', async () => {
    const all = dials();
    const client = live(all);
    for (let i = 0; i < 70; i++) await client.reconnect();
    expect(all.servers.length).toBeGreaterThanOrEqual(70);
  });

  it('stops at 64 connections with unread messages, until a reader comes', async () => {
    const all = dials();
    const client = live(all);
    for (let i = 0; i < 64; i++) {
      await (await all.server(i)).send(`unread ${i}`);
      await turn();
      await breakAt(all, client, i);
      if (i < 63) await client.send(String(i));
    }
    const last = client.send('last');
    for (let i = 0; i < 20; i++) await turn();
    expect(all.servers).toHaveLength(64);
    const texts: string[] = [];
    for await (const message of client) if (texts.push(message.text()) === 64) break;
    expect(texts).toEqual(Array.from({ length: 64 }, (_, i) => `unread ${i}`));
    void client.receive(() => {});
    await last;
  });
});

describe('C3 return() beside a pending next()', () => {
  describe.each(['open', 'dialing'])('while it is %s', (state) => {
    it.each(['without resend', 'with resend'])(
      'ends both after any microtask, %s',
      async (mode) => {
        for (let microtasks = 0; microtasks < 30; microtasks++) {
          const all = dials();
          const client = live(all, mode === 'with resend' ? { resend } : {});
          if (state === 'open') await once(client, 'open');
          const loop = client[Symbol.asyncIterator]();
          const next = loop.next();
          for (let i = 0; i < microtasks; i++) await Promise.resolve();
          await loop.return!();
          expect(await next).toEqual({ done: true, value: undefined });
          await (await all.server(0)).send('for the next loop');
          const { value } = await client[Symbol.asyncIterator]().next();
          expect(value?.text()).toBe('for the next loop');
        }
      },
    );
  });
});

describe('A4 a loop that was left', () => {
  const left = async (client: ReconnectingConn): Promise<void> => {
    const loop = client[Symbol.asyncIterator]();
    const next = loop.next();
    await turn();
    await loop.return!();
    await next;
  };

  it.each(['open', 'dialing'])('leaves nothing behind while it is %s', async (state) => {
    const all = state === 'open' ? dials() : { dial: () => new Promise<Conn>(() => {}) };
    const client = live(all);
    if (state === 'open') await once(client, 'open');
    for (let i = 0; i < 100; i++) await left(client);
    const before = v8.queryObjects(Promise, { format: 'count' });
    for (let i = 0; i < 500; i++) await left(client);
    expect(v8.queryObjects(Promise, { format: 'count' }) - before).toBeLessThan(250);
  });

  it('keeps no connection that another loop has read, when it was abandoned', async () => {
    let server!: Conn;
    const client = live({
      async dial() {
        const [conn, other] = connPair({ heartbeat: false });
        server = other;
        return conn;
      },
    });
    await once(client, 'open');
    const abandoned = client[Symbol.asyncIterator]();
    const first = abandoned.next();
    await server.send('first');
    await first;
    void client.receive(() => {});
    const again = async (): Promise<void> => {
      const opened = once(client, 'open');
      server.terminate();
      await opened;
    };
    for (let i = 0; i < 10; i++) await again();
    const before = v8.queryObjects(Conn, { format: 'count' });
    for (let i = 0; i < 50; i++) await again();
    expect(v8.queryObjects(Conn, { format: 'count' }) - before).toBeLessThan(10);
    await abandoned.return!();
  });
});
