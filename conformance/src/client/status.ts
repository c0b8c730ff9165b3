import type { ClientAttempt } from '../attempts/client-attempt.ts';
import type { AddCase, Chapter } from '../model/chapter.ts';
import {
  type AnswerRow,
  addRows,
  expectOpen,
  expectOpenOrEnd,
  expectRefused,
  expectUnopened,
  sendEndless,
  withLines,
  withStatusLine,
} from './answer.ts';

/** HTTP statuses other than 101, with a field that a client may react to. */
const STATUSES: readonly (readonly [status: number, fields?: string])[] = [
  [200],
  [201],
  [202],
  [204],
  [206],
  [300],
  [301, 'Location: /elsewhere'],
  [302, 'Location: /elsewhere'],
  [303, 'Location: /elsewhere'],
  [307, 'Location: /elsewhere'],
  [308, 'Location: /elsewhere'],
  [304],
  [400],
  [401, 'WWW-Authenticate: Basic realm="here"'],
  [403],
  [404],
  [405, 'Allow: POST'],
  [407, 'Proxy-Authenticate: Basic realm="there"'],
  [408],
  [410],
  [418],
  [421],
  [426, 'Sec-WebSocket-Version: 8'],
  [429, 'Retry-After: 1'],
  [500],
  [501],
  [502],
  [503, 'Retry-After: 1'],
  [504],
  [599],
];

/** Content-Length of the text frame that follows each answer as its body. */
const BODY = 'Content-Length: 15';

/** Adds sections about the status line of an answer. */
export function status(chapter: Chapter<ClientAttempt>): void {
  others(chapter);
  handshakesOfOthers(chapter);
  lines(chapter);
  badLines(chapter);
  otherVersions(chapter);
  noHttp(chapter);
  interim(chapter);
}

function others(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1, step 1',
    expects: 'the connection does not open, and ends',
  });
  for (const [code, field] of STATUSES) {
    add(`status ${code}`, (attempt) => {
      const fields = ['Connection: close', BODY, ...(field === undefined ? [] : [field])];
      return expectUnopened(attempt, [`HTTP/1.1 ${code} Whatever`, ...fields, '', ''].join('\r\n'));
    });
  }
  bodies(add);
}

/** Adds refusals with a body. */
function bodies(add: AddCase<ClientAttempt>): void {
  add('status 403 with a chunked body', (attempt) =>
    expectUnopened(
      attempt,
      'HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nno\r\n0\r\n\r\n',
    ),
  );
  add('status 403 with a body that ends with the connection', (attempt) =>
    expectUnopened(attempt, 'HTTP/1.1 403 No\r\nConnection: close\r\n\r\n'),
  );
  add('status 403 with a body shorter than Content-Length', (attempt) =>
    expectUnopened(attempt, 'HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n'),
  );
}

function handshakesOfOthers(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    section: 'RFC 6455, 4.1, step 1',
    expects: 'the connection does not open: only status 101 opens it',
  });
  for (const code of [200, 201, 202, 204, 301, 400, 401, 404, 426, 500]) {
    add(`all the fields of a handshake, but status ${code}`, (attempt) =>
      expectUnopened(attempt, withStatusLine(`HTTP/1.1 ${code} Switching Protocols`)(attempt)),
    );
  }
}

/** Status lines that a client accepts. */
const GOOD_LINES: readonly AnswerRow[] = [
  ['the status line of the RFC', withStatusLine('HTTP/1.1 101 Switching Protocols')],
  ['another reason', withStatusLine('HTTP/1.1 101 Web Socket Protocol Handshake')],
  ['a reason of one letter', withStatusLine('HTTP/1.1 101 S')],
  ['a reason of 500 letters', withStatusLine(`HTTP/1.1 101 ${'a'.repeat(500)}`)],
  ['an empty reason', withStatusLine('HTTP/1.1 101 ')],
];

/** Status lines without a valid status or protocol name. */
const BAD_LINES: readonly AnswerRow[] = [
  ['a status of four digits', withStatusLine('HTTP/1.1 1010 Switching Protocols')],
  ['a status of two digits', withStatusLine('HTTP/1.1 10 Switching Protocols')],
  ['a status of letters', withStatusLine('HTTP/1.1 abc Switching Protocols')],
  ['a status with a sign', withStatusLine('HTTP/1.1 -101 Switching Protocols')],
  ['a hexadecimal status', withStatusLine('HTTP/1.1 0x65 Switching Protocols')],
  ['status 000', withStatusLine('HTTP/1.1 000 Switching Protocols')],
  ['status 999', withStatusLine('HTTP/1.1 999 Switching Protocols')],
  ['no status', withStatusLine('HTTP/1.1')],
  ['a version without a protocol name', withStatusLine('/1.1 101 Switching Protocols')],
  ['another protocol name', withStatusLine('ICY/1.1 101 Switching Protocols')],
];

/** Status lines with another version or another separator. */
const OTHER_VERSIONS: readonly AnswerRow[] = [
  ['HTTP/1.0 and 101', withStatusLine('HTTP/1.0 101 Switching Protocols')],
  ['HTTP/0.9 and 101', withStatusLine('HTTP/0.9 101 Switching Protocols')],
  ['HTTP/2.0 and 101', withStatusLine('HTTP/2.0 101 Switching Protocols')],
  ['http/1.1 in lower case', withStatusLine('http/1.1 101 Switching Protocols')],
  ['HTTP/11 without a dot', withStatusLine('HTTP/11 101 Switching Protocols')],
  ['two spaces before the status', withStatusLine('HTTP/1.1  101 Switching Protocols')],
  ['a tab before the status', withStatusLine('HTTP/1.1\t101 Switching Protocols')],
];

