import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { Chapter } from '../model/chapter.ts';
import {
  type AnswerRow,
  acceptValue,
  addRows,
  answerHead,
  expectOpen,
  expectOpenOrEnd,
  expectRefused,
  replacing,
  rewritten,
  sendEndless,
  validLines,
  withLines,
} from './answer.ts';

const ACCEPT = 'Sec-WebSocket-Accept';

/** Adds sections about other header fields of an answer. */
export function httpFields(chapter: Chapter<ClientAttempt>): void {
  unknown(chapter);
  lengths(chapter);
  lenient(chapter);
  damaged(chapter);
  sizes(chapter);
  endless(chapter);
}

/** Creates an answer of exactly `size` bytes. */
const filled =
  (size: number) =>
  (attempt: ClientAttempt): string => {
    const rest = size - withLines('X-Filler: ')(attempt).length;
    return withLines(`X-Filler: ${'a'.repeat(rest)}`)(attempt);
  };

/** Fields that a client ignores. */
const IGNORED_FIELDS: readonly AnswerRow[] = [
  ['an unknown field', withLines('X-Unheard-Of: yes')],
  ['Date and Server', withLines('Date: Mon, 01 Jan 2024 00:00:00 GMT', 'Server: suite')],
  ['two cookies', withLines('Set-Cookie: a=1; Path=/', 'Set-Cookie: b=2; HttpOnly')],
  ['Sec-WebSocket-Version', withLines('Sec-WebSocket-Version: 13')],
  ['Sec-WebSocket-Key, a field of clients', withLines('Sec-WebSocket-Key: abc')],
  ['Origin', withLines('Origin: http://localhost')],
  ['a field with a similar name', withLines('X-Sec-WebSocket-Extensions: x-unheard-of')],
  ['an empty value', withLines('X-Empty:')],
  ['a value of colons', withLines('X-Colons: :::')],
  ['a value with a tab', withLines('X-Tab: a\tb')],
  ['a name with all allowed characters', withLines("!#$%&'*+-.^_`|~09azAZ: a")],
  ['names of object properties', withLines('__proto__: a', 'constructor: b', 'hasOwnProperty: c')],
  ['the same field twenty times', withLines(...Array.from({ length: 20 }, () => 'X-Same: a'))],
  ['90 fields', withLines(...Array.from({ length: 87 }, (_, at) => `X-${at}: ${at}`))],
  [
    'the three fields among others',
    (attempt) =>
      answerHead(validLines(attempt).flatMap((line, at) => [`X-Before-${at}: a`, line, 'Vary: *'])),
  ],
];

function unknown(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'a valid answer',
    section: 'RFC 9110, 5.1 and 5.5',
    expects: 'the connection opens: the client ignores unknown fields',
  });
  addRows(add, IGNORED_FIELDS, expectOpen);
  add('a value of bytes above 127', (a) => expectOpen(a, withLines('X-Bytes: \xfcber \xff')(a)), {
    level: 'should',
  });
}

function lengths(chapter: Chapter<ClientAttempt>): void {
  const lengths = chapter.section({
    section: 'RFC 9110, 8.6 and RFC 9112, 6.1',
    expects: 'the client opens the connection and reads the next bytes as frames, or ends it',
  });
  addRows(
    lengths,
    [
      ['Content-Length: 0, not allowed in a 101', withLines('Content-Length: 0')],
      ['Content-Length: 15, not allowed in a 101', withLines('Content-Length: 15')],
      ['Transfer-Encoding, not allowed in a 101', withLines('Transfer-Encoding: chunked')],
    ],
    expectOpenOrEnd,
  );
}

/** Answers that RFC 9112 lets a client repair. */
const LENIENT: readonly AnswerRow[] = [
  ['a folded field', withLines('X-Folded: a', ' b')],
  ['a field folded by a tab', withLines('X-Folded: a', '\tb')],
  ['Accept folded', rewritten((text) => text.replace('Accept: ', 'Accept:\r\n '))],
  ['Upgrade folded', rewritten((text) => text.replace('Upgrade: ', 'Upgrade:\r\n '))],
  ['LF without CR everywhere', rewritten((text) => text.replaceAll('\r\n', '\n'))],
  ['LF without CR after the first line', rewritten((text) => text.replace('\r\n', '\n'))],
  ['LF without CR after a field', withLines('X-One: a\nX-Two: b')],
  ['an empty line before the answer', rewritten((text) => `\r\n${text}`)],
  ['a space before a colon', withLines('X-Spaced : a')],
  [
    'a space before the colon of Upgrade',
    rewritten((text) => text.replace('Upgrade:', 'Upgrade :')),
  ],
  ['CR without LF in a value', withLines('X-Cr: a\rb')],
  ['NUL in a value', withLines('X-Nul: a\0b')],
  ['a control character in a value', withLines('X-Control: a\x01b')],
];

