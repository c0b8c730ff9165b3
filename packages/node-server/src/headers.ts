import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http';
import type { RequestFacts } from '@ws/codec';
import { isError, kind } from '@ws/conn/internal';
import { assertOption, type HeaderEntries, headerEntries } from '@ws/node-io/internal';
import type { AppRequest, HandlerContext, HandshakeRequest } from './conn-handler.ts';
import type { HeaderPair } from './errors.ts';
import { isResponse } from './is-response.ts';
import type { RouteParams } from './route-table.ts';

/**
 * Headers for a response: a `Headers`, a Map, pairs, or an object. A list as a value is sent as
 * several lines.
 */
export type HeadersInput = HeaderEntries;

/**
 * The option `headers`: headers of each accepting answer, or a function that returns them for one
 * request. It may be async.
 */
export type HeadersOption<Auth, Req = HandshakeRequest> =
  | HeadersInput
  | ((
      req: Req,
      context: HandlerContext<Auth, RouteParams<string>>,
    ) => HeadersInput | PromiseLike<HeadersInput>);

/** {@link HeadersOption}, checked. */
export type HeadersSource =
  | readonly HeaderPair[]
  | Extract<HeadersOption<unknown, AppRequest>, (...args: never) => unknown>;

export const NO_HEADERS: readonly HeaderPair[] = [];

/** Headers that only the handshake may set. */
const HANDSHAKE_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'sec-websocket-accept',
]);

/** Headers of an accepting answer that the handshake negotiates, with the option for it. */
const NEGOTIATED_BY: ReadonlyMap<string, string> = new Map([
  ['sec-websocket-extensions', 'compression'],
  ['sec-websocket-protocol', 'subprotocols'],
]);

/**
 * Checks the headers that an application adds to a response.
 *
 * @throws TypeError for a name or a value that a header cannot contain (CR, LF, NUL, ...), and for
 *   a header that only the handshake may set.
 */
export function headerPairs(input: HeadersInput | undefined): HeaderPair[] {
  if (input === undefined) return [];
  // Both are objects without entries.
  const isHeaders = typeof input === 'object' && !isResponse(input) && !isError(input);
  if (!isHeaders || input === null) {
    throw new TypeError(`headers: expected an object, Headers or pairs, got ${kind(input)}`);
  }
  const pairs: HeaderPair[] = [];
  for (const [name, value] of headerEntries(input)) {
    validateHeaderName(name);
    if (HANDSHAKE_HEADERS.has(name.toLowerCase())) {
      throw new TypeError(`header ${name} is set by the handshake`);
    }
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      const isText = typeof line === 'string' || typeof line === 'number';
      assertOption(`header ${name}`, line, isText, 'a string or a list of strings');
      validateHeaderValue(name, String(line));
      pairs.push([name, String(line)]);
    }
  }
  return pairs;
}

/**
 * Checks headers that an application adds to an accepting answer by the option `headers`.
 *
 * @throws TypeError as {@link headerPairs}, and for headers that the handshake negotiates.
 */
export function optionHeaderPairs(input: HeadersInput | undefined): HeaderPair[] {
  const pairs = namedHeaderPairs(input);
  for (const [name] of pairs) {
    const option = NEGOTIATED_BY.get(name.toLowerCase());
    if (option === undefined) continue;
    throw new TypeError(`headers: ${name} is set by the handshake; use option ${option}`);
  }
  return pairs;
}

/** @throws TypeError that names the option. */
function namedHeaderPairs(input: HeadersInput | undefined): HeaderPair[] {
  try {
    return headerPairs(input);
  } catch (cause) {
    const { message } = cause as Error;
    throw new TypeError(message.startsWith('headers: ') ? message : `headers: ${message}`, {
      cause,
    });
  }
}

/** Returns `base` and `over`. Of a name that both have, only the lines of `over` stay. */
export function mergeHeaders(
  base: readonly HeaderPair[],
  over: readonly HeaderPair[],
): readonly HeaderPair[] {
  if (base.length === 0) return over;
  return over.length === 0 ? base : replaceHeaders(base, over);
}

function replaceHeaders(
  base: readonly HeaderPair[],
  over: readonly HeaderPair[],
): readonly HeaderPair[] {
  const kept = base.filter(([name]) => headerOf(over, name.toLowerCase()) === undefined);
  return [...kept, ...over];
}

/**
 * Returns the value of the first header called `name` in `pairs`.
 *
 * @param name - In lower case.
 */
export function headerOf(pairs: readonly HeaderPair[], name: string): string | undefined {
  for (let i = 0; i < pairs.length; i++) {
    if (pairs[i]![0].toLowerCase() === name) return pairs[i]![1];
  }
  return undefined;
}

/** The look-ups of a request's header fields. */
export type FieldLookups = Pick<RequestFacts, 'has' | 'once' | 'lines' | 'list'>;

/** Header fields that the handshake reads. */
const FIELDS = [
  'host',
  'transfer-encoding',
  'content-length',
  'connection',
  'upgrade',
  'origin',
  'x-forwarded-for',
  'sec-websocket-version',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
  // Of HTTP/2 (RFC 8441, section 4).
  ':protocol',
  ':scheme',
  ':authority',
] as const;
type Field = (typeof FIELDS)[number];
const KEPT: ReadonlySet<string> = new Set(FIELDS);

/**
 * The lines of a request's header fields. `IncomingMessage.headers` joins some repeated fields and
 * drops others, but the handshake has rules about repetition. Other fields are not kept: a flood of
 * them would cost ten times their bytes.
 */
export class RequestHeaders implements FieldLookups {
  /** A field that occurs once is kept as its text, so that a usual request needs no list. */
  readonly #values = new Map<string, string | string[]>();

  /** @param req - One that an application has made may have no `rawHeaders`. */
  constructor({ rawHeaders: raw = [] }: Partial<Pick<IncomingMessage, 'rawHeaders'>>) {
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const name = raw[i]!.toLowerCase();
      if (!KEPT.has(name)) continue;
      const line = raw[i + 1]!;
      const before = this.#values.get(name);
      if (before === undefined) this.#values.set(name, line);
      else if (typeof before === 'string') this.#values.set(name, [before, line]);
      else before.push(line);
    }
    // A request of HTTP/2 often has no Host (RFC 9113, section 8.3.1).
    const authority = this.#values.get(':authority');
    if (authority !== undefined && !this.has('host')) this.#values.set('host', authority);
  }

  /** Whether the field occurs. */
  has(name: Field): boolean {
    return this.#values.has(name);
  }

  /** Returns the value of every line of the field. */
  lines(name: Field): readonly string[] {
    const value = this.#values.get(name) ?? [];
    return typeof value === 'string' ? [value] : value;
  }

  /** Returns the field as one list over all its lines; `''` when it is missing. */
  list(name: Field): string {
    const value = this.#values.get(name) ?? '';
    return typeof value === 'string' ? value : value.join(', ');
  }

  /** Returns the value of a field that occurs exactly once, otherwise undefined. */
  once(name: Field): string | undefined {
    const value = this.#values.get(name);
    return typeof value === 'string' ? value : undefined;
  }
}
