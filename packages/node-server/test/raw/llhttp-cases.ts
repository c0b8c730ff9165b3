// What the request tests of llhttp (test/request/*.md of nodejs/llhttp) are about, retold as changes
// of one sound handshake. llhttp is licensed under the MIT License, copyright Fedor Indutny, 2018.
import type { RequestChange } from '@ws/tests';

/** One case. `taken`: llhttp takes the head in its strict mode. */
export interface LlhttpCase {
  readonly file: string;
  readonly title: string;
  readonly change: RequestChange;
  readonly taken: boolean;
  /** Status of a raw upgrade. Default: 101 for a head that is taken, 400 for another. */
  readonly status?: number;
  /** Why a raw upgrade refuses a head that is taken. */
  readonly stricter?: string;
}

const BODY = 'RFC 6455, section 4.1: a handshake has no body';
const NOT_GET = 'RFC 6455, section 4.1: the method is GET';

const refused = (file: string, title: string, change: RequestChange): LlhttpCase => ({
  file,
  title,
  change,
  taken: false,
});
const taken = (file: string, title: string, change: RequestChange): LlhttpCase => ({
  file,
  title,
  change,
  taken: true,
});
const stricter = (
  file: string,
  title: string,
  change: RequestChange,
  reason: string,
  status = 400,
): LlhttpCase => ({ ...taken(file, title, change), stricter: reason, status });

const line = (text: string): RequestChange => ({ line: text });
const add = (...lines: string[]): RequestChange => ({ add: lines });

const INVALID = [
  refused('invalid', 'ICE with GET', line('GET /music ICE/1.0')),
  refused('invalid', 'ICE, but not really', line('GET /music IHTTP/1.0')),
  refused('invalid', 'RTSP with PUT', line('PUT /music RTSP/1.0')),
  { ...refused('invalid', 'HTTP with ANNOUNCE', line('ANNOUNCE /music HTTP/1.1')), status: 405 },
  { ...refused('invalid', 'an unknown method', line('MKCOLA / HTTP/1.1')), status: 405 },
  refused('invalid', 'lines separated by CR', add('Foo: 1\rBar: 2')),
  refused('invalid', 'lines separated by LF', add('x:x\nTransfer-Encoding: chunked')),
  refused('invalid', 'the end separated by other bytes', add('X: a\r\n\rZGET /evil: HTTP/1.1')),
  refused('invalid', 'an empty value before CR', add('x:\rTransfer-Encoding: chunked')),
  refused('invalid', 'an empty value before LF', add('x:\nTransfer-Encoding: chunked')),
  refused('invalid', 'a name with @', add('Fo@: Failure')),
  refused('invalid', 'a name with a control character', add('Foo\x01est: Bar')),
  refused('invalid', 'no name', add(': Bar')),
  refused('invalid', 'a folded name', add('name\r\n : value')),
  refused('invalid', 'a corrupt Connection', add('Connection\r\x1b5\xd5eep-Alive')),
  refused('invalid', 'a corrupt name', add('X-Some-Header\r\x1b5\xd5eep-Alive')),
  refused('invalid', 'no CR between lines', add('Dummy: x\nContent-Length: 23')),
  refused('invalid', 'HTTP/5.6', line('GET / HTTP/5.6')),
  refused('invalid', 'a space after the start line', line('GET / HTTP/1.1\r\n Host: foo')),
  refused('invalid', 'only LF', line('POST / HTTP/1.1\nTransfer-Encoding: chunked')),
  refused('invalid', 'a space before a line', add('Foo: bar\r\n Content-Length: 38')),
];

