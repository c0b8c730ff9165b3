import type { IncomingMessage } from 'node:http';
import type { RequestFacts } from '@ws/codec';
import { HandshakeError, type HeaderPair } from './errors.ts';
import { headerOf } from './headers.ts';
import type { UpgraderPlan } from './options.ts';
import { checkHead } from './policies/head/on-demand.ts';
import { applyRules, headFault } from './request.ts';
import type { Responder } from './responder/responder.ts';

// Of several faults of an upgrade request, the first one of this table is answered. `negotiate` and
// the steps from `#checkOrigin` on are methods of `UpgradeRequest`.
//
// | who | fault | answer |
// |---|---|---|
// | acceptor | the socket is in use | none |
// | | `clientAddress` has failed | 500 |
// | | the server is closing, or has too many handshakes or connections | 503, 429 |
// | | the headers of a call of `upgrade` are no headers | 500 |
// | `negotiate` | the client disconnects, or answers to its earlier requests take too long | none |
// | at any time until the answer | the handshake takes too long; bytes after the head exceed their bound | 503; 400 |
// | `checkInOrder` | a request of node:http2's compatibility API | 400 |
// | | the application has answered | none |
// | | dropped header lines, or a head that is too large | 400, 431 |
// | | the rules of the request, in the order of `requestRules` in the codec | 4xx, 501 |
// | | a call outside the event 'upgrade' | 500 |
// | | a callback of `serveRaw` refuses | its own |
// | | no route | 404, 400 |
// | | the caller's headers have `Sec-WebSocket-Extensions` | 500 |
// | | the host | 421 |
// | | repeated Origin lines | 400 |
// | `#checkOrigin`, ... | the origin | 403 |
// | | the rules of the offers | 400 |
// | | `authenticate` refuses | its own |
// | | the subprotocol | 400, 500 |
// | | the option `headers`, then `onBeforeUpgrade` | 500 |
// | acceptor | the client has disconnected, or the application has answered | none; 400 after a FIN |

/** The part of an `UpgradeRequest` that is checked. */
type Checked = {
  readonly facts: RequestFacts;
  /** The request of node:http, or one made of a stream; undefined when other code has parsed it. */
  readonly incoming: IncomingMessage | undefined;
  readonly responder: Responder;
  /** The options of the server; of the route, once {@link takeRoute} has found it. */
  readonly plan: UpgraderPlan;
  takeRoute(): void;
};

/**
 * The checks before the one of the origin. No function of the application runs here, except the
 * callbacks of `serveRaw`.
 *
 * @param extra - Headers of the application for the accepting answer.
 * @throws the first fault.
 */
export function checkInOrder(request: Checked, extra: readonly HeaderPair[]): void {
  const { facts, incoming, responder } = request;
  if (responder.fault !== undefined) throw responder.fault;
  if (responder.isAnswered) throw alreadyAnswered();
  const fault = incoming && headFault(incoming);
  if (fault !== undefined) throw fault;
  applyRules(facts, 'request');
  if (responder.isReadByServer) throw outsideUpgrade();
  if (request.plan.callbacks !== undefined) checkHead(request.plan.callbacks, facts);
  request.takeRoute();
  // From here on `request.plan` is the route's.
  if (extra.length > 0) rejectExtensionsHeader(extra);
  const { hosts } = request.plan;
  if (!hosts.allows(facts)) throw hosts.refusal(facts);
  applyRules(facts, 'origin');
}

/** The error for a caller that upgrades a request which has an answer. */
export function alreadyAnswered(): Error {
  return new Error('websocket: the request was already answered');
}

/**
 * The error for a call outside a listener for 'upgrade'. There Node parses the first frames as
 * requests, so the frames are lost.
 */
function outsideUpgrade(): HandshakeError {
  const message = "upgrade was called outside a listener for 'upgrade'";
  const cause = new Error(`websocket: ${message}`);
  return new HandshakeError(500, message, { body: 'Internal Server Error\n', cause });
}

/**
 * Rejects a Sec-WebSocket-Extensions header of the application: the upgrader negotiates extensions,
 * as in gorilla/websocket.
 */
function rejectExtensionsHeader(extra: readonly HeaderPair[]): void {
  if (headerOf(extra, 'sec-websocket-extensions') === undefined) return;
  throw new HandshakeError(
    500,
    "the application must not set 'Sec-WebSocket-Extensions'; use option compression",
  );
}
