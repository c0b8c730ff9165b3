import { BackpressureError, dial } from '@ws/node-client';
import { type AdmitOrRefuse, type ServeOptions, serve } from '@ws/node-server';
import { nothingLeft, whenOver } from '@ws/tests';
import { describe, expect, it, vi } from 'vitest';
import type { ProxyOptions } from '../../src/index.ts';
import { front, pair, stopClock } from '../support.ts';

async function echo(options: ProxyOptions, ofServer: ServeOptions<AdmitOrRefuse> = {}) {
  const server = await serve({ port: 0, host: '127.0.0.1', ...ofServer }, (conn) =>
    conn.receive((message) => conn.send(message)),
  );
  whenOver(() => server.close({ timeout: 1 }));
  return front(server.url, { mode: 'messages', ...options });
}

describe('the mode messages', () => {
  nothingLeft();

  it('compresses on one side only', async () => {
    const { url } = await echo({ compression: true });
    const conn = await dial(url, { compression: true });
    expect(conn.extensions).toContain('permessage-deflate');
    await conn.send('x'.repeat(10_000));
    expect((await conn.readMessage()).text()).toBe('x'.repeat(10_000));
    await conn.close();
  });

  it('passes a message on before it is complete', async () => {
    const { client, target } = await pair({ mode: 'messages' });
    await client.send(1, Buffer.alloc(20_000, 'a'), false);
    await target.until(({ frames }) => frames.length > 0);
    expect(target.frames[0]).toMatchObject({ opcode: 1, fin: false });
    await client.send(0, 'end');
    await target.until(({ frames }) => frames.at(-1)!.fin);
    expect(Buffer.concat(target.frames.map(({ payload }) => payload)).length).toBe(20_003);
    client.destroy();
    target.destroy();
  });

  it('changes and drops messages in order', async () => {
    const { url } = await echo({
      transform: {
        toTarget: async (message) =>
          message.text() === 'secret' ? undefined : `>${message.text()}`,
        toClient: (message) => `${message.text()}<`,
      },
    });
    const conn = await dial(url);
    for (const text of ['a', 'secret', 'b']) await conn.send(text);
    expect((await conn.readMessage()).text()).toBe('>a<');
    expect((await conn.readMessage()).text()).toBe('>b<');
    await conn.close();
  });

  it('passes the messages before a close on, also when the close was answered before', async () => {
    const texts: string[] = [];
    let end!: (info: unknown) => void;
    const ended = new Promise((resolve) => (end = resolve));
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      await conn.receive((message) => void texts.push(message.text()));
      end(await conn.closed);
    });
    whenOver(() => server.close({ timeout: 1 }));
    let goOn!: () => void;
    const gate = new Promise<void>((resolve) => (goOn = resolve));
    const transform = {
      toTarget: async (message: { text(): string }) => {
        if (message.text() === '1') await gate;
        return message.text();
      },
    };
    const { url } = await front(server.url, { mode: 'messages', transform });
    const conn = await dial(url);
    for (const text of ['1', '2', '3']) await conn.send(text);
    // The proxy answers after half of its closeTimeout.
    await conn.close(1000);
    for (let i = 0; i < 20; i++) await new Promise((resolve) => void setImmediate(resolve));
    goOn();
    expect(await ended).toMatchObject({ code: 1000, wasClean: true });
    expect(texts).toEqual(['1', '2', '3']);
  });

  it.each(['client', 'target'] as const)(
    'passes what the %s sends between the close frames of the other and its own',
    async (who) => {
      const { client, target, from, proxied } = await pair({ mode: 'messages' });
      const [sender, closer] = from(who);
      await closer.send(1, 'last');
      await closer.close(4001, 'bye');
      expect(await sender.sees(2)).toEqual(['text last', 'close 4001 bye']);
      for (const text of ['1', '2', '3']) await sender.send(1, text);
      await sender.close(4001);
      expect(await closer.sees(4)).toEqual(['text 1', 'text 2', 'text 3', 'close 4001']);
      target.end();
      await client.finish();
      expect(await proxied.closed).toMatchObject({ code: 4001, reason: 'bye' });
    },
  );

  it('answers a close when the other side does not', async () => {
    const { client, target, finish } = await pair({ mode: 'messages' });
    stopClock();
    await client.close(4001);
    expect(await target.sees(1)).toEqual(['close 4001']);
    await target.send(1, 'late');
    expect(await client.sees(1)).toEqual(['text late']);
    vi.advanceTimersByTime(2_600);
    expect(await client.sees(2)).toEqual(['text late', 'close 4001']);
    vi.advanceTimersByTime(10_000);
    await finish();
  });

  it('passes what the client sends before its close frame at proxy.close', async () => {
    const { client, target, proxied, front } = await pair({ mode: 'messages' });
    const closing = front.proxy.close({ timeout: 60_000 });
    expect(await client.sees(1)).toEqual(['close 1001']);
    for (const text of ['1', '2', '3']) await client.send(1, text);
    await target.until(({ frames }) => frames.length === 3);
    await client.close(1001);
    expect(await target.sees(4)).toEqual(['text 1', 'text 2', 'text 3', 'close 1001']);
    await target.close(1001);
    target.end();
    await client.finish();
    await closing;
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1001 });
  });

  it.each([0, 5, 50])('loses no message of a client to a handler of %i ms', async (ms) => {
    const texts: string[] = [];
    let end!: () => void;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      await conn.receive(async (message) => {
        if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
        texts.push(message.text());
      });
      end();
    });
    whenOver(() => server.close({ timeout: 1 }));
    const { proxy, url } = await front(server.url, { mode: 'messages' });
    const conn = await dial(url);
    const sent: string[] = [];
    let closes = false;
    void conn.closed.then(() => (closes = true));
    const reading = conn.readMessage().catch(() => (closes = true));
    let closing: Promise<void> | undefined;
    while (!closes) {
      const text = `${sent.length}`;
      try {
        await conn.send(text);
        sent.push(text);
      } catch {
        break;
      }
      if (sent.length === 20) closing = proxy.close();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all([closing, ended, reading]);
    expect(texts.slice(0, sent.length)).toEqual(sent);
  });

  it.each([
    { thrown: new Error('broken'), closeCode: 1011 },
    { thrown: new BackpressureError('full'), closeCode: 1013 },
  ])('closes both with $closeCode for $thrown of transform', async ({ thrown, closeCode }) => {
    const { url, reported } = await echo({
      transform: {
        toTarget: () => {
          throw thrown;
        },
      },
    });
    const conn = await dial(url);
    await conn.send('a');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode });
    expect(String(reported[0])).toContain(thrown.message);
  });

  it('sends 1014 to the client of a killed target', async () => {
    const { client, target, proxied } = await pair({ mode: 'messages' });
    await target.write(target.encode(2, Buffer.alloc(1000)).subarray(0, 100));
    target.reset();
    expect(await client.sees(1)).toEqual(['close 1014']);
    await client.close(1014);
    await client.finish();
    expect(await proxied.closed).toMatchObject({ endedBy: 'target', code: 1014 });
  });

  it('sends 1001 to the target of a killed client', async () => {
    const { client, target, proxied } = await pair({ mode: 'messages' });
    client.reset();
    expect(await target.sees(1)).toEqual(['close 1001']);
    await target.close(1001);
    target.end();
    expect(await proxied.closed).toMatchObject({ endedBy: 'client', code: 1001 });
  });

  it('has the code of the proxy when it ended both', async () => {
    const closed = await pair({ mode: 'messages' });
    const closing = closed.front.proxy.close({ timeout: 60_000 });
    expect(await closed.client.sees(1)).toEqual(['close 1001']);
    closed.client.reset();
    closed.target.reset();
    await closing;
    expect(await closed.proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1001 });
    const terminated = await pair({ mode: 'messages' });
    terminated.proxied.terminate();
    expect(await terminated.proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1006 });
  });

  it('ends when both are closed, while transform still waits', async () => {
    let waits!: () => void;
    const waiting = new Promise<void>((resolve) => (waits = resolve));
    const toTarget = () => {
      waits();
      return new Promise<undefined>(() => {});
    };
    const { client, proxied } = await pair({ mode: 'messages', transform: { toTarget } });
    await client.send(1, 'a');
    await waiting;
    // The time for the last messages does not pass.
    stopClock();
    proxied.terminate();
    expect(await proxied.closed).toMatchObject({ endedBy: 'proxy', code: 1006 });
  });

  it('passes code and reason of a close', async () => {
    const { client, target } = await pair({ mode: 'messages' });
    // The target does not end its connection, and no close timeout passes.
    stopClock();
    await target.close(4002, 'no more');
    expect(await client.sees(1)).toEqual(['close 4002 no more']);
    vi.useRealTimers();
    await client.close(4002);
    target.end();
    await client.finish();
  });

  it.each([
    { end: 'close 4001 bye', from: 'client', seen: 'close 4001 bye', code: 4001 },
    { end: 'close 4001 bye', from: 'target', seen: 'close 4001 bye', code: 4001 },
    { end: 'close', from: 'client', seen: 'close 1000', code: 1005 },
    { end: 'close', from: 'target', seen: 'close 1000', code: 1005 },
    { end: 'bad opcode 3', from: 'client', seen: 'close 1001', code: 1002 },
    { end: 'bad opcode 3', from: 'target', seen: 'close 1014', code: 1002 },
  ] as const)('passes "$end" inside a message of the $from', async ({ end, from, seen, code }) => {
    const { client, target, proxied, from: sides } = await pair({ mode: 'messages' });
    const [sender, receiver] = sides(from);
    await sender.send(1, Buffer.alloc(20_000, 'a'), false);
    await receiver.until(({ frames }) => frames.length > 0);
    // The sender does not end its connection, and no close timeout passes.
    stopClock();
    if (end === 'close 4001 bye') await sender.close(4001, 'bye');
    else if (end === 'close') await sender.send(8, '');
    else await sender.send(3, '');
    await receiver.until(({ frames }) => frames.at(-1)?.opcode === 8);
    expect((await receiver.sees(receiver.frames.length)).at(-1)).toBe(seen);
    vi.useRealTimers();
    client.destroy();
    target.destroy();
    expect(await proxied.closed).toMatchObject({ endedBy: from, code });
  });
});
