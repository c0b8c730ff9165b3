import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ServeOptions, serve, type WsServer } from '@ws/node-server';
import { reportTo } from '../reports.ts';
import { isResponse } from '../responses.ts';
import { callFetch, type FetchHandler } from '../upgrade.ts';
import { FetchUpgrades, type NodeInfo, type NodeOptions } from './fetch-upgrades.ts';
import { isRequestMethod, requestOf } from './request.ts';
import { writeBody, writeHead } from './response.ts';

/** Options of {@link serveFetch}: where it listens, and options of all connections. */
export type ServeFetchOptions = NodeOptions &
  Pick<ServeOptions, 'port' | 'host' | 'socketPath' | 'listen' | 'tls' | 'server'>;

/**
 * Serves HTTP and WebSockets by a `fetch`, and resolves when the server listens. A request to upgrade
 * goes to `fetch` too. When it returns the Response of `upgrade`, or a copy of it, the handler gets the
 * `Conn` of `@ws/node-server`; any other Response is sent as it is.
 *
 * @param options - Of `serve`, without what `upgrade` decides for each request.
 * @throws (rejects with) as `serve`.
 *
 * @example
 * ```ts no-run
 * import { upgrade } from '@ws/fetch';
 * import { serveFetch } from '@ws/fetch/node';
 *
 * const server = await serveFetch(
 *   (request) => upgrade(request, {}, (conn) => conn.receive((message) => conn.send(message))),
 *   { port: 8080 },
 * );
 * console.log(server.url);
 * ```
 */
export async function serveFetch(
  fetch: FetchHandler<NodeInfo>,
  options: ServeFetchOptions = {},
): Promise<WsServer> {
  const upgrades = new FetchUpgrades(fetch, options);
  // `serve` answers 500 when it rejects.
  const request = (req: IncomingMessage, res: ServerResponse): unknown =>
    answerRequest(fetch, req, res);
  return serve({ ...upgrades.options, request }, upgrades.handler);
}

async function answerRequest(
  fetch: FetchHandler<NodeInfo>,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  if (!isRequestMethod(req.method)) {
    res.writeHead(501, { Connection: 'close' }).end();
    return;
  }
  const controller = new AbortController();
  res.once('close', () => {
    if (!res.writableFinished) controller.abort(new Error('the client has left'));
  });
  const request = requestOf(req, controller.signal);
  const info = { address: req.socket.remoteAddress, req };
  const response = await callFetch(fetch, request, info);
  // A plain request has no key, so no mark is valid for it.
  if (!isResponse(response) || res.destroyed) return;
  writeHead(res, response);
  // The head has been sent: `serve` would answer with 500.
  await writeBody(res, response).catch((error: unknown) =>
    reportTo(undefined, error, { where: 'fetch', request }),
  );
}
