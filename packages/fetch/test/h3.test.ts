import { upgrade } from '@ws/fetch';
import { dial } from '@ws/node-client';
import { defineWebSocketHandler, H3 } from 'h3';
import { describe, expect, it } from 'vitest';
import { serve } from './serving.ts';

const echo = (request: Request): Promise<Response> =>
  upgrade(request, {}, (conn) => conn.receive((message) => conn.send(message)));

/** Serves routes behind a middleware for each case. */
function serveRoutes(): Promise<string> {
  const app = new H3()
    .use('/headers', (event) => void event.res.headers.set('x-middleware', 'was here'))
    .use('/before', () => new Response('who?', { status: 401 }))
    .use('/after', async (_event, next) => {
      await next();
      return new Response('no', { status: 403 });
    });
  for (const path of ['/', '/headers', '/before', '/after']) {
    app.get(path, (event) => echo(event.req));
  }
  return serve((request) => app.fetch(request));
}

describe('upgrade in a route of h3', () => {
  it.each(['/', '/headers'])('echoes at %s', async (path) => {
    const conn = await dial((await serveRoutes()) + path);
    await conn.send('hello');
    expect((await conn.readMessage()).text()).toBe('hello');
    expect(conn.response.headers['x-middleware']).toBe(path === '/' ? undefined : 'was here');
    expect(conn.response.headers).not.toHaveProperty('x-ws-upgrade');
    await conn.close();
  });

  it.each([
    ['/before', 401],
    ['/after', 403],
    ['/none', 404],
  ])('refuses at %s with %i', async (path, status) => {
    await expect(dial((await serveRoutes()) + path)).rejects.toMatchObject({ status });
  });

  it('keeps the property crossws, for an adapter', async () => {
    const app = new H3()
      .get('/', (event) => echo(event.req))
      .get('/hooks', defineWebSocketHandler({ upgrade: echo } as never));
    for (const path of ['/', '/hooks']) {
      const response = await app.fetch(new Request(`http://localhost${path}`));
      const { crossws } = response as { crossws?: { upgrade?: unknown } };
      expect(crossws?.upgrade).toBeTypeOf('function');
    }
  });
});
