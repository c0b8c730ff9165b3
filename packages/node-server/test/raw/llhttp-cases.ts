// What the request tests of llhttp (test/request/*.md of nodejs/llhttp) are about, retold as changes
// of one sound handshake. llhttp is licensed under the MIT License, copyright Fedor Indutny, 2018.
import {
  ALL,
  add,
  BODY,
  type LlhttpCase,
  line,
  NOT_GET,
  OTHER_VERSION,
  refused,
  stricter,
  taken,
} from './llhttp-case.ts';

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

// biome-ignore format: a table
const URI = [
  taken('uri', 'quotes', line('GET /with_"lovely"_quotes?foo="bar" HTTP/1.1')),
  taken('uri', 'a second question mark', line('GET /test.cgi?foo=bar?baz HTTP/1.1')),
  taken('uri', 'a host ended by a query', line('GET http://server.example.com?hail=all HTTP/1.1')),
  stricter('uri', 'another host', line('GET http://hypnotoad.org:1234?a HTTP/1.1'), 'RFC 9112, section 3.2.2: the authority equals Host'),
  stricter('uri', 'another host and a space', line('GET http://hypnotoad.org:1234 HTTP/1.1'), 'RFC 9112, section 3.2.2: the authority equals Host'),
  taken('uri', 'a vertical bar', line('GET /test.cgi?query=| HTTP/1.1')),
  refused('uri', 'UTF-8', line('GET /\xce\xb4\xc2\xb6/pope?q=1#narf HTTP/1.1')),
  stricter('uri', 'a fragment', line('GET /forums/1?page=1#posts HTTP/1.1'), 'RFC 6455, section 3: no fragment'),
  stricter('uri', 'CONNECT and a host with an underscore', line('CONNECT home_0.netscape.com:443 HTTP/1.1'), NOT_GET),
  stricter('uri', 'user info', line('GET http://a%12:b!&*$@server.example.com/ HTTP/1.1'), 'RFC 9110, section 4.2.4: no user info'),
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
  refused('content-length', 'a space before the colon', add('Content-Length : 4')),
  refused('content-length', 'a tab before the colon', add('Content-Length\t: 4')),
  refused('content-length', 'CR before the body', { add: ['Content-Length: 3\r\n\rabc'] }),
  refused('content-length', 'a sign', add('Content-Length: +4')),
  refused('content-length', 'a negative one', add('Content-Length: -4')),
  refused('content-length', 'hexadecimal', add('Content-Length: 0x4')),
  refused('content-length', 'a list', add('Content-Length: 4, 4')),
  refused('content-length', 'the same twice', add('Content-Length: 4', 'Content-Length: 4')),
  stricter('content-length', 'a body', { add: ['Content-Length: 3'], behind: 'abc' }, BODY),
];

// biome-ignore format: a table
const CODINGS = [
  refused('transfer-encoding', 'an empty one and a length', add('Transfer-Encoding:', 'Content-Length: 5')),
  stricter('transfer-encoding', 'chunked', add('Transfer-Encoding: chunked'), BODY),
  refused('transfer-encoding', 'pigeons', add('Transfer-Encoding: pigeons')),
  refused('transfer-encoding', 'identity and a length', add('Transfer-Encoding: identity', 'Content-Length: 5')),
  refused('transfer-encoding', 'a length and three empty ones', add('Content-Length: 10', 'Transfer-Encoding:', 'Transfer-Encoding:', 'Transfer-Encoding:')),
];

// biome-ignore format: a table
const CHUNKED = [
  stricter('transfer-encoding', 'chunked and a body', { add: ['Transfer-Encoding: chunked'], behind: 'a\r\n0123456789\r\n0\r\n\r\n' }, BODY),
  stricter('transfer-encoding', 'lower case', add('transfer-encoding: chunked'), BODY),
  stricter('transfer-encoding', 'another case', add('Transfer-Encoding: Chunked'), BODY),
  stricter('transfer-encoding', 'gzip before chunked', add('Transfer-Encoding: gzip, chunked'), BODY),
  refused('transfer-encoding', 'deflate after chunked', add('Transfer-Encoding: chunked, deflate')),
  refused('transfer-encoding', 'deflate after chunked, in two lines', add('Transfer-Encoding: chunked', 'Transfer-Encoding: deflate')),
  refused('transfer-encoding', 'identity', add('Transfer-Encoding: identity')),
  refused('transfer-encoding', 'xchunked', add('Transfer-Encoding: xchunked')),
  refused('transfer-encoding', 'chunkedchunked', add('Transfer-Encoding: chunkedchunked')),
  refused('transfer-encoding', 'a space before the colon', add('Transfer-Encoding : chunked')),
  refused('transfer-encoding', 'a folded line after it', add('Transfer-Encoding: chunked\r\n abc')),
  refused('transfer-encoding', 'chunked and then a length', add('Transfer-Encoding: chunked', 'Content-Length: 5')),
  refused('transfer-encoding', 'CR instead of the dash', add('Transfer\rEncoding: chunked')),
];

