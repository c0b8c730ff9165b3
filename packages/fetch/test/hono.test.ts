import {
  BackpressureError,
  type HonoEvents,
  JSONError,
  ReadLimitError,
  upgradeWebSocket,
} from '@ws/fetch';
import type { ServeFetchOptions } from '@ws/fetch/node';
import { dial } from '@ws/node-client';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { HTTPException } from 'hono/http-exception';
import { describe, expect, it } from 'vitest';
import { refusal, serve as serveFor } from './serving.ts';

const serve = (app: Hono, options?: ServeFetchOptions): Promise<string> =>
  serveFor((request) => app.fetch(request), options);

/** Serves an application with these events at `/`. */
const serveEvents = (
  createEvents: () => HonoEvents,
  options?: ServeFetchOptions,
): Promise<string> => {
  const app = new Hono();
  app.get('/', upgradeWebSocket(createEvents));
  return serve(app, options);
};

const echo = (): HonoEvents => ({ onMessage: ({ data }, socket) => socket.send(data) });

describe('upgradeWebSocket', () => {
  it('calls the events in their order, with the fields of Hono', async () => {
    const seen: unknown[] = [];
    const app = new Hono();
    let closed: () => void = () => {};
    const end = new Promise<void>((resolve) => (closed = resolve));
    app.get(
      '/chat/:room',
      upgradeWebSocket((c) => ({
        onOpen: ({ type }, { readyState, protocol, url, binaryType }) => {
          seen.push(type, c.req.param('room'), readyState, protocol, url.protocol, binaryType);
        },
        onMessage: ({ type, data }, socket) => {
          seen.push(type, data);
          return socket.send('read');
        },
        onClose: ({ type, code, reason, wasClean }, { readyState }) => {
          seen.push(type, code, reason, wasClean, readyState);
          closed();
        },
      })),
    );
    const conn = await dial(`${await serve(app)}/chat/7`);
    await conn.send('hello');
    await conn.readMessage();
    await conn.close(4001, 'enough');
    await end;
    expect(seen.slice(0, 6)).toEqual(['open', '7', 1, '', 'ws:', 'arraybuffer']);
    expect(seen.slice(6, 8)).toEqual(['message', 'hello']);
    expect(seen.slice(8)).toEqual(['close', 4001, 'enough', true, 3]);
  });

  it('gives bytes as an ArrayBuffer of their own', async () => {
    const kept: unknown[] = [];
    const url = await serveEvents(() => ({
      onMessage: ({ data }, socket) => {
        kept.push(data);
        return socket.send(data);
      },
    }));
    const conn = await dial(url);
    for (const bytes of [Uint8Array.of(1, 2, 3), Uint8Array.of(4)]) {
      await conn.send(bytes);
      expect((await conn.readMessage()).data).toEqual(bytes);
    }
    expect(kept).toEqual([Uint8Array.of(1, 2, 3).buffer, Uint8Array.of(4).buffer]);
    await conn.close();
  });

  it.each([
    { where: 'before next by c.header', early: true },
    { where: 'after next', early: false },
  ])('keeps headers that middleware sets $where, and those of cors', async ({ early }) => {
    const app = new Hono();
    app.use(async (c, next) => {
      if (early) c.header('X-Middleware', 'was here');
      await next();
      if (!early) c.header('X-Middleware', 'was here');
    });
    const origin = 'https://a.example';
    app.use(cors({ origin }));
    app.get('/', upgradeWebSocket(echo, { allowedOrigins: [origin] }));
    const conn = await dial(await serve(app), { headers: { Origin: origin } });
    expect(conn.response.headers).toMatchObject({
      'x-middleware': 'was here',
      'access-control-allow-origin': origin,
    });
    expect(conn.response.headers).not.toHaveProperty('x-ws-upgrade');
    await conn.close();
  });

  it('refuses with what a middleware answers, before and after it', async () => {
    const app = new Hono();
    app.use('/before', async (c) => c.text('who?', 401));
    app.use('/after', async (c, next) => {
      await next();
      c.res = new Response('no', { status: 403 });
    });
    app.use('/throws', async (_c, next) => {
      await next();
      throw new HTTPException(418);
    });
    for (const path of ['/before', '/after', '/throws']) app.get(path, upgradeWebSocket(echo));
    const url = await serve(app);
    expect((await refusal(`${url}/before`)).status).toBe(401);
    expect((await refusal(`${url}/after`)).status).toBe(403);
    expect((await refusal(`${url}/throws`)).status).toBe(418);
    expect((await refusal(`${url}/none`)).status).toBe(404);
  });

  it('refuses with the HTTPException that createEvents throws', async () => {
    const app = new Hono();
    app.get(
      '/',
      upgradeWebSocket(async () => {
        throw new HTTPException(403);
      }),
    );
    expect((await refusal(await serve(app))).status).toBe(403);
  });

  it('leaves requests that do not upgrade to the next handler', async () => {
    const app = new Hono();
    app.get('/', upgradeWebSocket(echo), (c) => c.text('a page'));
    const url = (await serve(app)).replace(/^ws/, 'http');
    expect(await (await fetch(url)).text()).toBe('a page');
  });

  it('answers a context too', async () => {
    const app = new Hono();
    app.get('/', (c) => upgradeWebSocket(c, echo()));
    const conn = await dial(await serve(app));
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    await conn.close();
  });

  it('has the options of upgrade: a foreign origin gets 403, subprotocols are chosen', async () => {
    const app = new Hono();
    app.get('/', upgradeWebSocket(echo, { subprotocols: ['b'] }));
    app.get('/none', upgradeWebSocket(echo));
    const url = await serve(app);
    const headers = { Origin: 'https://example.org' };
    expect((await refusal(url, { headers })).status).toBe(403);
    const chosen = await dial(url, { subprotocols: ['a', 'b'] });
    expect(chosen.subprotocol).toBe('b');
    await chosen.close();
    const none = await dial(`${url}/none`, { subprotocols: ['a', 'b'] });
    expect(none.subprotocol).toBe('');
    await none.close();
  });

  it('waits for the promise of onMessage before the next message', async () => {
    const seen: string[] = [];
    const url = await serveEvents(() => ({
      onMessage: async ({ data }, socket) => {
        seen.push(`start ${data as string}`);
        await socket.send('read');
        await new Promise((resolve) => setImmediate(resolve));
        seen.push(`end ${data as string}`);
        await socket.send('done');
      },
    }));
    const conn = await dial(url);
    await Promise.all([conn.send('1'), conn.send('2')]);
    for (let i = 0; i < 4; i++) await conn.readMessage();
    expect(seen).toEqual(['start 1', 'end 1', 'start 2', 'end 2']);
    await conn.close();
  });

  describe.each([
    ['a JSONError', 1011, () => new JSONError('not JSON')],
    ['a BackpressureError', 1013, () => new BackpressureError('too much')],
    ['a ReadLimitError', 1011, () => new ReadLimitError(10)],
    ['an Error', 1011, () => new Error('boom')],
  ] as const)('%s of an event', (_, code, make) => {
    it.each(['onOpen', 'onMessage'] as const)(
      `closes with ${code} and is reported once, then onClose is called (%s)`,
      async (name) => {
        const seen: unknown[] = [];
        const error = make();
        const events = (): HonoEvents => ({
          [name]: () => Promise.reject(error),
          onClose: (event) => void seen.push(event.code),
        });
        const report = (reason: unknown): void => void seen.push(reason);
        const conn = await dial(await serveEvents(events, { report }));
        await conn.send('hello');
        expect(await conn.closed).toMatchObject({ code });
        await expect.poll(() => seen).toEqual([error, code]);
      },
    );
  });

  it('reports no error of a write after the end', async () => {
    const reports: unknown[] = [];
    const closes: number[] = [];
    const events = (): HonoEvents => ({
      onMessage: async (_event, socket) => {
        await socket.raw.closed;
        await socket.send('late');
      },
      onClose: ({ code }) => void closes.push(code),
    });
    const report = (error: unknown): void => void reports.push(error);
    const conn = await dial(await serveEvents(events, { report }));
    await conn.send('hello');
    conn.terminate();
    await expect.poll(() => closes).toEqual([1006]);
    expect(reports).toEqual([]);
  });

  it('reports an error of onClose', async () => {
    const reports: unknown[] = [];
    const boom = new Error('boom');
    const report = (error: unknown): void => void reports.push(error);
    const onClose = (): Promise<never> => Promise.reject(boom);
    const conn = await dial(await serveEvents(() => ({ onClose }), { report }));
    await conn.close();
    await expect.poll(() => reports).toEqual([boom]);
  });

  describe('a mistake in the events', () => {
    it.each([
      ['onmessage', { onmessage() {} }, 'onmessage is never called'],
      ['onmessage beside onOpen', { onOpen() {}, onmessage() {} }, 'onmessage is never called'],
      ['message', { message() {} }, 'message is never called'],
      ['nothing', {}, 'an object without events is never called'],
    ])('is reported once: %s', async (_, events, message) => {
      const reports: Error[] = [];
      const report = (error: unknown): void => void reports.push(error as Error);
      const url = await serveEvents(() => events as HonoEvents, { report });
      for (let i = 0; i < 2; i++) await (await dial(url)).close();
      expect(reports).toHaveLength(1);
      expect(reports[0]?.message).toContain(message);
      expect(reports[0]?.message).toContain('the events are onOpen, onMessage, onClose, onError');
    });

    it('is reported to the option report', async () => {
      const reports: Error[] = [];
      const app = new Hono();
      const report = (error: unknown): void => void reports.push(error as Error);
      app.get('/', (c) => upgradeWebSocket(c, { onmessage() {} } as HonoEvents, { report }));
      const url = await serve(app);
      for (let i = 0; i < 2; i++) await (await dial(url)).close();
      expect(reports).toHaveLength(1);
    });

    it('is none in an object with other members', async () => {
      class Events implements HonoEvents {
        readonly name = 'mine';
        onMessage: NonNullable<HonoEvents['onMessage']> = ({ data }, socket) => socket.send(data);
        close(): void {}
      }
      const reports: unknown[] = [];
      const report = (error: unknown): void => void reports.push(error);
      const url = await serveEvents(() => new Events(), { report });
      await (await dial(url)).close();
      expect(reports).toEqual([]);
    });

    it.each([undefined, null, 'events'])('refuses %s', async (events) => {
      const app = new Hono();
      const errors: Error[] = [];
      app.onError((error, c) => {
        errors.push(error);
        return c.text('failed', 500);
      });
      app.get('/', upgradeWebSocket((() => events) as never));
      expect((await refusal(await serve(app))).status).toBe(500);
      expect(errors.map(({ message }) => message)).toEqual([
        expect.stringContaining('upgradeWebSocket: expected an object with events'),
      ]);
    });

    it('names the function that is missing', () => {
      expect(() => upgradeWebSocket({ onMessage() {} } as never)).toThrow(
        'upgradeWebSocket: expected a function that returns the events, got Object',
      );
    });
  });

  it('calls onError, then onClose, for a fault of the peer', async () => {
    const app = new Hono();
    const seen: unknown[] = [];
    app.get(
      '/',
      upgradeWebSocket(
        () => ({
          onError: ({ error }) => void seen.push(error.name),
          onClose: ({ code }) => void seen.push(code),
        }),
        { readLimit: 10 },
      ),
    );
    const conn = await dial(await serve(app));
    await conn.send('more than ten bytes');
    expect(await conn.closed).toMatchObject({ code: 1009 });
    await expect.poll(() => seen).toEqual(['ReadLimitError', 1009]);
  });
});
