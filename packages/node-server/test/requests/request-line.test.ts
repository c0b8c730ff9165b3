import { describe, it } from 'vitest';
import { trapLeftovers } from '../raw.ts';
import { answering, type Row } from './answered.ts';

trapLeftovers();

const TARGET = /target is neither a path nor a URI of the host/;
const VERSION = /request is not HTTP\/1\.1/;
const METHOD = /request method is not GET/;
const MALFORMED = /not an HTTP request/;

// biome-ignore format: a table
const REFUSED: readonly Row[] = [
  { says: 'HTTP/1.0', line: 'GET /chat HTTP/1.0', status: 400, text: VERSION },
  { says: 'HTTP/0.9', line: 'GET /chat HTTP/0.9', status: 400, text: VERSION },
  { says: 'HTTP/2.0', line: 'GET /chat HTTP/2.0', status: 400, text: VERSION },
  { says: 'no version of HTTP', line: 'GET /chat', status: 400, text: VERSION },
  { says: 'HTTP/1.2', line: 'GET /chat HTTP/1.2', status: 400, text: MALFORMED, parser: true },
  { says: 'HTTP/3', line: 'GET /chat HTTP/3', status: 400, text: MALFORMED, parser: true },
  { says: 'HTTP/1.10', line: 'GET /chat HTTP/1.10', status: 400, text: MALFORMED, parser: true },
  { says: 'HTTP in lower case', line: 'GET /chat http/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'another protocol', line: 'GET /chat WS/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a space after the version', line: 'GET /chat HTTP/1.1 ', status: 400, text: MALFORMED, parser: true },
  { says: 'a third word', line: 'GET /chat HTTP/1.1 x', status: 400, text: MALFORMED, parser: true },
  { says: 'POST', line: 'POST /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'PUT', line: 'PUT /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'DELETE', line: 'DELETE /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'PATCH', line: 'PATCH /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'OPTIONS', line: 'OPTIONS /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'TRACE', line: 'TRACE /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'PROPFIND', line: 'PROPFIND /chat HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'an unknown method', line: 'CHAT /chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'GET in lower case', line: 'get /chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'no method', line: '/chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'the preface of HTTP/2', line: 'PRI * HTTP/2.0', status: 400, text: MALFORMED, parser: true },
  { says: 'a space before the method', line: ' GET /chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a tab after the method', line: 'GET\t/chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'the target *', line: 'GET * HTTP/1.1', status: 400, text: TARGET },
  { says: 'OPTIONS *', line: 'OPTIONS * HTTP/1.1', status: 405, text: METHOD, headers: { allow: 'GET' } },
  { says: 'a URI of another host', line: 'GET http://elsewhere.example/ HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI of another port', line: 'GET http://server.example.com:80/ HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI of a longer host', line: 'GET http://server.example.com.evil.example/ HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI with user info', line: 'GET http://me@server.example.com/ HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI without a host', line: 'GET http:///chat HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI that is a scheme', line: 'GET http:// HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI with half an IPv6 address', line: 'GET ws://[::1/chat HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI of a foreign scheme', line: 'GET ftp://server.example.com/chat HTTP/1.1', status: 400, text: TARGET },
  { says: 'a URI without slashes', line: 'GET http:server.example.com/chat HTTP/1.1', status: 400, parser: true },
  { says: 'a fragment', line: 'GET /chat#part HTTP/1.1', status: 400, text: TARGET },
  { says: 'a fragment of a URI', line: 'GET ws://server.example.com/#part HTTP/1.1', status: 400, text: TARGET },
  { says: 'a target without a slash', line: 'GET chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a target that is a query', line: 'GET ?chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a space in the target', line: 'GET /my chat HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'Latin-1 in the target', line: 'GET /caf\xe9 HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'UTF-8 in the target', line: 'GET /caf\xc3\xa9 HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a NUL in the target', line: 'GET /\0 HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'an escape character in the target', line: 'GET /\x1b[31m HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a DEL in the target', line: 'GET /\x7f HTTP/1.1', status: 400, text: MALFORMED, parser: true },
  { says: 'a target of 20 KB', line: `GET /${'x'.repeat(20_000)} HTTP/1.1`, status: 431, text: /too large/, parser: true },
  { says: 'a query of 20 KB', line: `GET /?${'x'.repeat(20_000)} HTTP/1.1`, status: 431, text: /too large/, parser: true },
  { says: 'TLS where there is none, or none inside TLS', raw: '\x16\x03\x01\x00\x05hello\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'frames and no request', raw: '\x81\x82\x37\xfa\x21\x3d\x5f\x93\r\n\r\n', status: 400, text: MALFORMED, parser: true },
  { says: 'a line of noise', raw: '\xff\xfe\xfd\r\n\r\n', status: 400, text: MALFORMED, parser: true },
];

// biome-ignore format: a table
const ACCEPTED: readonly Row[] = [
  { says: 'the root', line: 'GET / HTTP/1.1', status: 101 },
  { says: 'a query', line: 'GET /chat?room=1&token=%zz HTTP/1.1', status: 101 },
  { says: 'a query with a slash and a question mark', line: 'GET /chat?/../? HTTP/1.1', status: 101 },
  { says: 'two slashes', line: 'GET // HTTP/1.1', status: 101 },
  { says: 'what a URL class takes for a host', line: 'GET //[ HTTP/1.1', status: 101 },
  { says: 'dots', line: 'GET /../../etc/passwd HTTP/1.1', status: 101 },
  { says: 'half an escape', line: 'GET /% HTTP/1.1', status: 400, text: /percent-encoded/ },
  { says: 'what browsers leave as it is', line: "GET /[]|^~!$&'()*+,;=:@ HTTP/1.1", status: 101 },
  { says: 'a target of 8 KB', line: `GET /${'x'.repeat(8_000)} HTTP/1.1`, status: 101 },
  { says: 'a URI of its host', line: 'GET http://server.example.com/chat HTTP/1.1', status: 101 },
  { says: 'a URI of its host in other letters', line: 'GET HTTP://Server.Example.com/chat HTTP/1.1', status: 101 },
  { says: 'a URI by the scheme ws', line: 'GET ws://server.example.com/chat?x HTTP/1.1', status: 101 },
  { says: 'a URI by the scheme wss', line: 'GET wss://server.example.com/ HTTP/1.1', status: 101 },
  { says: 'a URI without a path', line: 'GET ws://server.example.com HTTP/1.1', status: 101 },
  { says: 'a URI of its host and port', line: 'GET http://server.example.com:8080/ HTTP/1.1', set: ['Host: server.example.com:8080'], status: 101 },
  { says: 'empty lines before it, as RFC 9112 has it', line: '\r\n\r\nGET /chat HTTP/1.1', status: 101 },
  { says: 'two spaces, as Node has it', line: 'GET  /chat  HTTP/1.1', status: 101 },
];

describe('the request line', () => {
  const answered = answering();
  it.each(REFUSED)('with $says is refused with $status', answered);
  it.each(ACCEPTED)('with $says is accepted', answered);
});