// biome-ignore format: a table
const CONNECTION = [
  refused('connection', 'CR instead of the dash', { set: ['Connection: keep\ralive, upgrade'] }),
  refused('connection', 'a space before the colon', { set: ['Connection : upgrade'] }),
  taken('connection', 'upper case', { set: ['CONNECTION: UPGRADE', 'UPGRADE: WEBSOCKET'] }),
  taken('connection', 'a line of its own', { set: ['Connection: keep-alive'], add: ['Connection: upgrade'] }),
  taken('connection', 'empty elements', { set: ['Connection: , upgrade, ,'] }),
  stricter('connection', 'close', { set: ['Connection: close'] }, 'RFC 6455, section 4.2.1: Connection has upgrade', 426),
  stricter('connection', 'no Upgrade', { without: ['upgrade'] }, 'RFC 6455, section 4.2.1: Upgrade has websocket', 426),
  stricter('connection', 'no Connection', { without: ['connection'] }, 'RFC 6455, section 4.2.1: Connection has upgrade', 426),
  taken('connection', 'several tokens', { set: ['Connection: close, token, upgrade, token, keep-alive'] }),
  taken('connection', 'two tokens', { set: ['Connection: keep-alive, upgrade'] }),
  taken('connection', 'a tab before upgrade', { set: ['Connection: keep-alive,\tupgrade'] }),
  taken('connection', 'a tab after another token', { set: ['Connection: keep-alive\t,upgrade, close\t'] }),
  stricter('connection', 'a tab after upgrade', { set: ['Connection: Upgrade\t'] }, 'node:http finds no upgrade there', 426),
  refused('connection', 'folding', { set: ['Connection: Something,\r\n Upgrade, ,Keep-Alive'] }),
  refused('connection', 'folding after a space', { set: ['Connection: keep-alive, \r\n upgrade'] }),
  stricter('connection', 'another protocol', { set: ['Upgrade: ws'] }, 'RFC 6455, section 4.2.1: Upgrade has websocket', 426),
  stricter('connection', 'keep-alive alone', { set: ['Connection: keep-alive'] }, 'RFC 6455, section 4.2.1: Connection has upgrade', 426),
  stricter('connection', 'a body behind an upgrade', add('Content-Length: 4'), BODY),
  stricter('connection', 'POST', line('POST /demo HTTP/1.1'), NOT_GET, 405),
  stricter('connection', 'HTTP/1.0', line('GET /demo HTTP/1.0'), OTHER_VERSION),
];

const HOST_IS_MISSING = 'RFC 9112, section 3.2: a request has one Host';
const CRLF_FIRST = 'RFC 9112, section 2.2: only a server of several requests skips empty lines';

// biome-ignore format: a table
const METHODS = [
  ...['REPORT', 'M-SEARCH', 'PATCH', 'PURGE', 'SEARCH', 'LINK', 'UNLINK', 'PROPFIND', 'QUERY'].map(
    (method) => stricter('method', method, line(`${method} /file.txt HTTP/1.1`), NOT_GET, 405),
  ),
  ...['HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'MKACTIVITY', 'BIND', 'ACL'].map((method) =>
    stricter('method', method, line(`${method} /file.txt HTTP/1.1`), NOT_GET, 405),
  ),
  stricter('method', 'CONNECT', line('CONNECT 0-home0.netscape.com:443 HTTP/1.0'), NOT_GET),
  stricter('method', 'CONNECT and capital letters', line('CONNECT HOME0.NETSCAPE.COM:443 HTTP/1.0'), NOT_GET),
  stricter('method', 'CONNECT and bytes behind it', { line: 'CONNECT foo.bar.com:443 HTTP/1.0', behind: 'blarfcicle"' }, NOT_GET),
  { ...refused('method', 'SOURCE', line('SOURCE /music/sweet/music HTTP/1.1')), status: 405 },
  stricter('method', 'SOURCE with ICE', line('SOURCE /music/sweet/music ICE/1.0'), OTHER_VERSION),
  refused('method', 'the preface of HTTP/2', { line: 'PRI * HTTP/2.0', behind: 'SM\r\n\r\n' }),
  { ...refused('method', 'lower case', line('get / HTTP/1.1')), status: 405 },
  refused('method', 'no method', line(' / HTTP/1.1')),
  { ...refused('method', 'a part of one', line('GE / HTTP/1.1')), status: 405 },
];

