import { type IncomingMessage, validateHeaderName, validateHeaderValue } from 'node:http';
import type { HeaderPair } from './errors.ts';

/** Headers for a response: a `Headers`, pairs, or an object, in which a list gives several lines. */
export type HeadersInput =
  | Iterable<readonly [string, string]>
  | { readonly [name: string]: string | readonly string[] };

/** What says how the connection goes on: that is the handshake's own to say. */
const OURS: ReadonlySet<string> = new Set([
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'sec-websocket-accept',
]);

/**
 * Checks headers that an application wants in a response.
 *
 * @throws TypeError for a name or a value that cannot stand in a header (CR, LF, NUL, ...), and for a header that
 *   belongs to the handshake itself.
 */
export function headerPairs(input: HeadersInput | undefined): HeaderPair[] {
  if (input === undefined) return [];
  if (typeof input !== 'object' || input === null) {
    const got = input === null ? 'null' : typeof input;
    throw new TypeError(`headers: expected an object, Headers or pairs, got ${got}`);
  }
  const pairs: HeaderPair[] = [];
  const entries = Symbol.iterator in input ? input : Object.entries(input);
  for (const entry of entries as Iterable<[string, string | readonly string[]]>) {
    // Names and values in turn, as node:http takes them too, would give headers of single letters.
    if (!Array.isArray(entry)) throw new TypeError('headers: expected pairs of name and value');
    const [name, value] = entry;
    validateHeaderName(name);
    if (OURS.has(name.toLowerCase())) throw new TypeError(`header ${name} is set by the handshake`);
    for (const line of Array.isArray(value) ? value : [value]) {
      validateHeaderValue(name, line);
      pairs.push([name, String(line)]);
    }
  }
  return pairs;
}

/** The value of the first header called `name`, in lower case, among `pairs`. */
export function headerOf(pairs: readonly HeaderPair[], name: string): string | undefined {
  return pairs.find(([given]) => given.toLowerCase() === name)?.[1];
}

/** The fields that the handshake has rules for. */
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
 * A request's header fields, line by line. Node's own `headers` joins some repeated fields and drops others; how often
 * one stands is part of the handshake's rules. Of others nothing is kept: a flood of them would cost ten times its bytes.
 */
export class RequestHeaders {
  readonly #lines: ReadonlyMap<string, string[]> = new Map(FIELDS.map((name) => [name, []]));

  constructor(req: IncomingMessage) {
    const raw = req.rawHeaders;
    for (let i = 0; i + 1 < raw.length; i += 2) {
      this.#lines.get(raw[i]!.toLowerCase())?.push(raw[i + 1]!);
    }
  }

  /** Every line of the field. */
  lines(name: Field): readonly string[] {
    return this.#lines.get(name)!;
  }

  /** The field as one list over all its lines; `''` when it is missing. */
  list(name: Field): string {
    return this.lines(name).join(', ');
  }

  /** The value of a field that stands exactly once, else undefined. */
  once(name: Field): string | undefined {
    const lines = this.lines(name);
    return lines.length === 1 ? lines[0] : undefined;
  }
}
