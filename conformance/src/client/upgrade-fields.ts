import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import {
  type AnswerRow,
  acceptValue,
  addRows,
  answerHead,
  expectOpen,
  expectRefused,
  replacing,
  validLines,
  withLines,
} from './answer.ts';

const UPGRADE = 'Upgrade';
const CONNECTION = 'Connection';
const ACCEPT = 'Sec-WebSocket-Accept';

/** Adds sections about the three required fields of an answer. */
export function upgradeFields(chapter: Chapter<ClientAttempt>): void {
  upgrade(chapter);
  connection(chapter);
  accept(chapter);
  wrongAccepts(chapter);
}

const OPENS = 'the connection opens';
const ENDS = 'the connection does not open, and ends';

function pair(
  chapter: Chapter<ClientAttempt>,
  section: string,
  good: readonly AnswerRow[],
  bad: readonly AnswerRow[],
): void {
  addRows(chapter.section({ title: 'a valid answer', section, expects: OPENS }), good, expectOpen);
  addRows(
    chapter.section({ title: 'an invalid answer', section, expects: ENDS }),
    bad,
    expectRefused,
  );
}

const RIGHT_UPGRADES: readonly AnswerRow[] = [
  ['Upgrade: WebSocket', replacing(UPGRADE, 'Upgrade: WebSocket')],
  ['Upgrade: WEBSOCKET', replacing(UPGRADE, 'Upgrade: WEBSOCKET')],
  ['the field name Upgrade in another case', replacing(UPGRADE, 'uPGRADE: websocket')],
  ['Upgrade without a space after the colon', replacing(UPGRADE, 'Upgrade:websocket')],
  ['Upgrade with tabs and spaces around it', replacing(UPGRADE, 'Upgrade: \t websocket \t')],
];

const WRONG_UPGRADES: readonly AnswerRow[] = [
  ['no Upgrade', replacing(UPGRADE)],
  ['an empty Upgrade', replacing(UPGRADE, 'Upgrade:')],
  ['Upgrade: h2c', replacing(UPGRADE, 'Upgrade: h2c')],
  ['Upgrade: websockets', replacing(UPGRADE, 'Upgrade: websockets')],
  ['Upgrade: websocke', replacing(UPGRADE, 'Upgrade: websocke')],
  ['Upgrade: web socket', replacing(UPGRADE, 'Upgrade: web socket')],
  ['Upgrade: "websocket"', replacing(UPGRADE, 'Upgrade: "websocket"')],
  ['Upgrade: websocket/13', replacing(UPGRADE, 'Upgrade: websocket/13')],
  ['Upgrade: h2c, websocket', replacing(UPGRADE, 'Upgrade: h2c, websocket')],
  ['Upgrade: websocket, h2c', replacing(UPGRADE, 'Upgrade: websocket, h2c')],
  ['Upgrade in two lines', replacing(UPGRADE, 'Upgrade: h2c', 'Upgrade: websocket')],
  ['Upgrade under another name', replacing(UPGRADE, 'X-Upgrade: websocket')],
];

function upgrade(chapter: Chapter<ClientAttempt>): void {
  pair(chapter, 'RFC 6455, 4.1, step 2', RIGHT_UPGRADES, WRONG_UPGRADES);
}

const RIGHT_CONNECTIONS: readonly AnswerRow[] = [
  ['Connection: upgrade', replacing(CONNECTION, 'Connection: upgrade')],
  ['Connection: UPGRADE', replacing(CONNECTION, 'Connection: UPGRADE')],
  ['the field name Connection in another case', replacing(CONNECTION, 'cONNECTION: Upgrade')],
  ['Connection: keep-alive, Upgrade', replacing(CONNECTION, 'Connection: keep-alive, Upgrade')],
  ['Connection: Upgrade,keep-alive', replacing(CONNECTION, 'Connection: Upgrade,keep-alive')],
  ['Connection with empty elements', replacing(CONNECTION, 'Connection: , Upgrade ,')],
  [
    'Connection in two lines, the second with Upgrade',
    replacing(CONNECTION, 'Connection: keep-alive', 'Connection: Upgrade'),
  ],
];

const WRONG_CONNECTIONS: readonly AnswerRow[] = [
  ['no Connection', replacing(CONNECTION)],
  ['an empty Connection', replacing(CONNECTION, 'Connection:')],
  ['Connection: close', replacing(CONNECTION, 'Connection: close')],
  ['Connection: keep-alive', replacing(CONNECTION, 'Connection: keep-alive')],
  ['Connection: upgraded', replacing(CONNECTION, 'Connection: upgraded')],
  ['Connection: websocket', replacing(CONNECTION, 'Connection: websocket')],
  ['Connection: not-upgrade', replacing(CONNECTION, 'Connection: not-upgrade')],
  ['Connection under another name', replacing(CONNECTION, 'Proxy-Connection: Upgrade')],
];

