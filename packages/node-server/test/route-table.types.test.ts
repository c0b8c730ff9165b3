import type { IncomingMessage } from 'node:http';
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  admit,
  type Conn,
  type ConnHandler,
  type NoParams,
  type RouteParams,
  type Routes,
  route,
  type ServeOptions,
  serve,
  Upgrader,
} from '../src/index.ts';

interface Named<Pattern extends string> {
  params: RouteParams<Pattern>;
}

describe('RouteParams', () => {
  it('names the parameters of a pattern', () => {
    expectTypeOf<RouteParams<'/feed/:id/:sub'>>().toEqualTypeOf<{ id: string; sub: string }>();
    expectTypeOf<RouteParams<'/:a/b/:c/'>>().toEqualTypeOf<{ a: string; c: string }>();
    expectTypeOf<Named<'/chat'>>().toEqualTypeOf<{ params: NoParams }>();
    expectTypeOf<Named<'/'>>().toEqualTypeOf<{ params: NoParams }>();
    expectTypeOf<RouteParams<'/a/:x' | '/b/:y'>>().toEqualTypeOf<{ x: string } | { y: string }>();
    expectTypeOf<RouteParams<string>['id']>().toEqualTypeOf<string | undefined>();
    type Long =
      RouteParams<`${'/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a'}/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/:x`>;
    expectTypeOf<Long>().toEqualTypeOf<{ x: string }>();
  });
});

describe('the types of serve', () => {
  const user = async (_req: IncomingMessage) => admit({ user: 'ada' });

  /** Compiled but not run. */
  async function compiled(): Promise<void> {
    const server = await serve(
      {
        authenticate: (req) =>
          req.url === '/' ? { refuse: 401 } : admit({ user: String(req.url) }),
      },
      {
        '/chat': (conn, req, { auth, params, query }) => {
          expectTypeOf(conn.data.user).toEqualTypeOf<string>();
          expectTypeOf(req).toEqualTypeOf<IncomingMessage>();
          expectTypeOf(auth.user).toEqualTypeOf<string>();
          expectTypeOf(params).toEqualTypeOf<NoParams>();
          expectTypeOf(query).toEqualTypeOf<URLSearchParams>();
          // @ts-expect-error: the pattern has no such parameter
          return params.id;
        },
        '/feed/:id/:sub': (_conn, _req, { auth, params }) => {
          expectTypeOf(auth.user).toEqualTypeOf<string>();
          expectTypeOf(params).toEqualTypeOf<{ id: string; sub: string }>();
          // @ts-expect-error: the pattern has no such parameter
          return params.name;
        },
      },
    );
    for (const conn of server.connections) expectTypeOf(conn.data.user).toEqualTypeOf<string>();
    void serve({ authenticate: user }, async (conn, _req, { auth, params }) => {
      expectTypeOf(conn).toEqualTypeOf<Conn<{ user: string }>>();
      expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
      expectTypeOf(params).toEqualTypeOf<NoParams>();
    });
    void serve({}, { '/': (_c, _r, { auth }) => expectTypeOf(auth).toEqualTypeOf<undefined>() });
    void serve({}, (_c, _r, { auth }) => expectTypeOf(auth).toEqualTypeOf<undefined>());
    void serve({ authenticate: user }, (_c, _r, { auth }) => auth.user);
    void serve(
      { authenticate: user, headers: (_req, { auth }) => ({ 'x-user': auth.user }) },
      (_c, _r, { auth }) => auth.user,
    );

    // @ts-expect-error: neither routes nor a handler
    void serve({});
    // @ts-expect-error: neither routes nor a handler
    void serve({}, undefined);
    // @ts-expect-error: routes are functions
    void serve({}, { '/': 'chat' });
    // @ts-expect-error: routes are the second argument
    void serve({ routes: { '/': () => {} } }, () => {});
    // @ts-expect-error: no such option
    void serve({ route: {} }, () => {});

    const some: ServeOptions = { port: 0 };
    void serve(some, { '/feed/:id': (_c, _r, { params }) => params.id });
  }

  function compiledRoute(): void {
    void serve(
      { authenticate: user },
      {
        '/admin/:id': route(
          {
            authenticate: (req) => (req.url === '/' ? undefined : admit({ admin: 1 })),
            readLimit: 5,
          },
          (conn, req, { auth, params }) => {
            expectTypeOf(conn.data).toEqualTypeOf<{ admin: number }>();
            expectTypeOf(req).toEqualTypeOf<IncomingMessage>();
            expectTypeOf(auth).toEqualTypeOf<{ admin: number }>();
            expectTypeOf(params).toEqualTypeOf<{ id: string }>();
          },
        ),
        '/public/:id': route({ authenticate: false }, (_conn, _req, { auth, params }) => {
          expectTypeOf(auth).toEqualTypeOf<undefined>();
          expectTypeOf(params).toEqualTypeOf<{ id: string }>();
        }),
        '/large/:id': route({ readLimit: 5 }, (conn, _req, { auth, params }) => {
          expectTypeOf(conn).toEqualTypeOf<Conn<{ user: string }>>();
          expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
          expectTypeOf(params).toEqualTypeOf<{ id: string }>();
        }),
        '/plain/:id': (_conn, _req, { auth, params }) => {
          expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
          expectTypeOf(params).toEqualTypeOf<{ id: string }>();
        },
      },
    );
    // @ts-expect-error: limits count over all routes
    route({ maxConnections: 5 }, () => {});
  }

  function compiledUpgrader(): void {
    const upgrader = new Upgrader({ authenticate: (req) => admit({ user: String(req.url) }) });
    upgrader.handler({
      '/feed/:id': (_conn, _req, { auth, params }) => {
        expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
        expectTypeOf(params).toEqualTypeOf<{ id: string }>();
        // @ts-expect-error: the pattern has no such parameter
        return params.name;
      },
    });
    upgrader.handler((_conn, _req, { auth }) =>
      expectTypeOf(auth).toEqualTypeOf<{ user: string }>(),
    );
    const anywhere: ConnHandler<unknown> = () => {};
    const routes: Routes<'/a' | '/b/:c', { user: string }> = { '/a': anywhere, '/b/:c': anywhere };
    upgrader.handler(routes);
    const dynamic: Record<string, ConnHandler<unknown>> = { '/x': anywhere };
    upgrader.handler(dynamic);
    const ofId: ConnHandler<unknown, { id: string }> = () => {};
    upgrader.handler({ '/feed/:id': ofId });
    // @ts-expect-error: the pattern lacks the handler's parameter
    upgrader.handler({ '/feed/:name': ofId });
    // @ts-expect-error: a handler for all paths has no parameters
    upgrader.handler(ofId);
  }

  it('hold when they are compiled', () => {
    const all = [compiled, compiledRoute, compiledUpgrader];
    expect(all.map((f) => typeof f)).toEqual(['function', 'function', 'function']);
  });
});
