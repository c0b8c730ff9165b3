import { type ConnHandler, type ServeOptions, serve, type WsServer } from '@ws/node-server';
import fp from 'fastify-plugin';

declare module 'fastify' {
  interface FastifyInstance {
    /** The server of the plugin `websockets`. */
    readonly websockets: WsServer;
  }
}

/** Options of the plugin: those of `serve`, and the handlers by path. */
export interface WebSocketsOptions extends Omit<ServeOptions, 'server'> {
  readonly routes: Readonly<Record<string, ConnHandler<unknown>>>;
}

/** Answers the upgrades of Fastify's server, and closes the connections with the application. */
export const websockets = fp(async (app, { routes, ...options }: WebSocketsOptions) => {
  const server = await serve({ ...options, server: app.server }, routes);
  app.decorate('websockets', server);
  // `app.close()` waits for every socket, so close the WebSockets first.
  app.addHook('preClose', async () => void (await server.close()));
});