// biome-ignore format: a table
const SAMPLE = [
  taken('sample', 'a header of the request in the README', add('Header1: Value1', 'Header2:\t Value2')),
  stricter('sample', 'OPTIONS and two headers', line('OPTIONS /url HTTP/1.1'), NOT_GET, 405),
  stricter('sample', 'HEAD', line('HEAD /url HTTP/1.1'), NOT_GET, 405),
  taken('sample', 'the headers of curl', add('User-Agent: curl/7.18.0 (i486-pc-linux-gnu)', 'Accept: */*')),
  taken(
    'sample',
    'the headers of Firefox',
    add(
      'Accept-Language: en-us,en;q=0.5',
      'Accept-Charset: ISO-8859-1,utf-8;q=0.7,*;q=0.7',
      'Keep-Alive: 300',
    ),
  ),
  taken('sample', 'a line of plus signs', add('aaaaaaaaaaaaa:++++++++++')),
  stricter('sample', 'no headers', { line: 'GET /get_no_headers_no_body/world HTTP/1.1', without: ALL }, HOST_IS_MISSING),
  stricter('sample', 'the headers of ab', line('GET /test HTTP/1.0'), OTHER_VERSION),
  stricter('sample', 'a line break first', line('\r\nGET /test HTTP/1.1'), CRLF_FIRST),
  stricter('sample', 'no version', line('GET /'), OTHER_VERSION),
  taken('sample', 'an empty value', add('Empty:')),
  taken('sample', 'a value of spaces', add('Empty:   ')),
  refused('sample', 'a folded value', add('Line1:   abc\r\n\tdef\r\n ghi')),
  refused('sample', 'a folded value with LF', add('Line1:   abc\n\tdef\n ghi')),
  refused('sample', 'a folded value after an empty line', add('Line1:\r\n line2')),
  taken('sample', 'other characters than ASCII', add('Test: D\xc3\xbcsseldorf')),
  taken('sample', 'the byte 255', add('Header2: \xffValue2')),
  refused('sample', 'a certificate in folded lines', add('X-SSL-Nonsense:   -----BEGIN CERTIFICATE-----\r\n\tMIIFbTCC')),
  refused('sample', 'NUL in a value', add('Header1: a\0b')),
  refused('sample', 'DEL in a value', add('Header1: a\x7fb')),
];

const LENIENT = [
  refused('lenient-headers', 'a form feed', add('Header1: \f')),
  refused('lenient-headers', 'a control character', add('Header1: a\x01')),
  stricter('lenient-version', 'HTTP/0.9', line('GET / HTTP/0.9'), OTHER_VERSION),
  refused('lenient-version', 'HTTP/1.2', line('GET / HTTP/1.2')),
  stricter('lenient-version', 'HTTP/2.0', line('GET / HTTP/2.0'), OTHER_VERSION),
  refused('lenient-version', 'HTTP/1.', line('GET / HTTP/1.')),
  refused('lenient-version', 'HTTP/01.1', line('GET / HTTP/01.1')),
  refused('lenient-version', 'HTTP/1.10', line('GET / HTTP/1.10')),
  refused('lenient-version', 'http/1.1', line('GET / http/1.1')),
  refused('lenient-version', 'a space behind the version', line('GET / HTTP/1.1 ')),
  refused('lenient-version', 'a tab before the version', line('GET /\tHTTP/1.1')),
];

// biome-ignore format: a table
const MORE = [
  taken('pipelining', 'a second request, whose bytes are frames', { behind: 'GET / HTTP/1.1\r\n\r\n' }),
  stricter('pipelining', 'POST and another POST', { line: 'POST /aaa HTTP/1.1', add: ['Content-Length: 3'], behind: 'AAA' }, NOT_GET),
  stricter('pausing', 'POST and a body', { line: 'POST / HTTP/1.1', add: ['Content-Length: 3'], behind: 'abc' }, NOT_GET),
  stricter('finish', 'PUT whose body is missing', { line: 'PUT / HTTP/1.1', add: ['Content-Length: 100'] }, NOT_GET),
];

/** The cases. */
export const LLHTTP_CASES: readonly LlhttpCase[] = [
  ...INVALID,
  ...URI,
  ...LENGTHS,
  ...CODINGS,
  ...CHUNKED,
  ...CONNECTION,
  ...METHODS,
  ...SAMPLE,
  ...LENIENT,
  ...MORE,
];
