import type { IncomingMessage, Server } from 'node:http';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import { NO_BYTES } from '@ws/codec/internal';
import type { Acceptor, AnyHandlers } from './acceptor.ts';
import { isTaken } from './client-socket.ts';
import type { UpgradeListener } from './conn-handler.ts';
import type { StreamListener } from './http2/http2-server.ts';
import {
  CompatResponder,
  Http2Responder,
  heartbeatOf,
  StreamRequest,
  watchResets,
} from './http2/on-demand.ts';
import type { UpgraderPlan } from './options.ts';
import { giveBackPlainRequest } from './plain-requests.ts';
import { IncomingFacts, isCompatRequest } from './request.ts';
import { NodeHttpResponder } from './responder/node-http.ts';
import type { HandlerRunner } from './route.ts';
import type { Router } from './route-table.ts';
import { UpgradeRequest } from './upgrade-request.ts';

/** Listeners for 'upgrade' that leave paths without a route to others. */
const leaving = new WeakSet<object>();

/** Whether no other listener gets a request that `listener` leaves: then it has to answer. */
function isLastLeaving(server: Server, listener: object): boolean {
  const listeners = server.listeners('upgrade');
  return listeners.at(-1) === listener && listeners.every((other) => leaving.has(other));
}

/**
 * Makes a listener for 'upgrade': see `Upgrader.handler`.
 *
 * @param ignoresTaken - For several `serve` on one HTTP server: ignores a socket that another of
 *   them has taken.
 */
export function upgradeListener(
  acceptor: Acceptor,
  handlers: AnyHandlers,
  ignoresTaken: boolean,
): UpgradeListener {
  const router = acceptor.routerOf(handlers);
  const { unmatched, handshakeTimeout } = acceptor.plan;
  const leaves = unmatched === 'leave';
  const listener: UpgradeListener = (req, socket, head) => {
    if (ignoresTaken && isTaken(socket)) return;
    if (leaves && !router.has(req.url ?? '')) {
      const { server } = req.socket as { server?: Server };
      // Nothing else would answer the request.
      if (server === undefined || isTaken(socket) || !isLastLeaving(server, listener)) return;
    }
    if (giveBackPlainRequest(req, socket, head, acceptor.work, handshakeTimeout)) return;
    acceptor.serve(upgradeOfNode(acceptor.plan, req, socket, head, router));
  };
  if (leaves) leaving.add(listener);
  return listener;
}

/** Makes a listener for 'stream' that answers every stream that it gets. */
export function streamListener(acceptor: Acceptor, handlers: AnyHandlers): StreamListener {
  const router = acceptor.routerOf(handlers);
  return (stream, headers, _flags, rawHeaders) => {
    const upgrade = upgradeOfStream(acceptor.plan, stream, headers, rawHeaders, router);
    if (!stream.closed) acceptor.serve(upgrade);
  };
}

/** The upgrade of a request of node:http. */
export function upgradeOfNode(
  plan: UpgraderPlan,
  req: IncomingMessage,
  socket: Duplex,
  head: Uint8Array,
  router?: Router<HandlerRunner>,
): UpgradeRequest {
  const responder =
    req.httpVersionMajor === 2 && isCompatRequest(req)
      ? new CompatResponder(req.stream)
      : new NodeHttpResponder(req, socket);
  return new UpgradeRequest(plan, new IncomingFacts(req), responder, head, router);
}

/**
 * The upgrade of a stream of node:http2. Guards the stream's session: the stream is closed when its
 * client has reset too many, and gets no answer.
 *
 * @param rawHeaders - As for {@link StreamRequest}.
 */
export function upgradeOfStream(
  plan: UpgraderPlan,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  rawHeaders?: string[],
  router?: Router<HandlerRunner>,
): UpgradeRequest {
  watchResets(stream, heartbeatOf(plan.settings));
  const facts = new IncomingFacts(new StreamRequest(stream, headers, rawHeaders), '2');
  return new UpgradeRequest(plan, facts, new Http2Responder(stream), NO_BYTES, router);
}
