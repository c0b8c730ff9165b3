import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ServeOptions, serve, type WsServer } from '@ws/node-server';
import { incomingFault } from '@ws/node-server/internal';
import { reportTo } from '../reports.ts';
import { isResponse } from '../responses.ts';
import type { FetchHandler } from '../upgrade.ts';
import { FetchUpgrades, type NodeInfo, type NodeOptions } from './fetch-upgrades.ts';
import { isRequestMethod, RequestBody, requestOf } from './request.ts';
import { closeWithSocket, dropResponse, refuseRequest, sendResponse } from './response.ts';

/** Options of {@link serveFetch}: where it listens, and options of all connections. */
export type ServeFetchOptions = NodeOptions &
  Pick<ServeOptions, 'port' | 'host' | 'socketPath' | 'replaceStale' | 'listen' | 'tls' | 'server'>;

/**
 * Serves HTTP and WebSockets by a `fetch`, and resolves when the server listens. A request to upgrade
 * goes to `fetch` too. When it returns the Response of `upgrade`, or a copy of it, the handler gets the
 * `Conn` of `@ws/node-server`. Any other Response is sent as it is.
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
  // A server that `serve` has created checks Host itself.
  const isGiven = options.server !== undefined;
  // `serve` answers 500 when it rejects.
  const request = (req: IncomingMessage, res: ServerResponse): unknown =>
    answerRequest(upgrades, req, res, isGiven);
  return serve({ ...upgrades.options, request }, upgrades.handler);
}

async function answerRequest(
  upgrades: FetchUpgrades,
  req: IncomingMessage,
  res: ServerResponse,
  checksHost: boolean,
): Promise<void> {
  if (!isRequestMethod(req.method)) return refuseRequest(res, 501, '');
  const fault = checksHost && incomingFault(req);
  if (fault) return refuseRequest(res, fault.status, fault.message);
  const controller = new AbortController();
  const left = (): unknown => {
    controller.abort(new Error('the client has left'));
    return controller.signal.reason;
  };
  closeWithSocket(res);
  const hasBody = req.method !== 'GET' && req.method !== 'HEAD';
  const body = hasBody ? new RequestBody(req, left) : undefined;
  res.once('close', () => {
    if (res.writableFinished) body?.drop();
    else left();
  });
  const request = requestOf(req, controller.signal, body);
  if (request === undefined) return refuseRequest(res, 400, 'the target is no URL');
  const response = await upgrades.ask(request, { address: upgrades.addressOf(req), req });
  // No request to upgrade: `serve` gets those.
  if (!isResponse(response)) return refuseRequest(res, 400, 'this request cannot be upgraded');
  if (res.destroyed) return dropResponse(response);
  await sendResponse(res, response, (error) =>
    reportTo(upgrades.report, error, { where: 'fetch', request }),
  );
}
