import { parseExtensions } from './extensions.ts';
import { hostOf, isDecodable, isHost, isRequestTarget } from './host.ts';
import { isWebSocketKey } from './key.ts';
import { hasToken } from './token-list.ts';

/**
 * The facts of a request that the rules of a server need. `RequestHead` implements it. Wrap
 * the request of another HTTP parser to use the same rules.
 *
 * Names of fields ignore case. For HTTP/2, the fields include `:protocol`, `:scheme` and `:authority`.
 */
export interface RequestFacts {
  /** The method, in its original case. */
  readonly method: string;
  /** The request target, as sent; the `:path` of HTTP/2. */
  readonly target: string;
  /** `'1.1'` also for later minor versions of HTTP/1; `'2'` for a stream of HTTP/2 (RFC 8441). */
  readonly version: '1.0' | '1.1' | '2';
  /** Address of the client, if the owner of the stream knows it. */
  readonly remoteAddress: string | undefined;
  /** Whether the field occurs. */
  has(name: string): boolean;
  /** The value of a field that occurs exactly once, otherwise undefined. */
  once(name: string): string | undefined;
  /** The value of every line of the field, in order. */
  lines(name: string): readonly string[];
  /** The field as one list over all its lines, joined with `', '`; `''` when it is missing. */
  list(name: string): string;
}

/**
 * When a rule applies. The application's own steps come between: its routes after `'request'`, its
 * check of the origin after `'origin'`, its authentication after `'offers'`.
 */
export type RequestStep = 'request' | 'origin' | 'offers';

/** The answer to a request that breaks a rule. The fault of a {@link RequestHead} is one too. */
export interface Refusal {
  /** Status of HTTP: 400, 405, 426 or 501; 431 for a head that is too large. */
  readonly status: number;
  /** Names the broken rule. Contains nothing of the request. */
  readonly message: string;
  /** Headers that the answer must have. Default: none. */
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
}

/** One rule for the request of an opening handshake. */
export interface RequestRule extends Refusal {
  readonly step: RequestStep;
  /** Whether the request follows the rule. Never throws. */
  readonly holds: (facts: RequestFacts) => boolean;
}

const BAD = 'not a websocket handshake:';
const NOT_WEBSOCKET = 'the client is not using the websocket protocol:';
const BAD_VERSION = "unsupported version: 13 not found in 'Sec-Websocket-Version' header";
const UPGRADE = ['Upgrade', 'websocket'] as const;
const VERSION = ['Sec-WebSocket-Version', '13'] as const;

/**
 * The rules of a server for a request (RFC 6455, section 4.2.1), in the order in which faults are
 * reported. Messages follow gorilla/websocket.
 *
 * @example
 * ```ts
 * import { requestRules } from '@ws/codec';
 *
 * for (const { status, message } of requestRules) console.log(status, message);
 * ```
 */
export const requestRules: readonly RequestRule[] = /* @__PURE__ */ makeRules();

/**
 * The rules of a server for a request over HTTP/2 (RFC 8441, section 5), in the order, with the
 * words and with the statuses of {@link requestRules}. `Sec-WebSocket-Key` is allowed, and not needed.
 *
 * @example
 * ```ts
 * import { http2RequestRules } from '@ws/codec';
 *
 * for (const { status, message } of http2RequestRules) console.log(status, message);
 * ```
 */
export const http2RequestRules: readonly RequestRule[] = /* @__PURE__ */ makeHttp2Rules();

// Functions, so that bundlers can leave the tables out.

function makeRules(): RequestRule[] {
  return [
    rule(`${NOT_WEBSOCKET} request is not HTTP/1.1`, ({ version }) => version === '1.1'),
    rule(
      `${BAD} 'Host' header must occur exactly once`,
      (facts) => facts.once('host') !== undefined,
    ),
    ...hostAndBodyRules(),
    rule(`${NOT_WEBSOCKET} 'upgrade' token not found in 'Connection' header`, (facts) =>
      hasToken(facts.list('connection'), 'upgrade'),
    ),
    rule(
      `${NOT_WEBSOCKET} 'websocket' token not found in 'Upgrade' header`,
      (facts) => hasToken(facts.list('upgrade'), 'websocket'),
      { status: 426, headers: [UPGRADE] },
    ),
    rule(`${NOT_WEBSOCKET} request method is not GET`, ({ method }) => method === 'GET', {
      status: 405,
      headers: [['Allow', 'GET']],
    }),
    ...versionRules([UPGRADE, VERSION]),
    // Section 4.2.1 allows a path and an absolute URI. An absolute URI must name the same host as the
    // Host header.
    rule(`${BAD} request target is neither a path nor a URI of the host`, (facts) =>
      isRequestTarget(facts.target, facts.list('host')),
    ),
    ...pathAndOriginRules(),
    rule(
      `${BAD} 'Sec-WebSocket-Key' header must be Base64 encoded value of 16-byte in length`,
      (facts) => isWebSocketKey(facts.once('sec-websocket-key') ?? ''),
      { step: 'offers' },
    ),
    extensionsRule(),
  ];
}

