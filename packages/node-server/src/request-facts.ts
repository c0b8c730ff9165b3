import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { RequestFacts } from '@ws/codec';
import { addressOf } from '@ws/node-io/internal';

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

  /** @param req - A request that an application has made may have no `rawHeaders`. */
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

/** An IncomingMessage, for the codec's tables of rules and for the steps between them. */
export class IncomingFacts extends RequestHeaders implements RequestFacts {
  readonly method: string;
  readonly target: string;
  readonly version: RequestFacts['version'];
  readonly #req: IncomingMessage;

  constructor(req: IncomingMessage, version: RequestFacts['version']) {
    super(req);
    this.#req = req;
    this.method = req.method ?? '';
    this.target = req.url ?? '';
    this.version = version;
  }

  get remoteAddress(): string | undefined {
    return addressOf(this.#req.socket, 'remoteAddress');
  }
}

/** Returns whether a request is one of node:http2's compatibility API. */
export function isCompatRequest(req: object | undefined): req is Http2ServerRequest {
  const { stream } = (req ?? {}) as Partial<Http2ServerRequest>;
  return typeof stream?.respond === 'function';
}
