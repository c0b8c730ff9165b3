// Compiled, not run, against the packed declarations by each supported version of TypeScript.
import type { IncomingMessage } from 'node:http';
import type { Conn, Message } from '@ws/conn';
import { dial, ReconnectingConn, reconnecting } from '@ws/node-client';
import { type Admission, admit, route, serve, Upgrader } from '@ws/node-server';

// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- it compares any two types, also `any`
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(..._equal: Same<A, B> extends true ? [] : ['the types differ']): void {}

interface User {
  readonly name: string;
}
declare const users: Map<string, Admission<User>>;
const failed = { refuse: 401 } as const;

const server = await serve(
  { authenticate: (req: IncomingMessage) => users.get(String(req.url)) ?? (req.complete ? failed : null) },
  {
    '/rooms/:room/:seat': (conn, req, ctx) => {
      same<typeof conn, Conn<User>>();
      same<typeof req, IncomingMessage>();
      same<typeof ctx.auth, User>();
      same<typeof ctx.params, { room: string; seat: string }>();
      // @ts-expect-error: the pattern has no such parameter
      return ctx.params.id;
    },
    '/admin/:id': route(
      { authenticate: async (req) => (req.complete ? admit({ admin: 1 }) : false), readLimit: 5 },
      (conn, _req, ctx) => {
        same<typeof conn.data, { admin: number }>();
        same<typeof ctx.auth, { admin: number }>();
        same<typeof ctx.params, { id: string }>();
      },
    ),
    '/public/:id': route({ authenticate: false }, (_conn, _req, ctx) => {
      same<typeof ctx.auth, undefined>();
      same<typeof ctx.params, { id: string }>();
    }),
    '/large/:id': route({ readLimit: 5 }, (conn, _req, ctx) => {
      same<typeof conn.data, User>();
      same<typeof ctx.params, { id: string }>();
    }),
  },
);
for (const conn of server.connections) same<typeof conn.data.name, string>();

await serve({ authenticate: () => true as const }, (_conn, _req, ctx) => {
  same<typeof ctx.auth, true>();
});
await serve({}, (_conn, _req, ctx) => {
  same<typeof ctx.auth, undefined>();
});
// @ts-expect-error: neither routes nor a handler
await serve({});
// @ts-expect-error: no such option
await serve({ readlimit: 1 }, () => {});

const upgrader = new Upgrader({ authenticate: () => users.get('ada') });
upgrader.handler({
  '/:id': (conn, _req, ctx) => {
    same<typeof conn.data, User>();
    same<typeof ctx.params, { id: string }>();
  },
});

await using conn = await dial('ws://127.0.0.1:1', { compression: true, readLimit: 5 });
same<typeof conn.response.status, number>();
for await (const message of conn) {
  same<typeof message, Message>();
  await conn.send(message);
}
await reconnecting('ws://127.0.0.1:1', {}, async (each) => {
  same<typeof each.response.status, number>();
});
const live = new ReconnectingConn('ws://127.0.0.1:1', { onOpen: (each) => each.send('log in') });
const { unsent } = await live.closed;
same<typeof unsent, readonly Message[]>();
