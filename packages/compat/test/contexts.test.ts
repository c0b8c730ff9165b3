import { AsyncLocalStorage } from 'node:async_hooks';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from '../src/index.ts';

/** Bytes that the sockets of both ends cannot take. */
const MORE_THAN_SOCKETS = 64 * 2 ** 20;
const context = new AsyncLocalStorage<string>();
const DATA = {
  'a short text': () => 'text',
  '40,000 bytes, compressed in the turn': () => Buffer.alloc(40_000, 'ab'),
  '300,000 bytes, too many to be compressed': () => Buffer.alloc(300_000, 'ab'),
  'a Blob': () => new Blob(['blob']),
};

async function client(): Promise<WebSocket> {
  const perMessageDeflate = { threshold: 0 };
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ws = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate });
  onTestFinished(() => {
    ws.terminate();
    server.close();
  });
  await once(ws, 'open');
  return ws;
}

// ws itself calls them in the context of the first compressed message of the connection.
describe('the callback of a message', () => {
  for (const [first, data] of Object.entries(DATA)) {
    it(`runs in the async context of its call, also after ${first}`, async () => {
      const ws = await client();
      const stores: unknown[] = [];
      const calls = [
        (done: () => void) => ws.send(data(), done),
        (done: () => void) => ws.send('after', done),
        (done: () => void) => ws.ping('ping', undefined, done),
        (done: () => void) => ws.send(data(), done),
      ];
      await Promise.all(
        calls.map((call, i) =>
          context.run(
            `call ${i}`,
            () =>
              new Promise<void>((resolve) => {
                call(() => {
                  stores.push(context.getStore());
                  resolve();
                });
              }),
          ),
        ),
      );
      expect(stores).toEqual(['call 0', 'call 1', 'call 2', 'call 3']);
    });
  }

  it('runs in the async context of its call when the connection ends first', async () => {
    const ws = await client();
    const stores: unknown[] = [];
    for (const name of ['one', 'two']) {
      context.run(name, () => {
        ws.send(Buffer.alloc(MORE_THAN_SOCKETS, 'ab'), (error) =>
          stores.push(error, context.getStore()),
        );
      });
    }
    ws.terminate();
    await once(ws, 'close');
    // Node confirms a write that has begun when its socket is destroyed.
    expect(stores).toEqual([null, 'one', expect.any(Error), 'two']);
  });
});
