import type { IncomingMessage } from 'node:http';
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  type Conn,
  type ConnHandler,
  type NoParams,
  type RoutedServeOptions,
  type RouteParams,
  type Routes,
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
  /** Compiled but not run. */
  function compiled(): void {
    const user = async (_req: IncomingMessage) => ({ user: 'ada' });
    void serve({
      authenticate: (req) => (req.url === '/' ? { refuse: 401 } : { user: String(req.url) }),
      routes: {
        '/chat': (conn, req, { auth, params }) => {
          expectTypeOf(conn).toEqualTypeOf<Conn>();
          expectTypeOf(req).toEqualTypeOf<IncomingMessage>();
          expectTypeOf(auth.user).toEqualTypeOf<string>();
          expectTypeOf(params).toEqualTypeOf<NoParams>();
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
    });
    // With a function that is defined elsewhere, the order of the options does not matter.
    void serve({
      routes: {
        '/feed/:id': (_conn, _req, { auth, params }) => {
          expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
          expectTypeOf(params).toEqualTypeOf<{ id: string }>();
        },
      },
      authenticate: user,
    });
    void serve(
      { authenticate: user, routes: { '/feed/:id': (_c, _r, { params }) => params.id } },
      (_conn, _req, { auth, params }) => {
        expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
        expectTypeOf(params).toEqualTypeOf<NoParams>();
      },
    );
    void serve({
      routes: { '/': (_c, _r, { auth }) => expectTypeOf(auth).toEqualTypeOf<undefined>() },
    });
    void serve({}, (_c, _r, { params }) => expectTypeOf(params).toEqualTypeOf<NoParams>());
    void serve({ authenticate: user }, (_c, _r, { auth }) => auth.user);

    // @ts-expect-error: neither routes nor a handler
    void serve({});
    // @ts-expect-error: neither routes nor a handler
    void serve({ routes: undefined });
    // @ts-expect-error: routes are functions
    void serve({ routes: { '/': 'chat' } });
    // @ts-expect-error: a handler is a function
    void serve({ routes: { '/': () => {} } }, 5);
    // @ts-expect-error: no such option
    void serve({ route: {} }, () => {});

    const some: ServeOptions = { routes: { '/feed/:id': (_c, _r, { params }) => params['id'] } };
    void serve(some, () => {});
    // @ts-expect-error: it may have no routes
    void serve(some);
    const all: RoutedServeOptions = { routes: {} };
    void serve(all);
    const none: ConnHandler<undefined> | undefined = undefined;
    void serve(all, none);
  }

  function compiledUpgrader(): void {
    const upgrader = new Upgrader({ authenticate: (req) => ({ user: String(req.url) }) });
    upgrader.routes({
      '/feed/:id': (_conn, _req, { auth, params }) => {
        expectTypeOf(auth).toEqualTypeOf<{ user: string }>();
        expectTypeOf(params).toEqualTypeOf<{ id: string }>();
        // @ts-expect-error: the pattern has no such parameter
        return params.name;
      },
    });
    const anywhere: ConnHandler<unknown> = () => {};
    const routes: Routes<'/a' | '/b/:c', { user: string }> = { '/a': anywhere, '/b/:c': anywhere };
    upgrader.routes(routes, anywhere);
    const dynamic: Record<string, ConnHandler<unknown>> = { '/x': anywhere };
    upgrader.routes(dynamic);
    const ofId: ConnHandler<unknown, { id: string }> = () => {};
    upgrader.routes({ '/feed/:id': ofId });
    // @ts-expect-error: the pattern lacks the handler's parameter
    upgrader.routes({ '/feed/:name': ofId });
    // @ts-expect-error: a handler for all paths has no parameters
    upgrader.handler(ofId);
  }

  it('hold when they are compiled', () => {
    expect([compiled, compiledUpgrader].map((f) => typeof f)).toEqual(['function', 'function']);
  });
});
