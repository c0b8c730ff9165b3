// Handlers run in the context of the call that has set them: AsyncLocalStorage.
import { AsyncLocalStorage } from 'node:async_hooks';
import { connPair, PingMessage, PongMessage } from '@ws/conn';
import { asyncContexts, checkRate, limitRate } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { captureContext } from '../src/async-contexts.ts';

describe('captureContext', () => {
  // The first test of this file: no other code of this process has used a context.
  it('costs a connection nothing before a program uses contexts, where Node shows it', () => {
    if (Number.parseInt(process.versions.node, 10) < 24) {
      expect(captureContext()).toBeUndefined();
      const call = (): void => {};
      expect(asyncContexts.bind(call)).toBe(call);
    }
  });

  it('captures stores, also of several storages, and an empty context after that', () => {
    const a = new AsyncLocalStorage<number>();
    const b = new AsyncLocalStorage<string>();
    const context = a.run(0, () => b.run('b', captureContext))!;
    const stores = (): unknown => [a.getStore(), b.getStore()];
    expect(context.runInAsyncScope(stores, undefined)).toEqual([0, 'b']);
    expect(stores()).toEqual([undefined, undefined]);
    const empty = captureContext()!;
    expect(a.run(1, () => empty.runInAsyncScope(stores, undefined))).toEqual([
      undefined,
      undefined,
    ]);
  });
});

describe('a handler of receive', () => {
  it('runs in the context of its call: at once, later, after a promise, and for queued messages', async () => {
    const storage = new AsyncLocalStorage<string>();
    const [client, server] = connPair({ platform: nodePlatform });
    const seen: unknown[] = [];
    for (let i = 0; i < 3; i++) await client.send(`queued ${i}`);
    await new Promise(setImmediate);
    storage.run('call', () => {
      void server.receive(async (message) => {
        seen.push([message.text(), storage.getStore()]);
        await Promise.resolve();
        seen.push(storage.getStore());
      });
    });
    await storage.run('other', async () => {
      for (let i = 0; i < 3; i++) await client.send(`${i}`);
      await client.close();
    });
    expect(seen).toHaveLength(12);
    expect(seen.every((each) => (Array.isArray(each) ? each[1] : each) === 'call')).toBe(true);
  });

  it('runs in it for a message that the option rate has held', async () => {
    const storage = new AsyncLocalStorage<string>();
    const [client, server] = connPair({ platform: nodePlatform });
    limitRate(server, checkRate({ messages: 1, per: 5 }));
    const seen: unknown[] = [];
    const reading = storage.run('call', () =>
      server.receive((message) => void seen.push([message.text(), storage.getStore()])),
    );
    await storage.run('other', async () => {
      for (let i = 0; i < 3; i++) await client.send(`${i}`);
    });
    await expect.poll(() => seen.length).toBe(3);
    expect(seen.map((each) => (each as unknown[])[1])).toEqual(['call', 'call', 'call']);
    await client.close();
    await reading;
  });

  it('keeps contexts of several connections apart, and restores that of the caller', async () => {
    const storage = new AsyncLocalStorage<number>();
    const pairs = Array.from({ length: 5 }, () => connPair({ platform: nodePlatform }));
    const seen: unknown[] = [];
    pairs.forEach(([, server], i) =>
      storage.run(i, () => void server.receive(() => void seen.push([i, storage.getStore()]))),
    );
    for (const [client] of pairs) for (let i = 0; i < 3; i++) void client.send('x');
    await Promise.all(pairs.map(([client]) => client.close()));
    expect(storage.getStore()).toBeUndefined();
    expect(seen).toHaveLength(15);
    expect(seen.every((pair) => (pair as number[])[0] === (pair as number[])[1])).toBe(true);
  });

  it('gives an error of the handler its way, and leaves the context', async () => {
    const storage = new AsyncLocalStorage<string>();
    const [client, server] = connPair({ platform: nodePlatform, report: () => {} });
    const reading = storage.run('call', () =>
      server.receive(() => {
        throw new Error('mine');
      }),
    );
    void client.send('x');
    await expect(reading).rejects.toThrow('mine');
    expect((await client.closed).code).toBe(1011);
    expect(storage.getStore()).toBeUndefined();
  });
});

describe('a loop', () => {
  it('runs in its own context', async () => {
    const storage = new AsyncLocalStorage<string>();
    const [client, server] = connPair({ platform: nodePlatform });
    const seen: unknown[] = [];
    const done = storage.run('loop', async () => {
      for await (const message of server) seen.push([message.text(), storage.getStore()]);
    });
    for (const text of ['1', '2']) await client.send(text);
    await client.close();
    await done;
    expect(seen).toEqual([
      ['1', 'loop'],
      ['2', 'loop'],
    ]);
  });
});

describe('a handler of control frames', () => {
  it('runs in the context of the call that has set it', async () => {
    const storage = new AsyncLocalStorage<string>();
    const [client, server] = connPair({ platform: nodePlatform });
    const seen: unknown[] = [];
    const note = (name: string) => () => void seen.push([name, storage.getStore()]);
    storage.run('ping', () => server.setPingHandler(note('ping')));
    storage.run('pong', () => server.setPongHandler(note('pong')));
    storage.run('close', () => server.setCloseHandler(note('close')));
    await storage.run('other', async () => {
      void server.discardReads();
      await client.writeControl(PingMessage, '');
      await client.writeControl(PongMessage, '');
      await client.close();
    });
    expect(seen).toEqual([
      ['ping', 'ping'],
      ['pong', 'pong'],
      ['close', 'close'],
    ]);
  });

  it('runs without a store when the call had none, although `receive` has one', async () => {
    const storage = new AsyncLocalStorage<string>();
    const [client, server] = connPair({ platform: nodePlatform });
    const seen: unknown[] = [];
    const note = (): void => void seen.push(storage.getStore());
    storage.run('read', () => void server.receive(() => {}));
    server.setPingHandler(note);
    server.setPongHandler(note);
    server.setCloseHandler(note);
    await client.writeControl(PingMessage, '');
    await client.writeControl(PongMessage, '');
    await client.close();
    expect(seen).toEqual([undefined, undefined, undefined]);
  });

  it('is what the getter returns', () => {
    const storage = new AsyncLocalStorage<string>();
    const [client] = connPair({ platform: nodePlatform });
    const handler = (): void => {};
    storage.run('set', () => {
      client.setPingHandler(handler);
      client.setPongHandler(handler);
      client.setCloseHandler(handler);
    });
    const handlers = [client.pingHandler(), client.pongHandler(), client.closeHandler()];
    expect(handlers).toEqual([handler, handler, handler]);
    client.setCloseHandler(null);
    expect(client.closeHandler()).not.toBe(handler);
    client.terminate();
  });
});
