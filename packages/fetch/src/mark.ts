import type { Agreement } from './handshake.ts';
import type { UpgradeHandler } from './options.ts';
import { copyOf } from './responses.ts';

/** A handshake that was accepted, until the wrapper of the runtime makes the connection. */
export interface Mark extends Agreement {
  readonly handler: UpgradeHandler;
  /** Headers of the accepting answer: those of the option, and of the middleware. */
  readonly headers: readonly (readonly [string, string])[];
}

interface Waiting extends Agreement {
  readonly handler: UpgradeHandler;
  /** By `performance.now()`. */
  readonly until: number;
}

/** Time in ms in which `fetch` must return the Response. */
const LIFETIME = 10_000;
/** Frameworks copy Responses, with their headers; a WeakMap of Responses would lose the copies. */
const HEADER = 'x-ws-upgrade';
/** Frameworks also copy headers to a Response that refuses, so the mark needs the status too. */
const STATUS = 204;
/** In the order of their creation. */
const waiting = /* @__PURE__ */ new Map<string, Waiting>();

/** Headers of the connection, which the application's Response does not decide. */
const OWN_HEADERS =
  /^(connection|upgrade|keep-alive|content-|transfer-encoding|sec-websocket-|x-ws-upgrade$)/;

/** Returns the Response of an accepted handshake, for {@link takeMark}. */
export function markedResponse(agreement: Agreement, handler: UpgradeHandler): Response {
  const now = performance.now();
  // No timer for each mark: a later one removes those whose Response was dropped.
  for (const [id, { until }] of waiting) {
    if (until > now) break;
    waiting.delete(id);
  }
  const id = crypto.randomUUID();
  waiting.set(id, { ...agreement, handler, until: now + LIFETIME });
  const headers = new Headers(agreement.plan.options.headers);
  headers.set(HEADER, id);
  return new Response(null, { status: STATUS, headers });
}

/**
 * Reads the Response that `fetch` has returned for `request`. A mark is valid once, for its own
 * request, and for 10 s.
 *
 * @returns The mark; the Response when it has none, or another status.
 * @throws TypeError for a mark that is not valid.
 */
export function takeMark(request: Request, response: Response): Mark | Response {
  const id = response.headers.get(HEADER);
  if (id === null) return response;
  const found = waiting.get(id);
  waiting.delete(id);
  if (response.status !== STATUS) return withoutMark(response);
  if (found === undefined || found.until < performance.now()) {
    throw new TypeError('the Response of upgrade() was returned twice, or more than 10 s later');
  }
  if (keyOf(found.request) !== keyOf(request)) {
    throw new TypeError('the Response of upgrade() was returned for another request');
  }
  const headers = [...response.headers].filter(([name]) => !OWN_HEADERS.test(name));
  return { ...found, headers };
}

function keyOf({ headers }: Request): string | null {
  return headers.get('sec-websocket-key');
}

function withoutMark(response: Response): Response {
  // The headers of a fetched Response are immutable.
  const copy = copyOf(response, response.body);
  copy.headers.delete(HEADER);
  return copy;
}
