import { getEventListeners, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { prepareReadBuffer } from '@ws/node-io/internal';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocketServer } from 'ws';
import { type Conn, type ReconnectingOptions, reconnecting } from '../../src/index.ts';
import { timers } from '../leftovers.ts';
import {
  accepts,
  acceptsAndDrops,
  answers,
  connected,
  drop,
  fast,
  iterate,
  refuses,
  silent,
  turn,
} from './iterating.ts';

describe('the signal of reconnecting', () => {
  /** Iterates with a signal that must end the iteration without an error. */
  function controlled(url: string, options: ReconnectingOptions = {}) {
    const controller = new AbortController();
    const { signal } = controller;
    return { iterator: iterate(url, { ...options, signal }), controller, signal };
  }
  const done = { done: true, value: undefined };

  it('ends the iteration before its first dial', async () => {
    const server = await answers(accepts);
    expect(await iterate(server.url, { signal: AbortSignal.abort() }).next()).toEqual(done);
    expect(server.sockets).toHaveLength(0);
  });

  it('ends a dial', async () => {
    let asked = silent;
    const server = await answers(() => asked());
    const { iterator, controller, signal } = controlled(server.url);
    // Its self-test has a timer and sockets.
    await prepareReadBuffer();
    const before = timers();
    asked = () => controller.abort();
    expect(await iterator.next()).toEqual(done);
    expect(timers()).toBeLessThanOrEqual(before);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await server.gone();
    expect(await iterator.next()).toEqual(done);
  });

  it('ends a wait', async () => {
    const server = await answers(refuses(503));
    const before = timers();
    const { iterator, controller, signal } = controlled(server.url, {
      minDelay: 60_000,
      maxDelay: 60_000,
      retry: () => void setImmediate(() => controller.abort(new Error('enough'))),
    });
    expect(await iterator.next()).toEqual(done);
    expect(timers()).toBeLessThanOrEqual(before);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(server.sockets).toHaveLength(1);
  });

  it('closes an open connection with 1000, and then ends the iteration', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const controller = new AbortController();
    const { signal } = controller;
    server.once('connection', (socket) => socket.send('stop'));
    const texts: string[] = [];
    const conns: Conn[] = [];
    for await (const conn of reconnecting(`ws://127.0.0.1:${port}/`, { ...fast, signal })) {
      conns.push(conn);
      // Ends without an error: we close the connection with 1000.
      for await (const message of conn) {
        texts.push(message.text());
        controller.abort();
      }
    }
    expect(texts).toEqual(['stop']);
    expect(conns).toHaveLength(1);
    expect(conns[0]!.state).toBe('closed');
    expect(await conns[0]!.closed).toMatchObject({ code: 1000, wasClean: true });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('closes an open connection without a pending next', async () => {
    const server = await answers(accepts);
    const { iterator, controller, signal } = controlled(server.url);
    const conn = await connected(iterator);
    controller.abort();
    expect(conn.state).toBe('closing');
    drop(server);
    await conn.closed;
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    expect(await iterator.next()).toEqual(done);
  });

  it('closes a connection that the body has left open, and waits for its end', async () => {
    const server = await answers(accepts);
    const { iterator, controller, signal } = controlled(server.url);
    const conn = await connected(iterator);
    let ended = false;
    const next = iterator.next().then((step) => {
      ended = true;
      return step;
    });
    await turn();
    controller.abort();
    await turn();
    expect([conn.state, ended]).toEqual(['closing', false]);
    drop(server);
    expect(await next).toEqual(done);
    expect(conn.state).toBe('closed');
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('leaves a closing connection alone', async () => {
    const server = await answers((socket, request) => {
      accepts(socket, request);
      socket.once('data', () => socket.end(Buffer.from([0x88, 2, 0x0f, 0xa0])));
    });
    const { iterator, controller } = controlled(server.url);
    const conn = await connected(iterator);
    const closing = conn.close(4000);
    controller.abort();
    expect(await iterator.next()).toEqual(done);
    expect(await closing).toMatchObject({ code: 4000, wasClean: true });
  });

  it('leaves no listener after the connection without a pending next', async () => {
    const server = await answers(accepts);
    const { iterator, signal } = controlled(server.url);
    const conn = await connected(iterator);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    drop(server);
    await conn.closed;
    await turn();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await connected(iterator);
  });

  it('has one listener however many connections there were', async () => {
    const server = await answers(acceptsAndDrops);
    let inner: AbortSignal | undefined;
    const { iterator, signal } = controlled(server.url, {
      minDelay: 1,
      maxDelay: 1,
      headers: (context) => {
        inner = context.signal;
        return {};
      },
    });
    for (let i = 0; i < 20; i++) {
      const conn = await connected(iterator);
      // The next one is requested while this one is open.
      await Promise.race([conn.closed, turn()]);
    }
    expect(getEventListeners(signal, 'abort').length).toBeLessThanOrEqual(1);
    expect(getEventListeners(inner!, 'abort')).toEqual([]);
    await iterator.return?.();
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
