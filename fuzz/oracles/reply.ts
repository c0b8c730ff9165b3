import { acceptanceOf } from './deflate-offers.ts';
import { type Element, elementsOf, lists } from './header-fields.ts';
import { acceptOf, type Head, headOf, linesOf } from './http-head.ts';

/** What the client has asked. */
export interface Question {
  readonly key: string;
  readonly subprotocols: readonly string[];
  readonly offer: Element;
}

/** What an answer is worth: whether it is a handshake, and where its frames begin. */
export interface Verdict {
  /** `either` where RFC 9110 lets a client do as it likes. */
  readonly stands: boolean | 'either';
  readonly end: number;
  readonly compressed: boolean;
}

const REFUSED = { stands: false, end: 0, compressed: false } as const;
const MAX_INTERIM = 10;
/** A first line that ends with two CR: for Node's parser the second is as good as an LF. */
const TWO_CR = /([\r\n]*HTTP\/\d\.\d \d{3}[^\r\n]*\r)\r/y;

/** Judges an answer by RFC 6455, section 4.1, interim ones passed over. */
export function verdictOf(reply: string, question: Question): Verdict {
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
    const head = headOf(text, start);
    if (typeof head === 'string') return REFUSED;
    const [, version, status] = /^HTTP\/(\d\.\d) (\d{3})(?: .*)?$/.exec(head.first) ?? [];
    if (status === undefined || version === undefined) return REFUSED;
    if (status === '101') return handshakeVerdict(head, version, question, odd);
    if (!status.startsWith('1')) return REFUSED;
    // Node's parser knows some versions of HTTP, and for others gives up, as it does behind a head that says to close.
    odd ||= version !== '1.1' || lists(linesOf(head, 'connection').join(','), 'close');
    start = head.end;
  }
  return REFUSED;
}

function handshakeVerdict(
  head: Head,
  version: string,
  { key, subprotocols, offer }: Question,
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
    lists(linesOf(head, 'connection').join(','), 'upgrade') &&
    accept.length === 1 &&
    accept[0] === acceptOf(key) &&
    (extensions.length === 0 || agreed !== undefined) &&
    (protocol.length === 0 || (protocol.length === 1 && subprotocols.includes(protocol[0]!)));
  // RFC 9110, section 15.2: a 101 has no content, so what would frame some says nothing, or is a fault. A tab beside the
  // word is legal, and Node's parser does not know the word then.
  const framed = ['content-length', 'transfer-encoding'].some(
    (name) => linesOf(head, name).length > 0,
  );
  return {
    stands: holds && (framed || odd || head.tabbed) ? 'either' : holds,
    end: head.end,
    compressed: agreed !== undefined,
  };
}
