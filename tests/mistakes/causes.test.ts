// The hints of newcomer's N13 and N17: each names the cause, where another hint once named a wrong one.
import { type Conn, connPair } from '@ws/conn';
import { crosswsAdapter, serveFetch } from '@ws/fetch/node';
import { Hub } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn, reconnecting } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { createProxy } from '@ws/proxy';
import { contract, event } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { selfSigned } from '@ws/tests';
import { describe, expect, expectTypeOf, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { h, type Mistake, tells, type Untyped } from './tells.ts';

const host = '127.0.0.1';

describe('N13 a hint', () => {
  const mistakes: readonly Mistake[] = [
    [
      'idleTimeout of Bun',
      () => serve({ port: 0, host, idleTimeout: 120 } as Untyped, h),
      'unknown option idleTimeout; use heartbeat: { interval, timeout }, in ms',
    ],
    [
      'the handlers of Bun as routes',
      () => serve({ port: 0, host }, { open: h, message: h, close: h } as Untyped),
      'routes: "open" is no path; a handler is one function, (conn) => conn.receive(...)',
    ],
    [
      'key and cert swapped',
      async () => {
        const { key, cert } = await selfSigned();
        await serve({ port: 0, host, tls: { key: cert, cert: key } }, h);
      },
      'and key is the private one',
    ],
    [
      'presence of a Hub',
      () => new Hub({ presence: () => ({}) } as Untyped),
      "unknown option presence; use rooms: { 'chat/*': { presence } }",
    ],
    [
      'close(5000)',
      async () => {
        const server = await serve({ port: 0, host }, h);
        onTestFinished(() => void server.close());
        await server.close(5000 as Untyped);
      },
      'close: expected an object of options, got number; write { timeout: 5000 }',
    ],
  ];
  tells(mistakes);
});

describe('N17 a call that does not compile', () => {
  const mistakes: readonly Mistake[] = [
    [
      'send of an object',
      () => connPair()[0].send({ text: 'hi' } as Untyped),
      'send: expected a string or bytes, got Object; writeJSON sends objects',
    ],
    [
      'on of a Conn',
      () => (connPair()[0] as Untyped).on('message', h),
      'a Conn emits no events; read with receive(handler) or for await, and await conn.closed',
    ],
  ];
  tells(mistakes);

  it('has the sentence in its type', () => {
    type Words =
      'a Conn emits no events; read with receive(handler) or for await, and await conn.closed';
    type On = (...write: readonly Words[]) => never;
    expectTypeOf<Conn['on']>().toEqualTypeOf<On>();
  });

  it('or compiles, and is told: an async stamp', async () => {
    const rooms = serveRooms({
      'chat/*': { mayJoin: true, mayPublish: true, stamp: async () => 'ann' },
    });
    const reports: string[] = [];
    rooms.hub.on('error', (_, error) => void reports.push((error as Error).message));
    const server = await serve({ port: 0, host }, rooms.handler);
    const live = new ReconnectingConn(server.url);
    onTestFinished(() => void Promise.all([live.close(), server.close()]));
    const client = roomsOf(live);
    client.join('chat/main');
    await expect(client.publish('chat/main', 'hi')).rejects.toThrow();
    expect(reports.join()).toContain('rooms["chat/*"].stamp: ');
  });
});

describe('N13 an argument that was accepted in silence', () => {
  const mistakes: readonly Mistake[] = [
    [
      'serveFetch(fetch, 8080)',
      () => serveFetch(h as Untyped, 8080 as Untyped),
      'fetch: expected an object of options, got number; write { port: 8080 }',
    ],
    [
      'crosswsAdapter(hooks)',
      () => crosswsAdapter({ upgrade: h } as Untyped),
      'crosswsAdapter: write crosswsAdapter({ hooks })',
    ],
    [
      'contract of a list',
      () => contract({ server: [event(z.string())] as Untyped }),
      'contract: server: expected an object, got Array',
    ],
    [
      'close(5000) of a proxy',
      () => createProxy('ws://a').close(5000 as Untyped),
      'close: expected an object of options, got number; write { timeout: 5000 }',
    ],
    [
      'close(callback) of a proxy',
      () => createProxy('ws://a').close(h as Untyped),
      'close: expected an object of options, got function; a result is a promise: await it',
    ],
    [
      'transform.client of a proxy',
      () => createProxy('ws://a', { mode: 'messages', transform: { client: h } as Untyped }),
      'transform: unknown option client; did you mean toClient?',
    ],
  ];
  tells(mistakes);
});

describe('N13 a hint about the handler', () => {
  const mistakes: readonly Mistake[] = [
    [
      'serveRooms(table, handler)',
      () => serveRooms({}, h as Untyped),
      'serveRooms: it takes no handler; write serve(options, rooms.handler)',
    ],
    [
      'reconnecting(url, handler)',
      () => reconnecting('ws://127.0.0.1:9', h as Untyped),
      'reconnecting: the handler comes last; write reconnecting(url, {}, handler)',
    ],
  ];
  tells(mistakes);

  it.each([
    ['hostname', () => serve({ hostname: host } as Untyped, h), 'use host'],
    ['onError', () => createProxy('ws://a', { onError: h } as Untyped), 'use report'],
    [
      'router',
      () => createProxy('ws://a', { router: h } as Untyped),
      'the target may be a function of the request',
    ],
    [
      'secure',
      () => createProxy('ws://a', { secure: false } as Untyped),
      'use tls: { rejectUnauthorized } of a target',
    ],
    [
      'weight',
      () => createProxy('ws://a', { weight: 2 } as Untyped),
      'it belongs to a target, { url, weight }',
    ],
  ])('names the option instead of %s', async (name, call, says) => {
    await expect((async () => call())()).rejects.toThrow(`unknown option ${name}; ${says}`);
  });
});