function lines(chapter: Chapter<ClientAttempt>): void {
  const open = chapter.section({
    title: 'a valid status line',
    section: 'RFC 6455, 4.1 and RFC 9112, 4',
    expects: 'the connection opens: a client ignores the reason phrase',
  });
  addRows(open, GOOD_LINES, expectOpen);
  open(
    'no reason, and no space before it',
    (attempt) => expectOpenOrEnd(attempt, withStatusLine('HTTP/1.1 101')(attempt)),
    { expects: 'the client opens the connection, or ends it' },
  );
}

function badLines(chapter: Chapter<ClientAttempt>): void {
  const refuse = chapter.section({
    title: 'an invalid status line',
    section: 'RFC 9112, 4 and RFC 6455, 4.1',
    expects: 'the connection does not open, and ends',
  });
  addRows(refuse, BAD_LINES, expectUnopened);
}

function otherVersions(chapter: Chapter<ClientAttempt>): void {
  const should = chapter.section({
    title: 'another version',
    section: 'RFC 9110, 15.2 and RFC 9112, 2.3',
    level: 'should',
    expects: 'the connection does not open: a 101 requires HTTP/1.1, in capitals',
  });
  addRows(should, OTHER_VERSIONS, expectUnopened);
}

/** Bytes that are not an HTTP answer. */
const INVALID_ANSWERS: readonly (readonly [string, string])[] = [
  ['two empty lines', '\r\n\r\n'],
  ['a line of text', 'hello, client\r\n\r\n'],
  ['an HTML page without a header', '<html>hello</html>\r\n\r\n'],
  ['the banner of another protocol', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
  ['frames without an answer', '\x81\x05hello\x81\x05hello\r\n\r\n'],
  ['a TLS alert', '\x15\x03\x01\x00\x02\x02\x46\r\n\r\n'],
  ['a request', 'GET / HTTP/1.1\r\nHost: here\r\n\r\n'],
];

function noHttp(chapter: Chapter<ClientAttempt>): void {
  const add = chapter.section({
    title: 'no answer of HTTP',
    section: 'RFC 6455, 4.1',
    expects: 'the connection does not open, and ends',
  });
  for (const [title, text] of INVALID_ANSWERS)
    add(title, (attempt) => expectUnopened(attempt, text));
  add('a copy of the request', (attempt) => {
    const { start, fields } = attempt.request;
    const lines = fields.map(([name, value]) => `${name}: ${value}`);
    return expectUnopened(attempt, [start, ...lines, '', ''].join('\r\n'));
  });
}

function interim(chapter: Chapter<ClientAttempt>): void {
  const facts = { section: 'RFC 9110, 15.2', expects: 'the connection opens with the 101' };
  const before =
    (...starts: readonly string[]) =>
    (attempt: ClientAttempt): string =>
      `${starts.map((start) => `HTTP/1.1 ${start}\r\n\r\n`).join('')}${withLines()(attempt)}`;
  const add = chapter.section(facts);
  addRows(
    add,
    [
      ['100 before the 101', before('100 Continue')],
      ['102 before the 101', before('102 Processing')],
      ['103 with a field before the 101', before('103 Early Hints\r\nLink: </style.css>')],
      ['199, an unknown status, before the 101', before('199 Whatever')],
      ['100, 102 and 103 before the 101', before('100 Continue', '102 P', '103 Early Hints')],
    ],
    expectOpen,
  );
  add('100, then the 101 in a separate segment', async (attempt) => {
    const { peer } = attempt;
    await peer.sendCut(Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1'), 100, {
      label: 'an interim answer',
    });
    await expectOpen(attempt, withLines()(attempt));
  });
  badInterim(chapter);
  endlessInterim(chapter);
}

function badInterim(chapter: Chapter<ClientAttempt>): void {
  const no = chapter.section({
    section: 'RFC 9110, 15.2 and RFC 6455, 4.1',
    expects: 'the connection does not open, and ends',
  });
  no('102 with all the fields of a handshake, then our FIN', (attempt) =>
    expectUnopened(attempt, withStatusLine('HTTP/1.1 102 Processing')(attempt)),
  );
  no('103, then 403', (attempt) =>
    expectUnopened(
      attempt,
      `HTTP/1.1 103 E\r\n\r\nHTTP/1.1 403 No\r\nConnection: close\r\n${BODY}\r\n\r\n`,
    ),
  );
  no('103, then an answer without Accept', (attempt) =>
    expectRefused(
      attempt,
      'HTTP/1.1 103 E\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n',
    ),
  );
  no('the fields of a handshake split over 103 and 101', (attempt) =>
    expectRefused(
      attempt,
      withLines()(attempt)
        .replace('101 Switching Protocols', '103 Early Hints')
        .concat('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
    ),
  );
}

function endlessInterim(chapter: Chapter<ClientAttempt>): void {
  const bound = chapter.section({
    section: 'RFC 6455, 10.4',
    level: 'should',
    expects: 'the client does not read endless interim answers, and ends the connection',
  });
  bound('endless interim answers', (attempt) =>
    sendEndless(attempt, '', 'HTTP/1.1 102 Processing\r\n\r\n'),
  );
}
