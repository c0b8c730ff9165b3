import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http';
import {
  assertOption,
  type HeaderEntries,
  type HeaderValue,
  headerEntries,
  typeName,
} from '@ws/http-shared';
import type { HeaderPair } from './errors.ts';

/**
 * Headers for a response: a `Headers`, a Map, pairs, or an object. A list as a value is sent as
 * several lines.
 */
export type HeadersInput = HeaderEntries<HeaderValue>;

/** Headers that only the handshake may set. */
const HANDSHAKE_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'sec-websocket-accept',
]);

/**
 * Checks the headers that an application adds to a response.
 *
 * @throws TypeError for a name or a value that a header cannot contain (CR, LF, NUL, ...), and for
 *   a header that only the handshake may set.
 */
export function headerPairs(input: HeadersInput | undefined): HeaderPair[] {
  if (input === undefined) return [];
  if (typeof input !== 'object' || input === null) {
    throw new TypeError(`headers: expected an object, Headers or pairs, got ${typeName(input)}`);
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
 * Returns the value of the first header called `name` in `pairs`.
 *
 * @param name - In lower case.
 */
export function headerOf(pairs: readonly HeaderPair[], name: string): string | undefined {
  return pairs.find(([given]) => given.toLowerCase() === name)?.[1];
}

/** Header fields that the handshake has rules for. */
const FIELDS = [
  'host',
  'transfer-encoding',
  'content-length',
  'connection',
  'upgrade',
  'origin',
  'sec-websocket-version',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-extensions',
] as const;
type Field = (typeof FIELDS)[number];

/**
 * The lines of a request's header fields. `IncomingMessage.headers` joins some repeated fields and
 * drops others, but the handshake has rules about repetition. Other fields are not kept: a flood of
 * them would cost ten times their bytes.
 */
export class RequestHeaders {
  readonly #lines: ReadonlyMap<string, string[]> = new Map(FIELDS.map((name) => [name, []]));

  constructor(req: IncomingMessage) {
    const raw = req.rawHeaders;
    for (let i = 0; i + 1 < raw.length; i += 2) {
      this.#lines.get(raw[i]!.toLowerCase())?.push(raw[i + 1]!);
    }
  }

  /** Returns the value of every line of the field. */
  lines(name: Field): readonly string[] {
    return this.#lines.get(name)!;
  }

  /** Returns the field as one list over all its lines; `''` when it is missing. */
  list(name: Field): string {
    return this.lines(name).join(', ');
  }

  /** Returns the value of a field that occurs exactly once, otherwise undefined. */
  once(name: Field): string | undefined {
    const lines = this.lines(name);
    return lines.length === 1 ? lines[0] : undefined;
  }
}
