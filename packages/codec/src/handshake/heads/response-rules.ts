import { quote } from '../../errors.ts';
import { acceptDeflate } from '../deflate-negotiation.ts';
import { type ExtensionOffer, parseExtensions } from '../extensions.ts';
import type { RequestFacts } from '../request-rules.ts';
import { hasToken } from '../token-list.ts';

/**
 * The facts of a response that the rules of a client need. {@link ResponseHead} implements it.
 * Wrap the response of another HTTP parser to use the same rules.
 *
 * Names of fields ignore case.
 */
export interface ResponseFacts extends Pick<RequestFacts, 'version' | 'has' | 'lines' | 'list'> {
  /** The status of HTTP. */
  readonly status: number;
}

/** The offer of a request: its response may accept nothing else. */
export interface HandshakeOffer {
  /** The value that `Sec-WebSocket-Accept` must have: {@link acceptKey} of the request's key. */
  readonly accept: string;
  /** The names of `Sec-WebSocket-Protocol`. */
  readonly subprotocols: readonly string[];
  /** The elements of `Sec-WebSocket-Extensions`. */
  readonly extensions: readonly ExtensionOffer[];
}

/**
 * The part of a response that a rule is about. `extensions` is about the names of extensions,
 * `parameters` about the parameters of permessage-deflate.
 */
export type ResponsePart =
  | 'status'
  | 'version'
  | 'upgrade'
  | 'connection'
  | 'accept'
  | 'extensions'
  | 'parameters'
  | 'subprotocol';

/** One rule for the response of an opening handshake. */
export interface ResponseRule {
  readonly part: ResponsePart;
  /**
   * Returns why the response breaks the rule; undefined when it follows it. Values of the response
   * are quoted and escaped. Never throws.
   */
  readonly fault: (response: ResponseFacts, offer: HandshakeOffer) => string | undefined;
}

/**
 * The rules of a client for a response (RFC 6455, section 4.1, the list after "the client MUST
 * validate"), in the order of that list.
 *
 * A client that words its errors itself finds the broken rule by its `part`. A reverse proxy leaves
 * `parameters` out: they are between its client and its target.
 *
 * @example
 * ```ts
 * import { acceptKey, ResponseHead, responseRules } from '@ws/codec';
 *
 * const head = new ResponseHead();
 * head.push(new TextEncoder().encode('HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n'));
 * const accept = acceptKey('dGhlIHNhbXBsZSBub25jZQ==');
 * const offer = { accept, subprotocols: [], extensions: [] };
 * const broken = responseRules.find((rule) => rule.fault(head, offer) !== undefined);
 * console.log(broken?.part); // upgrade
 * ```
 */
export const responseRules: readonly ResponseRule[] = /* @__PURE__ */ makeRules();

/** A function, so that bundlers can leave the table out. */
function makeRules(): ResponseRule[] {
  return [
    { part: 'status', fault: statusFault },
    {
      // Section 4.2.2 requires HTTP/1.1. A 101 of HTTP/1.0 has no meaning (RFC 9110, section 15.2).
      // RFC 8441 allows HTTP/2.
      part: 'version',
      fault: versionFault,
    },
    {
      // The whole value, not one element of a list.
      part: 'upgrade',
      fault: ofHttp1((response) =>
        faultOfOne(response, 'Upgrade', (value) =>
          value.toLowerCase() === 'websocket' ? undefined : `is ${quote(value)}, not websocket`,
        ),
      ),
    },
    { part: 'connection', fault: ofHttp1(connectionFault) },
    {
      part: 'accept',
      fault: ofHttp1((response, { accept }) =>
        faultOfOne(response, 'Sec-WebSocket-Accept', (value) =>
          value === accept ? undefined : `is ${quote(value)}, which does not match our key`,
        ),
      ),
    },
    extensionsRule('extensions'),
    extensionsRule('parameters'),
    {
      part: 'subprotocol',
      fault: (response, { subprotocols }) => {
        if (!response.has(PROTOCOL)) return undefined;
        return faultOfOne(response, PROTOCOL, (value) =>
          subprotocols.includes(value) ? undefined : `${quote(value)} was not offered`,
        );
      },
    },
  ];
}

