import type { Chapter } from '../model/chapter.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import {
  type AnswerRow,
  head,
  instead,
  plus,
  refused,
  right,
  rightLines,
  taken,
} from './answer.ts';
import { addRows } from './status.ts';

const UPGRADE = 'Upgrade';
const CONNECTION = 'Connection';
const ACCEPT = 'Sec-WebSocket-Accept';

/** Chapter 8, the three fields that make an answer a handshake. */
export function upgradeFields(chapter: Chapter<ClientAttempt>): void {
  upgrade(chapter);
  connection(chapter);
  accept(chapter);
  spoilt(chapter);
}

const OPENS = 'the connection opens';
const ENDS = 'the connection does not open, and ends';

function pair(
  chapter: Chapter<ClientAttempt>,
  section: string,
  good: readonly AnswerRow[],
  bad: readonly AnswerRow[],
): void {
  addRows(chapter.section({ section, expects: OPENS }), good, taken);
  addRows(chapter.section({ section, expects: ENDS }), bad, refused);
}

function upgrade(chapter: Chapter<ClientAttempt>): void {
  pair(
    chapter,
    'RFC 6455, 4.1, step 2',
    [
      ['Upgrade: WebSocket', instead(UPGRADE, 'Upgrade: WebSocket')],
      ['Upgrade: WEBSOCKET', instead(UPGRADE, 'Upgrade: WEBSOCKET')],
      ['the name of Upgrade in another case', instead(UPGRADE, 'uPGRADE: websocket')],
      ['Upgrade without a space behind its colon', instead(UPGRADE, 'Upgrade:websocket')],
      ['Upgrade with tabs and spaces around it', instead(UPGRADE, 'Upgrade: \t websocket \t')],
    ],
    [
      ['no Upgrade', instead(UPGRADE)],
      ['an empty Upgrade', instead(UPGRADE, 'Upgrade:')],
      ['Upgrade: h2c', instead(UPGRADE, 'Upgrade: h2c')],
      ['Upgrade: websockets', instead(UPGRADE, 'Upgrade: websockets')],
      ['Upgrade: websocke', instead(UPGRADE, 'Upgrade: websocke')],
      ['Upgrade: web socket', instead(UPGRADE, 'Upgrade: web socket')],
      ['Upgrade: "websocket"', instead(UPGRADE, 'Upgrade: "websocket"')],
      ['Upgrade: websocket/13', instead(UPGRADE, 'Upgrade: websocket/13')],
      ['Upgrade: h2c, websocket', instead(UPGRADE, 'Upgrade: h2c, websocket')],
      ['Upgrade: websocket, h2c', instead(UPGRADE, 'Upgrade: websocket, h2c')],
      ['Upgrade in two lines', instead(UPGRADE, 'Upgrade: h2c', 'Upgrade: websocket')],
      ['Upgrade under another name', instead(UPGRADE, 'X-Upgrade: websocket')],
    ],
  );
}

function connection(chapter: Chapter<ClientAttempt>): void {
  pair(
    chapter,
    'RFC 6455, 4.1, step 3',
    [
      ['Connection: upgrade', instead(CONNECTION, 'Connection: upgrade')],
      ['Connection: UPGRADE', instead(CONNECTION, 'Connection: UPGRADE')],
      ['the name of Connection in another case', instead(CONNECTION, 'cONNECTION: Upgrade')],
      ['Connection: keep-alive, Upgrade', instead(CONNECTION, 'Connection: keep-alive, Upgrade')],
      ['Connection: Upgrade,keep-alive', instead(CONNECTION, 'Connection: Upgrade,keep-alive')],
      ['Connection with empty elements', instead(CONNECTION, 'Connection: , Upgrade ,')],
      [
        'Connection in two lines, the second with Upgrade',
        instead(CONNECTION, 'Connection: keep-alive', 'Connection: Upgrade'),
      ],
    ],
    [
      ['no Connection', instead(CONNECTION)],
      ['an empty Connection', instead(CONNECTION, 'Connection:')],
      ['Connection: close', instead(CONNECTION, 'Connection: close')],
      ['Connection: keep-alive', instead(CONNECTION, 'Connection: keep-alive')],
      ['Connection: upgraded', instead(CONNECTION, 'Connection: upgraded')],
      ['Connection: websocket', instead(CONNECTION, 'Connection: websocket')],
      ['Connection: not-upgrade', instead(CONNECTION, 'Connection: not-upgrade')],
      ['Connection under another name', instead(CONNECTION, 'Proxy-Connection: Upgrade')],
    ],
  );
}

