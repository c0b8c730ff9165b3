import { describe, it } from 'vitest';
import { masked, trapLeftovers } from '../raw.ts';
import { answering, type Row } from './answered.ts';

trapLeftovers();

const BODY = /request has a body/;
const MALFORMED = /not an HTTP request/;
/** A text frame; a connection would echo it. */
const FRAME = masked(1, 'smuggled');
const GET = 'GET /chat HTTP/1.1';
const HIDDEN = 'GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n';

// biome-ignore format: a table
const BODIES: readonly Row[] = [
  { says: 'a body by length', add: ['Content-Length: 14'], behind: FRAME, status: 400, text: BODY },
  { says: 'a body of one byte', add: ['Content-Length: 1'], behind: 'x', status: 400, text: BODY },
  { says: 'a body that has not come', add: ['Content-Length: 100000'], status: 400, text: BODY },
  { says: 'a body that is a request', add: [`Content-Length: ${HIDDEN.length}`], behind: HIDDEN, status: 400, text: BODY },
  { says: 'a length with zeros before it', add: ['Content-Length: 0014'], behind: FRAME, status: 400, text: BODY },
  { says: 'a chunked body', add: ['Transfer-Encoding: chunked'], behind: '0\r\n\r\n', status: 400, text: BODY },
  { says: 'a chunked body with a frame in it', add: ['Transfer-Encoding: chunked'], behind: `e\r\n${FRAME.toString('latin1')}\r\n0\r\n\r\n`, status: 400, text: BODY },
  { says: 'a chunked body, in other letters', add: ['transfer-encoding: Chunked'], behind: '0\r\n\r\n', status: 400, text: BODY },
  { says: 'a compressed body', add: ['Transfer-Encoding: gzip, chunked'], behind: '0\r\n\r\n', status: 400, text: BODY },
  { says: 'an encoding that is none', add: ['Transfer-Encoding: identity'], status: 400, text: BODY },
  { says: 'an unknown encoding', add: ['Transfer-Encoding: xchunked'], status: 400, text: BODY },
  { says: 'chunked in quotes', add: ['Transfer-Encoding: "chunked"'], status: 400, text: BODY },
  { says: 'chunked over two lines', add: ['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], behind: '0\r\n\r\n', status: 400, text: BODY },
  { says: 'chunked, then something else', add: ['Transfer-Encoding: chunked, gzip'], status: 400, text: MALFORMED, parser: true },
  { says: 'chunked, and a length', add: ['Transfer-Encoding: chunked', 'Content-Length: 5'], behind: '0\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'a length, and chunked', add: ['Content-Length: 5', 'Transfer-Encoding: chunked'], behind: '0\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'a length of 0, and chunked', add: ['Content-Length: 0', 'Transfer-Encoding: chunked'], behind: '0\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'an encoding with a space after its name', add: ['Transfer-Encoding : chunked'], behind: '0\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'an encoding with a tab before its colon', add: ['Transfer-Encoding\t: chunked'], behind: '0\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'an encoding on a folded line', add: ['Transfer-Encoding:\r\n chunked'], behind: '0\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'two lengths', add: ['Content-Length: 0', 'Content-Length: 14'], behind: FRAME, status: 400, text: MALFORMED, parser: true },
  { says: 'the same length twice', add: ['Content-Length: 0', 'Content-Length: 0'], status: 400, text: MALFORMED, parser: true },
  { says: 'a list of lengths', add: ['Content-Length: 0, 0'], status: 400, text: MALFORMED, parser: true },
  { says: 'a negative length', add: ['Content-Length: -1'], status: 400, text: MALFORMED, parser: true },
  { says: 'a length with a plus', add: ['Content-Length: +0'], status: 400, text: MALFORMED, parser: true },
  { says: 'a length in hex', add: ['Content-Length: 0x0'], status: 400, text: MALFORMED, parser: true },
  { says: 'a length with a fraction', add: ['Content-Length: 0.0'], status: 400, text: MALFORMED, parser: true },
  { says: 'a length in quotes', add: ['Content-Length: "0"'], status: 400, text: MALFORMED, parser: true },
  { says: 'an empty length', add: ['Content-Length:'], status: 400, text: MALFORMED, parser: true },
  { says: 'a length past 64 bits', add: ['Content-Length: 99999999999999999999999'], status: 400, text: MALFORMED, parser: true },
  { says: 'a length of 0', add: ['Content-Length: 0'], status: 101 },
  { says: 'a length of zeros', add: ['Content-Length: 000'], status: 101 },
  { says: 'a type of nothing', add: ['Content-Type: text/plain'], status: 101 },
  { says: 'a wish to go on', add: ['Expect: 100-continue'], status: 101 },
  { says: 'trailers that never come', add: ['Trailer: X-A', 'TE: trailers'], status: 101 },
];

// biome-ignore format: a table
const SYNTAX: readonly Row[] = [
  { says: 'line ends that are bare LF', raw: `${GET}\nHost: a\nUpgrade: websocket\nConnection: Upgrade\n\n`, status: 400, text: MALFORMED, parser: true },
  { says: 'one line end that is bare LF', add: ['X-A: a\nX-B: b'], status: 400, text: MALFORMED, parser: true },
  { says: 'a request line that ends with LF', line: `${GET}\nX-A: a`, status: 400, text: MALFORMED, parser: true },
  { says: 'a bare CR in a value', add: ['X-A: a\rb'], status: 400, text: MALFORMED, parser: true },
  { says: 'a bare CR for a line end', add: ['X-A: a\rTransfer-Encoding: chunked'], status: 400, text: MALFORMED, parser: true },
  { says: 'a CR before the CRLF', add: ['X-A: a\r'], status: 400, text: MALFORMED, parser: true },
  { says: 'a folded line', add: ['X-A: a', ' b'], status: 400, text: MALFORMED, parser: true },
  { says: 'a line folded by a tab', add: ['X-A: a', '\tb'], status: 400, text: MALFORMED, parser: true },
  { says: 'a folded Host', set: ['Host: server', ' .example.com'], status: 400, text: MALFORMED, parser: true },
  { says: 'a first line that begins with a space', line: `${GET}\r\n X-A: a`, status: 400, text: MALFORMED, parser: true },
  { says: 'a NUL in a value', add: ['X-A: a\0b'], status: 400, text: MALFORMED, parser: true },
  { says: 'a NUL in a name', add: ['X-\0A: a'], status: 400, text: MALFORMED, parser: true },
  { says: 'a NUL after the key', add: ['Sec-WebSocket-Protocol: chat\0'], status: 400, text: MALFORMED, parser: true },
  { says: 'an SOH in a value', add: ['X-A: a\x01b'], status: 400, text: MALFORMED, parser: true },
  { says: 'an ESC in a value', add: ['X-A: \x1b[31m'], status: 400, text: MALFORMED, parser: true },
  { says: 'a DEL in a value', add: ['X-A: a\x7f'], status: 400, text: MALFORMED, parser: true },
  { says: 'a line without a colon', add: ['X-A'], status: 400, text: MALFORMED, parser: true },
  { says: 'a line without a name', add: [': a'], status: 400, text: MALFORMED, parser: true },
  { says: 'a space after a name', add: ['X-A : a'], status: 400, text: MALFORMED, parser: true },
  { says: 'a space in a name', add: ['X A: a'], status: 400, text: MALFORMED, parser: true },
  { says: 'a parenthesis in a name', add: ['X(A): a'], status: 400, text: MALFORMED, parser: true },
  { says: 'a quote in a name', add: ['"X-A": a'], status: 400, text: MALFORMED, parser: true },
  { says: 'Latin-1 in a name', add: ['X-\xe9: a'], status: 400, text: MALFORMED, parser: true },
  { says: 'UTF-8 in a name', add: ['X-\xc3\xa9: a'], status: 400, text: MALFORMED, parser: true },
  { says: 'a header of 20 KB', add: [`X-A: ${'x'.repeat(20_000)}`], status: 431, text: /too large/, parser: true },
  { says: 'a name of 20 KB', add: [`${'X'.repeat(20_000)}: a`], status: 431, text: /too large/, parser: true },
  { says: 'a head of 20 KB in small lines', add: Array.from({ length: 800 }, (_, i) => `X-${i}: ${'x'.repeat(20)}`), status: 431, text: /too large/, parser: true },
  { says: 'a cookie of 20 KB', add: [`Cookie: a=${'x'.repeat(20_000)}`], status: 431, text: /too large/, parser: true },
  { says: 'Latin-1 in a value', add: ['X-A: caf\xe9'], status: 101 },
  { says: 'UTF-8 in a value', add: ['X-A: caf\xc3\xa9 \xf0\x9f\x98\x80'], status: 101 },
  { says: 'an empty value', add: ['X-A:'], status: 101 },
  { says: 'a tab in a value', add: ['X-A: a\tb'], status: 101 },
  { says: 'space and tabs around a value', add: ['X-A: \t a \t '], status: 101 },
  { says: 'no space after a colon', add: ['X-A:a'], status: 101 },
  { says: 'colons in a value', add: ['X-A: a:b: c'], status: 101 },
  { says: 'every sign that a name may have', add: ["!#$%&'*+-.^_`|~09azAZ: a"], status: 101 },
  { says: 'names of Object.prototype', add: ['__proto__: a', 'constructor: b', 'toString: c', 'hasOwnProperty: d'], status: 101 },
  { says: 'the same name hundreds of times', add: Array.from({ length: 400 }, () => 'X-A: b'), status: 101 },
  { says: 'hundreds of names', add: Array.from({ length: 900 }, (_, i) => `X${i}: 1`), status: 101 },
  { says: 'a value of 8 KB', add: [`X-A: ${'x'.repeat(8_000)}`], status: 101 },
  { says: 'cookies over two lines', add: ['Cookie: a=1', 'Cookie: b=2'], status: 101 },
  { says: 'what a proxy adds', add: ['Via: 1.1 a', 'X-Forwarded-For: 10.0.0.1, 10.0.0.2', 'Forwarded: for="[::1]"', 'X-Forwarded-Proto: https'], status: 101 },
  { says: 'what a browser adds', add: ['Pragma: no-cache', 'Cache-Control: no-cache', 'User-Agent: Mozilla/5.0', 'Accept-Encoding: gzip, deflate, br', 'Sec-Fetch-Mode: websocket'], status: 101 },
  { says: 'fields of an answer', add: ['Sec-WebSocket-Accept: x', 'Upgrade-Insecure-Requests: 1'], status: 101 },
  { says: 'the keys of an older draft', add: ['Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5', 'Sec-WebSocket-Key2: 12998 5 Y3 1  .P00'], status: 101 },
];

describe('a request with a body, or with headers of one', () => {
  const answered = answering();
  it.each(BODIES)('that has $says gets $status', answered);
});

describe('the lines of a head', () => {
  const answered = answering();
  it.each(SYNTAX)('with $says get $status', answered);
});