function lenient(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'an odd answer',
    section: 'RFC 9112, 2.2, 5.1 and 5.2',
    expects: 'the client opens the connection, or ends it at the latest after our FIN',
  });
  addRows(add, LENIENT, expectOpenOrEnd);
}

/** Lines that are not header fields. */
const DAMAGED: readonly AnswerRow[] = [
  ['a line without a colon', withLines('X-Nothing')],
  ['a line without a name', withLines(': a')],
  ['a name with a space', withLines('X Spaced: a')],
  ['a name in quotes', withLines('"X": a')],
  ['a name with a byte above 127', withLines('\xdcber: a')],
  ['NUL in a name', withLines('X\0: a')],
];

/** Answers that lack a required field. */
const BROKEN: readonly AnswerRow[] = [
  ['Upgrade without a colon', rewritten((text) => text.replace('Upgrade: w', 'Upgrade w'))],
  [
    'Accept without a colon',
    rewritten((text) => text.replace('Sec-WebSocket-Accept: ', 'Sec-WebSocket-Accept ')),
  ],
  [
    'Accept in the value of another field',
    rewritten((text) => text.replace('Sec-WebSocket-Accept:', 'X-Other: Sec-WebSocket-Accept:')),
  ],
  [
    'Accept after the empty line',
    (attempt) =>
      `${replacing('Sec-WebSocket-Accept')(attempt)}${ACCEPT}: ${acceptValue(attempt)}\r\n`,
  ],
  ['only the status line', () => answerHead([])],
];

function damaged(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'a damaged field',
    section: 'RFC 9110, 5.1 and RFC 9112, 5',
    expects: 'the client ignores the line, or ends the connection at the latest after our FIN',
  });
  addRows(add, DAMAGED, expectOpenOrEnd);
  const broken = chapter.section({
    title: 'an invalid answer',
    section: 'RFC 6455, 4.1',
    expects: 'the connection does not open: a required field is missing or malformed',
  });
  addRows(broken, BROKEN, expectRefused);
}

const LENGTH_LIMITS = {
  section: 'RFC 9110, 2.3 and RFC 6455, 10.4',
  level: 'should',
} as const;

function sizes(chapter: Chapter<ClientAttempt>): void {
  const open = chapter.section({ ...LENGTH_LIMITS, expects: 'the connection opens' });
  for (const size of [512, 1024, 2048, 4096, 8000]) {
    open(`an answer of ${size} bytes`, (attempt) => expectOpen(attempt, filled(size)(attempt)));
  }
}

/** Answers without an end: their beginning, and the text that repeats after it. */
const ENDLESS: readonly (readonly [title: string, start: string, repeated: string])[] = [
  ['an endless value', 'HTTP/1.1 101 Switching Protocols\r\nX-Endless: ', 'a'],
  ['an endless name', 'HTTP/1.1 101 Switching Protocols\r\n', 'a'],
  ['endless fields', 'HTTP/1.1 101 Switching Protocols\r\n', 'X-Endless: yes\r\n'],
  ['endless spaces before a value', 'HTTP/1.1 101 Switching Protocols\r\nX-Endless:', ' '],
  ['an endless reason', 'HTTP/1.1 101 ', 'a'],
  ['an endless header of a 403', 'HTTP/1.1 403 Forbidden\r\n', 'X-Endless: yes\r\n'],
];

function endless(chapter: Chapter<ClientAttempt>): void {
  const bound = chapter.section({
    ...LENGTH_LIMITS,
    expects: 'the client does not buffer endless data, and ends the connection',
  });
  for (const [title, start, repeated] of ENDLESS) {
    bound(title, (attempt) => sendEndless(attempt, start, repeated));
  }
}