/**
 * Checks a response by {@link responseRules}.
 *
 * {@link ResponseHead} has an example.
 *
 * @returns Every fault, in the order of the rules; empty when the handshake is valid. A status other
 *   than 101 (over HTTP/2: 200 to 299) is the only fault: the headers of such a response belong to no handshake.
 */
export function checkResponse(response: ResponseFacts, offer: HandshakeOffer): string[] {
  const faults: string[] = [];
  for (const { part, fault } of responseRules) {
    const found = fault(response, offer);
    if (found === undefined) continue;
    faults.push(found);
    if (part === 'status') break;
  }
  return faults;
}

const PROTOCOL = 'Sec-WebSocket-Protocol';
const EXTENSIONS = 'Sec-WebSocket-Extensions';
const DEFLATE = 'permessage-deflate';

/** RFC 8441, section 5: over HTTP/2 any 2xx accepts. */
function statusFault({ status, version }: ResponseFacts): string | undefined {
  const accepts = version === '2' ? status >= 200 && status <= 299 : status === 101;
  return accepts ? undefined : `status ${status}, not ${version === '2' ? 200 : 101}`;
}

function versionFault({ version }: ResponseFacts): string | undefined {
  return version === '1.0' ? 'HTTP/1.0, not HTTP/1.1' : undefined;
}

/** RFC 8441, section 5.1: over HTTP/2 a response has no Upgrade, Connection and accept value. */
function ofHttp1(fault: ResponseRule['fault']): ResponseRule['fault'] {
  return (response, offer) => (response.version === '2' ? undefined : fault(response, offer));
}

/** The fault of a field that must occur once; `check` returns the fault of its value. */
function faultOfOne(
  response: ResponseFacts,
  name: string,
  check: (value: string) => string | undefined,
): string | undefined {
  const values = response.lines(name);
  if (values.length === 0) return `no ${name} header`;
  if (values.length > 1) return `more than one ${name} header`;
  const fault = check(values[0]!);
  return fault && `${name} ${fault}`;
}

function connectionFault(response: ResponseFacts): string | undefined {
  if (!response.has('connection')) return 'no Connection header';
  const value = response.list('connection');
  if (hasToken(value, 'upgrade')) return undefined;
  return `Connection is ${quote(value)}, without upgrade`;
}

/**
 * The rule for the names of extensions (section 9.1: a response accepts only what was offered), or for
 * the parameters of offered ones (RFC 7692, section 7.1).
 */
function extensionsRule(part: 'extensions' | 'parameters'): ResponseRule {
  return {
    part,
    fault: (response, { extensions }) => {
      if (!response.has(EXTENSIONS)) return undefined;
      const accepted = parseExtensions(response.list(EXTENSIONS));
      const isOffered = ({ name }: ExtensionOffer): boolean =>
        extensions.some((offer) => offer.name === name);
      const areOffered = accepted?.every(isOffered) === true;
      if (areOffered !== (part === 'parameters')) return undefined;
      const shown = `${EXTENSIONS} ${quote(response.list(EXTENSIONS))}`;
      if (extensions.length === 0) return `${shown} was not offered`;
      if (accepted === undefined) return `malformed ${shown}`;
      // Other extensions than permessage-deflate check their own parameters.
      const [first, ...others] = accepted.filter((one) => one.name === DEFLATE || !isOffered(one));
      if (accepted.length === 0 || others.length > 0) return `${shown} does not name one extension`;
      if (first === undefined) return undefined;
      try {
        acceptDeflate(first, extensions);
        return undefined;
      } catch (error) {
        const { faults } = error as { readonly faults: readonly string[] };
        return `${shown} does not match our offer: ${faults.map(quote).join(', ')}`;
      }
    },
  };
}
