// What an application writes, in CommonJS and in ES modules: no top-level await, no `using`.
import type { IncomingMessage } from 'node:http';
import { type Conn, connPair, type Message } from '@ws/conn';
import { dial, reconnecting } from '@ws/node-client';
import { serve, Upgrader } from '@ws/node-server';

// oxlint-disable typescript/no-unnecessary-type-parameters -- it compares any two types, also `any`
type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(..._equal: Same<A, B> extends true ? [] : ['the types differ']): void {}

interface User {
  readonly name: string;
}
const users = new Map<string, User>();

export async function main(): Promise<void> {
  const server = await serve(
    {
      port: 0,
      authenticate: (req) => {
        same<typeof req, IncomingMessage>();
        // @ts-expect-error: no such property, so `req` is not `any`
        void req.nonsense;
        return users.get(String(req.headers.authorization)) ?? null;
      },
    },
    {
      '/rooms/:room': async (conn, req, ctx) => {
        same<typeof req, IncomingMessage>();
        same<typeof conn, Conn<User>>();
        same<typeof ctx.auth, User>();
        same<typeof ctx.params, { room: string }>();
        for await (const message of conn) {
          same<typeof message, Message>();
          await conn.send(message);
        }
      },
    },
  );
  // @ts-expect-error: a URL is a string
  const url: number = server.url;
  void url;
  const upgrader = new Upgrader();
  upgrader.handler((conn, req) => {
    same<typeof req, IncomingMessage>();
    void conn.close();
  });
  const conn = await dial(server.url, { compression: true });
  same<typeof conn.response.status, number>();
  const [client] = connPair();
  client.terminate();
  void reconnecting;
}