const URI = [
  taken('uri', 'quotes', line('GET /with_"lovely"_quotes?foo="bar" HTTP/1.1')),
  taken('uri', 'a second question mark', line('GET /test.cgi?foo=bar?baz HTTP/1.1')),
  taken('uri', 'a host ended by a query', line('GET http://server.example.com?hail=all HTTP/1.1')),
  stricter(
    'uri',
    'another host',
    line('GET http://hypnotoad.org:1234?a HTTP/1.1'),
    'RFC 9112, section 3.2.2: the authority equals Host',
  ),
  stricter(
    'uri',
    'another host and a space',
    line('GET http://hypnotoad.org:1234 HTTP/1.1'),
    'RFC 9112, section 3.2.2: the authority equals Host',
  ),
  taken('uri', 'a vertical bar', line('GET /test.cgi?query=| HTTP/1.1')),
  refused('uri', 'UTF-8', line('GET /\xce\xb4\xc2\xb6/pope?q=1#narf HTTP/1.1')),
  stricter(
    'uri',
    'a fragment',
    line('GET /forums/1?page=1#posts HTTP/1.1'),
    'RFC 6455, section 3: no fragment',
  ),
  stricter(
    'uri',
    'CONNECT and a host with an underscore',
    line('CONNECT home_0.netscape.com:443 HTTP/1.1'),
    NOT_GET,
  ),
  stricter(
    'uri',
    'user info',
    line('GET http://a%12:b!&*$@server.example.com/ HTTP/1.1'),
    'RFC 9110, section 4.2.4: no user info',
  ),
  refused('uri', 'a space', line('GET /foo bar/ HTTP/1.1')),
];

const LENGTHS = [
  stricter('content-length', 'leading zeros', add('Content-Length: 003'), BODY),
  stricter('content-length', 'a line behind it', add('Content-Length: 003', 'Ohai: world'), BODY),
  refused('content-length', 'an overflow', add('Content-Length: 1000000000000000000000')),
  refused('content-length', 'two', add('Content-Length: 1', 'Content-Length: 2')),
  refused(
    'content-length',
    'Transfer-Encoding too',
    add('Content-Length: 1', 'Transfer-Encoding: identity'),
  ),
  stricter('content-length', 'another case', add('conTENT-Length: 5'), BODY),
  stricter('content-length', 'spaces around', add('Content-Length:  42 '), BODY),
  refused('content-length', 'a space inside', add('Content-Length: 4 2')),
  refused('content-length', 'a space inside, longer', add('Content-Length: 13 37')),
  refused('content-length', 'an empty one', add('Content-Length:')),
  refused('content-length', 'CR instead of the dash', add('Content\rLength: 003')),
  taken('content-length', 'zero', add('Content-Length: 0')),
];

const CODINGS = [
  refused(
    'transfer-encoding',
    'an empty one and a length',
    add('Transfer-Encoding:', 'Content-Length: 5'),
  ),
  stricter('transfer-encoding', 'chunked', add('Transfer-Encoding: chunked'), BODY),
  refused('transfer-encoding', 'pigeons', add('Transfer-Encoding: pigeons')),
  refused(
    'transfer-encoding',
    'identity and a length',
    add('Transfer-Encoding: identity', 'Content-Length: 5'),
  ),
  refused(
    'transfer-encoding',
    'a length and three empty ones',
    add('Content-Length: 10', 'Transfer-Encoding:', 'Transfer-Encoding:', 'Transfer-Encoding:'),
  ),
];

const CONNECTION = [
  taken('connection', 'several tokens', {
    set: ['Connection: close, token, upgrade, token, keep-alive'],
  }),
  taken('connection', 'two tokens', { set: ['Connection: keep-alive, upgrade'] }),
  stricter(
    'connection',
    'a tab after a token',
    { set: ['Connection: Upgrade\t'] },
    'node:http finds no upgrade there',
    426,
  ),
  refused('connection', 'folding', { set: ['Connection: Something,\r\n Upgrade, ,Keep-Alive'] }),
  refused('connection', 'folding after a space', { set: ['Connection: keep-alive, \r\n upgrade'] }),
  stricter(
    'connection',
    'another protocol',
    { set: ['Upgrade: ws'] },
    'RFC 6455, section 4.2.1: Upgrade has websocket',
    426,
  ),
  stricter(
    'connection',
    'keep-alive alone',
    { set: ['Connection: keep-alive'] },
    'RFC 6455, section 4.2.1: Connection has upgrade',
    426,
  ),
  stricter('connection', 'a body behind an upgrade', add('Content-Length: 4'), BODY),
  stricter('connection', 'POST', line('POST /demo HTTP/1.1'), NOT_GET, 405),
  stricter('connection', 'HTTP/1.0', line('GET /demo HTTP/1.0'), 'RFC 6455, section 4.1: HTTP/1.1'),
];

/** The cases. */
export const LLHTTP_CASES: readonly LlhttpCase[] = [
  ...INVALID,
  ...URI,
  ...LENGTHS,
  ...CODINGS,
  ...CONNECTION,
];