function makeHttp2Rules(): RequestRule[] {
  return [
    // A `Host` alone is valid (RFC 9113, section 8.3.1).
    rule(
      `${BAD} ':authority' must occur exactly once`,
      (facts) => facts.once(facts.has(':authority') ? ':authority' : 'host') !== undefined,
    ),
    rule(
      `${BAD} 'Host' header differs from ':authority'`,
      (facts) =>
        !facts.has(':authority') ||
        !facts.has('host') ||
        facts.list(':authority').toLowerCase() === facts.list('host').toLowerCase(),
    ),
    ...hostAndBodyRules(),
    // RFC 9113, section 8.2.2.
    rule(
      `${BAD} 'Connection' and 'Upgrade' headers are not allowed in HTTP/2`,
      (facts) => !facts.has('connection') && !facts.has('upgrade'),
    ),
    rule(
      `${NOT_WEBSOCKET} ':protocol' is not 'websocket'`,
      (facts) => !facts.has(':protocol') || facts.once(':protocol')?.toLowerCase() === 'websocket',
      { status: 501 },
    ),
    rule(`${NOT_WEBSOCKET} request method is not CONNECT`, ({ method }) => method === 'CONNECT', {
      status: 405,
      headers: [['Allow', 'CONNECT']],
    }),
    rule(
      `${NOT_WEBSOCKET} ':protocol' not found in a CONNECT request`,
      (facts) => facts.has(':protocol'),
      { status: 405, headers: [['Allow', 'GET']] },
    ),
    ...versionRules([VERSION]),
    rule(`${BAD} ':scheme' is neither http nor https`, (facts) =>
      /^https?$/i.test(facts.once(':scheme') ?? ''),
    ),
    rule(
      `${BAD} request target is not a path`,
      ({ target }) => target.startsWith('/') && !target.includes('#'),
    ),
    ...pathAndOriginRules(),
    extensionsRule(),
  ];
}

/** A rule with what most rules have: the step `request` and the status 400. */
function rule(
  message: string,
  holds: RequestRule['holds'],
  { step = 'request', status = 400, headers }: Partial<RequestRule> = {},
): RequestRule {
  return { step, holds, status, message, headers };
}

// The rules of both tables.

function hostAndBodyRules(): RequestRule[] {
  return [
    rule(`${BAD} 'Host' header is not a valid host`, (facts) => isHost(hostOf(facts))),
    // Bytes after the head are frames. Reading them as a body too would be request smuggling.
    rule(
      `${BAD} request has a body`,
      (facts) =>
        !facts.has('transfer-encoding') &&
        (!facts.has('content-length') ||
          facts.lines('content-length').every((length) => /^0+$/.test(length))),
    ),
  ];
}

function versionRules(headers: Refusal['headers']): RequestRule[] {
  const version = 'sec-websocket-version';
  return [
    rule(BAD_VERSION, (facts) => facts.once(version) !== undefined),
    rule(BAD_VERSION, (facts) => facts.once(version) === '13', { status: 426, headers }),
  ];
}

function pathAndOriginRules(): RequestRule[] {
  return [
    // The routes of two servers would disagree about such a path.
    rule(`${BAD} path is not percent-encoded UTF-8 or has a NUL`, ({ target }) =>
      isDecodable(target),
    ),
    // A check of the origin would see only one of several lines. A browser sends one.
    rule(
      `${BAD} 'Origin' header is repeated`,
      (facts) => !facts.has('origin') || facts.once('origin') !== undefined,
      { step: 'origin' },
    ),
  ];
}

function extensionsRule(): RequestRule {
  return rule(
    `${BAD} malformed 'Sec-WebSocket-Extensions' header`,
    (facts) =>
      !facts.has('sec-websocket-extensions') ||
      parseExtensions(facts.list('sec-websocket-extensions')) !== undefined,
    { step: 'offers' },
  );
}

/**
 * Checks a request by {@link requestRules}, and a request of HTTP/2 by {@link http2RequestRules}.
 *
 * A server that takes no step between the rules leaves `step` out, and checks the origin before it
 * answers: without that check, any web page can connect with the cookies of its visitor
 * (RFC 6455, section 10.2).
 *
 * {@link RequestHead} has an example.
 *
 * @param step - Checks only the rules of this step. Default: all rules.
 * @returns The first broken rule, for {@link formatRefusal}; undefined when there is none.
 */
export function checkRequest(facts: RequestFacts, step?: RequestStep): Refusal | undefined {
  const rules = facts.version === '2' ? http2RequestRules : requestRules;
  // By index: an iterator creates an object for each step in code that is not optimized yet.
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!;
    if ((step ?? rule.step) === rule.step && !rule.holds(facts)) return rule;
  }
  return undefined;
}
