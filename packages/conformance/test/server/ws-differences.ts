import type { Verdict } from '../../src/index.ts';

/** Cases that the package ws does not pass, and why. */
export interface Difference {
  readonly verdict: Verdict;
  readonly cases: readonly string[];
  readonly because: string;
}

const count = (section: string, first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, at) => `${section}.${first + at}`);

/** Of ws 8.23.0, whether it compresses or not. */
const WS_DIFFERENCES: readonly Difference[] = [
  {
    verdict: 'non-strict',
    cases: ['2.2.5', '9.3.8', '9.10.11'],
    because:
      'more than 60 pongs that wait to be sent end the connection, without a close frame (maxPendingAutoPongs)',
  },
  {
    verdict: 'non-strict',
    cases: [...count('6.5', 1, 48), ...count('6.6', 1, 48)],
    because: 'a text is checked when the whole message is there, not as it arrives',
  },
  {
    verdict: 'non-strict',
    cases: count('8.4', 1, 4),
    because: 'Upgrade is compared as one word, not read as a list',
  },
  {
    verdict: 'fail',
    cases: ['8.10.1', '8.10.2', '8.10.6'],
    because: 'the version of HTTP is not looked at: 1.0 and 0.9 are accepted',
  },
  {
    verdict: 'fail',
    cases: ['8.11.1', '8.12.1', '8.12.2', '8.12.3'],
    because: 'Host is left to Node, and Node does not ask for it once a request wants an upgrade',
  },
  {
    verdict: 'fail',
    cases: ['8.18.3', '8.18.4', '8.18.6'],
    because: 'Sec-WebSocket-Version is made a number by JavaScript: 13.0, +13 and 0x0d are 13',
  },
  {
    verdict: 'non-strict',
    cases: ['8.19.1', '8.19.2'],
    because: 'Sec-WebSocket-Version is made a number by JavaScript: 013 is 13',
  },
  {
    verdict: 'non-strict',
    cases: count('9.6', 1, 15),
    because: 'a length in a longer form than it needs is accepted',
  },
];

/** Of ws 8.23.0 with compression. */
export const WS_DEFLATE_DIFFERENCES: readonly Difference[] = [
  ...WS_DIFFERENCES,
  {
    verdict: 'fail',
    cases: ['8.22.5', '8.22.9', '13.1.30'],
    because:
      'Sec-WebSocket-Extensions is refused with blanks around = or before ;, and with an empty element, which the grammar of RFC 2616 allows',
  },
  {
    verdict: 'fail',
    cases: ['12.5.16', '12.5.17'],
    because: 'the message is cut, without an error, at the first final block (RFC 7692, 7.2.3.4)',
  },
  {
    verdict: 'non-strict',
    cases: [
      ...count('13.2', 1, 5),
      '13.2.9',
      '13.2.12',
      '13.2.22',
      '13.2.25',
      ...count('13.2', 14, 18),
      ...count('13.2', 27, 43),
    ],
    because: 'an offer that must be declined has the whole handshake refused with 400',
  },
  {
    verdict: 'fail',
    cases: [
      ...count('13.2', 6, 8),
      '13.2.10',
      '13.2.11',
      '13.2.13',
      ...count('13.2', 19, 21),
      '13.2.23',
      '13.2.24',
      '13.2.26',
    ],
    because: 'window bits are made a number by JavaScript: 08, 8.0, +9, 0x9 and 1e1 are accepted',
  },
  {
    verdict: 'non-strict',
    cases: count('13.4', 1, 6),
    because: 'a bad first offer has the handshake refused, and the good one behind it is not seen',
  },
];

/** Of ws 8.23.0 without compression. */
export const WS_PLAIN_DIFFERENCES: readonly Difference[] = [
  ...WS_DIFFERENCES,
  {
    verdict: 'fail',
    cases: count('8.23', 1, 19),
    because: 'Sec-WebSocket-Extensions is not read at all: a malformed one is accepted',
  },
];