function accept(chapter: Chapter<ClientAttempt>): void {
  const line =
    (make: (value: string) => string) =>
    (attempt: ClientAttempt): string =>
      make(right(attempt));
  pair(
    chapter,
    'RFC 6455, 4.1, step 4',
    [
      [
        'the name of Accept in another case',
        instead(
          ACCEPT,
          line((value) => `sec-websocket-ACCEPT: ${value}`),
        ),
      ],
      [
        'Accept with tabs and spaces around it',
        instead(
          ACCEPT,
          line((value) => `${ACCEPT}: \t ${value} \t`),
        ),
      ],
      [
        'Accept without a space behind its colon',
        instead(
          ACCEPT,
          line((v) => `${ACCEPT}:${v}`),
        ),
      ],
      ['the three fields in another order', (attempt) => head(rightLines(attempt).toReversed())],
    ],
    [
      ['no field at all', () => head([])],
      ['no Accept', instead(ACCEPT)],
      ['an empty Accept', instead(ACCEPT, `${ACCEPT}:`)],
      [
        'the Accept of the RFC’s example',
        instead(ACCEPT, `${ACCEPT}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`),
      ],
      [
        'Accept under another name',
        instead(
          ACCEPT,
          line((value) => `X-${ACCEPT}: ${value}`),
        ),
      ],
      [
        'Accept in Sec-WebSocket-Key',
        instead(
          ACCEPT,
          line((v) => `Sec-WebSocket-Key: ${v}`),
        ),
      ],
      ['a right and a wrong Accept', plus(`${ACCEPT}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`)],
      [
        'a wrong and a right Accept',
        instead(
          ACCEPT,
          `${ACCEPT}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`,
          line((value) => `${ACCEPT}: ${value}`),
        ),
      ],
    ],
  );
  const twice = chapter.section({ section: 'RFC 6455, 11.3.3', level: 'should', expects: ENDS });
  addRows(twice, [['the right Accept twice', (a) => plus(`${ACCEPT}: ${right(a)}`)(a)]], refused);
}

/** A wrong Accept made of the right one. */
const SPOILT: readonly (readonly [string, (accept: string, key: string) => string])[] = [
  ['the key itself', (_, key) => key],
  ['in lower case', (value) => value.toLowerCase()],
  ['in upper case', (value) => value.toUpperCase()],
  ['without its padding', (value) => value.slice(0, -1)],
  ['with more padding', (value) => `${value}=`],
  ['without its first character', (value) => value.slice(1)],
  [
    'with another last character',
    (value) => `${value.slice(0, -2)}${value.at(-2) === 'A' ? 'E' : 'A'}=`,
  ],
  ['twice in a line', (value) => `${value}, ${value}`],
  ['with a comma behind it', (value) => `${value},`],
  ['with a parameter', (value) => `${value};q=1`],
  ['in quotes', (value) => `"${value}"`],
  ['with a space inside', (value) => `${value.slice(0, 9)} ${value.slice(9)}`],
  ['as hexadecimal digits', (value) => Buffer.from(value, 'base64').toString('hex')],
];

function spoilt(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({ section: 'RFC 6455, 4.1, step 4', expects: ENDS });
  for (const [title, spoil] of SPOILT) {
    add(`Accept ${title}`, (attempt) => {
      // A key that is random has letters of both cases; one of digits alone would be answered rightly.
      const value = spoil(right(attempt), attempt.key);
      if (value === right(attempt)) attempt.skip('the right Accept is not spoilt by that');
      return refused(attempt, instead(ACCEPT, `${ACCEPT}: ${value}`)(attempt));
    });
  }
}