function connection(chapter: Chapter<ClientAttempt>): void {
  pair(chapter, 'RFC 6455, 4.1, step 3', RIGHT_CONNECTIONS, WRONG_CONNECTIONS);
}

/** Creates a line with the right Accept. */
const line =
  (make: (value: string) => string) =>
  (attempt: ClientAttempt): string =>
    make(acceptValue(attempt));

const RIGHT_ACCEPTS: readonly AnswerRow[] = [
  [
    'the field name Accept in another case',
    replacing(
      ACCEPT,
      line((value) => `sec-websocket-ACCEPT: ${value}`),
    ),
  ],
  [
    'Accept with tabs and spaces around it',
    replacing(
      ACCEPT,
      line((value) => `${ACCEPT}: \t ${value} \t`),
    ),
  ],
  [
    'Accept without a space after the colon',
    replacing(
      ACCEPT,
      line((v) => `${ACCEPT}:${v}`),
    ),
  ],
  ['the three fields in another order', (attempt) => answerHead(validLines(attempt).toReversed())],
];

const WRONG_ACCEPT_FIELDS: readonly AnswerRow[] = [
  ['no field', () => answerHead([])],
  ['no Accept', replacing(ACCEPT)],
  ['an empty Accept', replacing(ACCEPT, `${ACCEPT}:`)],
  ['the Accept of the RFC’s example', replacing(ACCEPT, `${ACCEPT}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`)],
  [
    'Accept under another name',
    replacing(
      ACCEPT,
      line((value) => `X-${ACCEPT}: ${value}`),
    ),
  ],
  [
    'Accept in Sec-WebSocket-Key',
    replacing(
      ACCEPT,
      line((v) => `Sec-WebSocket-Key: ${v}`),
    ),
  ],
  ['a right and a wrong Accept', withLines(`${ACCEPT}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`)],
  [
    'a wrong and a right Accept',
    replacing(
      ACCEPT,
      `${ACCEPT}: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=`,
      line((value) => `${ACCEPT}: ${value}`),
    ),
  ],
];

function accept(chapter: Chapter<ClientAttempt>): void {
  pair(chapter, 'RFC 6455, 4.1, step 4', RIGHT_ACCEPTS, WRONG_ACCEPT_FIELDS);
  const twice = chapter.section({
    title: 'an invalid answer',
    section: 'RFC 6455, 11.3.3',
    level: 'should',
    expects: ENDS,
  });
  addRows(
    twice,
    [['the right Accept twice', (a) => withLines(`${ACCEPT}: ${acceptValue(a)}`)(a)]],
    expectRefused,
  );
}

/** Wrong values of Accept, derived from the right one. */
const WRONG_ACCEPTS: readonly (readonly [string, (accept: string, key: string) => string])[] = [
  ['that equals the key', (_, key) => key],
  ['in lower case', (value) => value.toLowerCase()],
  ['in upper case', (value) => value.toUpperCase()],
  ['without padding', (value) => value.slice(0, -1)],
  ['with additional padding', (value) => `${value}=`],
  ['without its first character', (value) => value.slice(1)],
  [
    'with another last character',
    (value) => `${value.slice(0, -2)}${value.at(-2) === 'A' ? 'E' : 'A'}=`,
  ],
  ['twice in a line', (value) => `${value}, ${value}`],
  ['with a trailing comma', (value) => `${value},`],
  ['with a parameter', (value) => `${value};q=1`],
  ['in quotes', (value) => `"${value}"`],
  ['with a space inside', (value) => `${value.slice(0, 9)} ${value.slice(9)}`],
  ['as hexadecimal digits', (value) => Buffer.from(value, 'base64').toString('hex')],
];

function wrongAccepts(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'an invalid answer',
    section: 'RFC 6455, 4.1, step 4',
    expects: ENDS,
  });
  for (const [title, spoil] of WRONG_ACCEPTS) {
    add(`Accept ${title}`, (attempt) => {
      // An Accept without letters, for example, does not change in lower case.
      const value = spoil(acceptValue(attempt), attempt.key);
      if (value === acceptValue(attempt))
        attempt.skip('the change leaves the right Accept unchanged');
      return expectRefused(attempt, replacing(ACCEPT, `${ACCEPT}: ${value}`)(attempt));
    });
  }
}
