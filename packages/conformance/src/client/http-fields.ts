import type { Chapter } from '../model/chapter.ts';
import type { ClientAttempt } from '../run/client-attempt.ts';
import {
  changed,
  decided,
  flood,
  head,
  instead,
  plus,
  refused,
  right,
  rightLines,
  taken,
} from './answer.ts';
import { addRows } from './status.ts';

const ACCEPT = 'Sec-WebSocket-Accept';

/** Chapter 8, what else an answer's header may hold, as HTTP has it. */
export function httpFields(chapter: Chapter<ClientAttempt>): void {
  unknown(chapter);
  lenient(chapter);
  damaged(chapter);
  sizes(chapter);
}

/** A field that fills an answer up to so many bytes. */
const filled =
  (size: number) =>
  (attempt: ClientAttempt): string => {
    const rest = size - plus('X-Filler: ')(attempt).length;
    return plus(`X-Filler: ${'a'.repeat(rest)}`)(attempt);
  };

function unknown(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9110, 5.1 and 5.5',
    expects: 'the connection opens: fields that a client does not know are ignored',
  });
  addRows(
    add,
    [
      ['a field that nobody knows', plus('X-Unheard-Of: yes')],
      ['Date and Server', plus('Date: Mon, 01 Jan 2024 00:00:00 GMT', 'Server: suite')],
      ['two cookies', plus('Set-Cookie: a=1; Path=/', 'Set-Cookie: b=2; HttpOnly')],
      ['Sec-WebSocket-Version', plus('Sec-WebSocket-Version: 13')],
      ['Sec-WebSocket-Key, which is the client’s', plus('Sec-WebSocket-Key: abc')],
      ['Origin', plus('Origin: http://localhost')],
      ['a field of a similar name', plus('X-Sec-WebSocket-Extensions: x-unheard-of')],
      ['an empty value', plus('X-Empty:')],
      ['a value of colons', plus('X-Colons: :::')],
      ['a value with a tab', plus('X-Tab: a\tb')],
      ['all characters that a name may have', plus("!#$%&'*+-.^_`|~09azAZ: a")],
      ['names that objects have', plus('__proto__: a', 'constructor: b', 'hasOwnProperty: c')],
      ['the same field twenty times', plus(...Array.from({ length: 20 }, () => 'X-Same: a'))],
      ['90 fields', plus(...Array.from({ length: 87 }, (_, at) => `X-${at}: ${at}`))],
      [
        'the three fields among others',
        (attempt) =>
          head(rightLines(attempt).flatMap((line, at) => [`X-Before-${at}: a`, line, 'Vary: *'])),
      ],
    ],
    taken,
  );
  add('a value of bytes above 127', (a) => taken(a, plus('X-Bytes: \xfcber \xff')(a)), {
    level: 'should',
  });
  const lengths = chapter.section({
    section: 'RFC 9110, 8.6 and RFC 9112, 6.1',
    expects: 'the client takes it, and what follows for frames, or ends the connection',
  });
  addRows(
    lengths,
    [
      ['Content-Length: 0, which a 101 must not have', plus('Content-Length: 0')],
      ['Content-Length: 15, which a 101 must not have', plus('Content-Length: 15')],
      ['Transfer-Encoding, which a 101 must not have', plus('Transfer-Encoding: chunked')],
    ],
    decided,
  );
}

function lenient(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9112, 2.2, 5.1 and 5.2',
    expects: 'the client takes it, or ends the connection, when we do at the latest',
  });
  addRows(
    add,
    [
      ['a folded field', plus('X-Folded: a', ' b')],
      ['a field folded by a tab', plus('X-Folded: a', '\tb')],
      ['Accept folded', changed((text) => text.replace('Accept: ', 'Accept:\r\n '))],
      ['Upgrade folded', changed((text) => text.replace('Upgrade: ', 'Upgrade:\r\n '))],
      ['LF without CR everywhere', changed((text) => text.replaceAll('\r\n', '\n'))],
      ['LF without CR behind the first line', changed((text) => text.replace('\r\n', '\n'))],
      ['LF without CR behind a field', plus('X-One: a\nX-Two: b')],
      ['an empty line before the answer', changed((text) => `\r\n${text}`)],
      ['a space before a colon', plus('X-Spaced : a')],
      [
        'a space before the colon of Upgrade',
        changed((text) => text.replace('Upgrade:', 'Upgrade :')),
      ],
      ['CR alone in a value', plus('X-Cr: a\rb')],
      ['NUL in a value', plus('X-Nul: a\0b')],
      ['a control character in a value', plus('X-Control: a\x01b')],
    ],
    decided,
  );
}

function damaged(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 9110, 5.1 and RFC 9112, 5',
    expects: 'the client ignores the line, or ends the connection, when we do at the latest',
  });
  addRows(
    add,
    [
      ['a line without a colon', plus('X-Nothing')],
      ['a line without a name', plus(': a')],
      ['a name with a space', plus('X Spaced: a')],
      ['a name in quotes', plus('"X": a')],
      ['a name with a byte above 127', plus('\xdcber: a')],
      ['NUL in a name', plus('X\0: a')],
    ],
    decided,
  );
  const broken = chapter.section({
    section: 'RFC 6455, 4.1',
    expects: 'the connection does not open: a field that is needed is not there as it must be',
  });
  addRows(
    broken,
    [
      ['Upgrade without a colon', changed((text) => text.replace('Upgrade: w', 'Upgrade w'))],
      [
        'Accept without a colon',
        changed((text) => text.replace('Sec-WebSocket-Accept: ', 'Sec-WebSocket-Accept ')),
      ],
      [
        'Accept in a value of another field',
        changed((text) => text.replace('Sec-WebSocket-Accept:', 'X-Other: Sec-WebSocket-Accept:')),
      ],
      [
        'Accept behind the empty line',
        (attempt) => `${instead('Sec-WebSocket-Accept')(attempt)}${ACCEPT}: ${right(attempt)}\r\n`,
      ],
      ['only the status line', () => head([])],
    ],
    refused,
  );
}

function sizes(chapter: Chapter<ClientAttempt>): void {
  const facts = { section: 'RFC 9110, 2.3 and RFC 6455, 10.4', level: 'should' } as const;
  const open = chapter.section({ ...facts, expects: 'the connection opens' });
  for (const size of [512, 1024, 2048, 4096, 8000]) {
    open(`an answer of ${size} bytes`, (attempt) => taken(attempt, filled(size)(attempt)));
  }
  const bound = chapter.section({
    ...facts,
    expects: 'the client does not hold what has no end, and ends the connection',
  });
  bound('a value without end', (attempt) =>
    flood(attempt, 'HTTP/1.1 101 Switching Protocols\r\nX-Endless: ', 'a'),
  );
  bound('a name without end', (attempt) =>
    flood(attempt, 'HTTP/1.1 101 Switching Protocols\r\n', 'a'),
  );
  bound('fields without end', (attempt) =>
    flood(attempt, 'HTTP/1.1 101 Switching Protocols\r\n', 'X-Endless: yes\r\n'),
  );
  bound('spaces without end before a value', (attempt) =>
    flood(attempt, 'HTTP/1.1 101 Switching Protocols\r\nX-Endless:', ' '),
  );
  bound('a reason without end', (attempt) => flood(attempt, 'HTTP/1.1 101 ', 'a'));
  bound('the header of a 403 without end', (attempt) =>
    flood(attempt, 'HTTP/1.1 403 Forbidden\r\n', 'X-Endless: yes\r\n'),
  );
}
