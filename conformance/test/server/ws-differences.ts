import type { Verdict } from '../../src/index.ts';

/** Cases that the package ws does not pass, with the reason. */
export interface Difference {
  readonly verdict: Verdict;
  readonly cases: readonly string[];
  readonly because: string;
}

const count = (section: string, first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, at) => `${section}.${first + at}`);

/** Differences of ws 8.23.0 with and without compression. */
const WS_DIFFERENCES: readonly Difference[] = [
  {
    verdict: 'non-strict',
    cases: ['2.2.5', '9.3.8', '9.10.11'],
    because:
      'it drops the connection without a close frame when more than 60 pongs are queued (maxPendingAutoPongs)',
  },
  {
    verdict: 'advice',
    cases: [...count('6.5', 1, 48), ...count('6.6', 1, 48)],
    because: 'it checks the UTF-8 of a message only after the last byte',
  },
  {
    verdict: 'non-strict',
    cases: count('8.4', 1, 4),
    because: 'it compares Upgrade as one word and does not parse the list',
  },
  {
    verdict: 'fail',
    cases: ['8.10.1', '8.10.2', '8.10.6'],
    because: 'it does not check the HTTP version: it accepts 1.0 and 0.9',
  },
  {
    verdict: 'fail',
    cases: ['8.11.1', '8.12.1', '8.12.2', '8.12.3'],
    because: 'it leaves Host to Node, which does not require it in an upgrade request',
  },
  {
    verdict: 'fail',
    cases: ['8.18.3', '8.18.4', '8.18.6'],
    because: 'it converts Sec-WebSocket-Version with JavaScript: 13.0, +13 and 0x0d are 13',
  },
  {
    verdict: 'non-strict',
    cases: ['8.19.1', '8.19.2'],
    because: 'it converts Sec-WebSocket-Version with JavaScript: 013 is 13',
  },
  {
    verdict: 'advice',
    cases: count('6.11', 1, 3),
    because: 'it checks the UTF-8 of a message only after the last byte',
  },
  {
    verdict: 'fail',
    cases: ['8.29.1', '8.29.2'],
    because: 'it leaves the body of a handshake to Node, which passes it on as the first frame',
  },
  {
    verdict: 'advice',
    cases: count('9.6', 1, 15),
    because: 'it accepts lengths in a longer form than necessary',
  },
];

/** Differences of ws 8.23.0 with compression. */
export const WS_DEFLATE_DIFFERENCES: readonly Difference[] = [
  ...WS_DIFFERENCES,
  {
    verdict: 'fail',
    cases: ['8.22.5', '8.22.9'],
    because:
      'it refuses Sec-WebSocket-Extensions with spaces around = or before ;, and with an empty element, which the grammar of RFC 2616 allows',
  },
  {
    verdict: 'fail',
    cases: ['12.5.16', '12.5.17'],
    because:
      'it truncates the message at the first final block without an error (RFC 7692, 7.2.3.4)',
  },
  {
    verdict: 'advice',
    cases: ['12.23.1', '12.23.3', '12.23.4'],
    because: 'it takes what zlib has inflated of data that ends within a block',
  },
  {
    verdict: 'non-strict',
    cases: [
      '13.1.30',
      ...count('13.2', 1, 5),
      '13.2.9',
      '13.2.12',
      '13.2.22',
      '13.2.25',
      ...count('13.2', 14, 18),
      ...count('13.2', 27, 36),
      ...count('13.2', 38, 43),
    ],
    because: 'it refuses the whole handshake with 400 instead of declining the offer',
  },
  {
    verdict: 'advice',
    cases: ['13.2.37'],
    because: 'it refuses the handshake for the name of a parameter in another case',
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
    because: 'it converts window bits with JavaScript: it accepts 08, 8.0, +9, 0x9 and 1e1',
  },
  {
    verdict: 'non-strict',
    cases: count('13.4', 1, 6),
    because: 'it refuses the handshake for an invalid first offer and ignores the valid second one',
  },
];

/** Differences of ws 8.23.0 without compression. */
export const WS_PLAIN_DIFFERENCES: readonly Difference[] = [
  ...WS_DIFFERENCES,
  {
    verdict: 'fail',
    cases: count('8.23', 1, 19),
    because: 'it does not read Sec-WebSocket-Extensions, so it accepts a malformed list',
  },
];
