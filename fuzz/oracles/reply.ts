import { acceptanceOf } from './deflate-negotiation.ts';
import { type Element, elementsOf, hasListToken } from './header-fields.ts';
import { acceptOf, type Head, headOf, linesOf } from './http-head.ts';

/** The parts of the client's request that decide about a response. */
export interface HandshakeRequest {
  readonly key: string;
  readonly subprotocols: readonly string[];
  readonly offer: Element;
}

/** How a client must judge a response. */
export interface Verdict {
  /** Whether the client must accept; `either` where RFC 9110 leaves the choice. */
  readonly accepted: boolean | 'either';
  /** Index of the first byte of the frames. */
  readonly end: number;
  /** Whether both ends agreed on permessage-deflate. */
  readonly compressed: boolean;
}

const REJECTED = { accepted: false, end: 0, compressed: false } as const;
const MAX_INTERIM = 10;
/** A status line that ends with two CR. Node's parser reads the second CR as an LF. */
const TWO_CR = /([\r\n]*HTTP\/\d\.\d \d{3}[^\r\n]*\r)\r/y;

/** RFC 9112, section 4: a reason phrase has no control character but a tab. */
const STATUS_LINE = /^HTTP\/(\d\.\d) (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?$/;

/** Judges a response by RFC 6455, section 4.1. Skips up to ten interim responses. */
export function verdictOf(reply: string, request: HandshakeRequest): Verdict {
  let start = 0;
  let text = reply;
  let odd = false;
  for (let interim = 0; interim <= MAX_INTERIM; interim++) {
    TWO_CR.lastIndex = start;
    const [all, line] = TWO_CR.exec(text) ?? [];
    if (all !== undefined) {
      odd = true;
      text = `${text.slice(0, start)}${line}\n${text.slice(start + all.length)}`;
    }
    // RFC 9112, section 2.2, asks servers to skip empty lines before a head, not clients.
    odd ||= text[start] === '\r' || text[start] === '\n';
    const head = headOf(text, start);
    if (typeof head === 'string') return REJECTED;
    const [, version, status] = STATUS_LINE.exec(head.first) ?? [];
    if (status === undefined || version === undefined) return REJECTED;
    if (status === '101') return handshakeVerdict(head, version, request, odd);
    if (!status.startsWith('1')) return REJECTED;
    // Node's parser stops after an interim response with another HTTP version or with
    // `Connection: close`.
    odd ||= version !== '1.1' || hasListToken(linesOf(head, 'connection').join(','), 'close');
    start = head.end;
  }
  return REJECTED;
}

function handshakeVerdict(
  head: Head,
  version: string,
  { key, subprotocols, offer }: HandshakeRequest,
  odd: boolean,
): Verdict {
  const [upgrade, accept, protocol] = [
    'upgrade',
    'sec-websocket-accept',
    'sec-websocket-protocol',
  ].map((name) => linesOf(head, name)) as [string[], string[], string[]];
  const extensions = linesOf(head, 'sec-websocket-extensions');
  const answer = elementsOf(extensions.join(','));
  const agreed = answer?.length === 1 ? acceptanceOf(answer[0]!, offer) : undefined;
  const holds =
    version === '1.1' &&
    upgrade.length === 1 &&
    upgrade[0]!.toLowerCase() === 'websocket' &&
    hasListToken(linesOf(head, 'connection').join(','), 'upgrade') &&
    accept.length === 1 &&
    accept[0] === acceptOf(key) &&
    (extensions.length === 0 || agreed !== undefined) &&
    (protocol.length === 0 || (protocol.length === 1 && subprotocols.includes(protocol[0]!)));
  // RFC 9110, section 15.2: a 101 has no content. A client may ignore or reject a field that frames
  // content. A tab beside `upgrade` is legal, but Node's parser does not recognise the word then.
  const framed = ['content-length', 'transfer-encoding'].some(
    (name) => linesOf(head, name).length > 0,
  );
  return {
    accepted: holds && (framed || odd || head.tabbed) ? 'either' : holds,
    end: head.end,
    compressed: agreed !== undefined,
  };
}
