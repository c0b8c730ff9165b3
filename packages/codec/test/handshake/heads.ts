// Heads that are mostly valid, and mutations of them.
import fc from 'fast-check';

export const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
const CRLF = '\r\n';

/** The request of RFC 6455, section 1.3. */
export const REQUEST: string = [
  'GET /chat HTTP/1.1',
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Key: ${KEY}`,
  'Origin: http://example.com',
  'Sec-WebSocket-Protocol: chat, superchat',
  'Sec-WebSocket-Version: 13',
  CRLF,
].join(CRLF);

/** The answer to it. */
export const RESPONSE: string = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  'Sec-WebSocket-Protocol: chat',
  CRLF,
].join(CRLF);

/** Adds a header line. */
export const add =
  (line: string) =>
  (text: string): string =>
    text.replace('Upgrade:', `${line}\r\nUpgrade:`);

export const swap =
  (from: string | RegExp, to: string) =>
  (text: string): string =>
    text.replace(from, to);

const requestLine = fc
  .tuple(
    fc.constantFrom('GET', 'GET', 'GET', 'POST', 'HEAD', 'OPTIONS', 'CONNECT', 'PRI', 'FOO', 'get'),
    fc.constantFrom(' ', ' ', ' ', ' ', '  ', '\t', ''),
    fc.constantFrom(...'/ / /a?b=c /a#b * http://h/ ws://h:1 http://u@h/ h:1'.split(' '), ''),
    fc.constantFrom(' ', ' ', ' ', ' ', '  ', '\t', ''),
    fc.constantFrom(
      ...'HTTP/1.1 HTTP/1.1 HTTP/1.1 HTTP/1.0 HTTP/2.0 HTTP/1.2 http/1.1'.split(' '),
      '',
    ),
  )
  .map((parts) => parts.join(''));

const statusLine = fc
  .tuple(
    fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'HTTP/2', 'ICY'),
    fc.constantFrom(' ', ' ', ' ', ' ', '  ', '\t', ''),
    fc.constantFrom('101', '101', '200', '204', '100', '304', '000', '99', '1010', '2x0', ''),
    fc.constantFrom(' OK', ' Switching Protocols', ' ', '', ' \x80', ' \x01', 'x'),
  )
  .map((parts) => parts.join(''));

const name = fc.oneof(
  fc.constantFrom('Host', 'Connection', 'Upgrade', 'Content-Length', 'Transfer-Encoding'),
  fc.constantFrom('content-length', 'TRANSFER-ENCODING', 'Expect', 'Proxy-Connection', 'X', ''),
  fc.constantFrom('Sec-WebSocket-Key', 'Sec-WebSocket-Version', 'Trailer', 'X Y', ' X', 'X\x80'),
);

const value = fc.oneof(
  fc.constantFrom('h', 'close', 'keep-alive', 'upgrade', 'Upgrade, keep-alive', 'websocket', '13'),
  fc.constantFrom('0', '1', '00', '+1', '1, 1', '1 1', '18446744073709551616', '999999999999999'),
  fc.constantFrom('chunked', 'Chunked', 'gzip, chunked', 'chunked, gzip', 'chunked,', 'identity'),
  fc.constantFrom('', 'a\tb', 'a\x7f', '\x80\xff', 'a\0', 'a\rb', 'a\nb', 'a\r\n b'),
  fc.constantFrom('100-continue', '2\t', '2 '),
);

const line = fc
  .tuple(name, fc.constantFrom(':', ':', ':', ' :', ''), fc.constantFrom('', ' ', '\t '), value)
  .map((parts) => parts.join(''));

function mostly<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, other);
}

function head(start: fc.Arbitrary<string>, sound: string): fc.Arbitrary<string> {
  const [first = '', ...fields] = sound.trimEnd().split(CRLF);
  return fc
    .record({
      start: mostly(first, start),
      kept: mostly(fields, fc.subarray(fields)),
      added: fc.array(line, { maxLength: 3 }),
      end: mostly(CRLF, fc.constantFrom('\n', '\r', '\r\r\n')),
      before: mostly('', fc.constantFrom(CRLF, '\n', ' ')),
    })
    .map((it) => {
      // One line end may be another one. The rest is CRLF.
      const lines = [...it.kept, ...it.added].map((one) => one + CRLF).join('');
      return `${it.before}${it.start}${CRLF}${lines}`.slice(0, -2) + it.end + CRLF;
    });
}

/** A change of one byte, anywhere: replaced, inserted or removed. */
function mutated(sound: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(),
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 9, 10, 13, 32, 35, 44, 58, 59, 127, 128)),
    how: fc.constantFrom('replace', 'insert', 'remove'),
  });
  return fc.tuple(sound, mostly([], fc.array(change, { maxLength: 2 }))).map(([text, changes]) => {
    let bytes = [...Buffer.from(text, 'latin1')];
    for (const { at, byte, how } of changes) {
      const place = at % bytes.length;
      bytes = bytes.toSpliced(place, how === 'insert' ? 0 : 1, ...(how === 'remove' ? [] : [byte]));
    }
    return Uint8Array.from(bytes);
  });
}

export const requests: fc.Arbitrary<Uint8Array> = mutated(head(requestLine, REQUEST));
export const responses: fc.Arbitrary<Uint8Array> = mutated(head(statusLine, RESPONSE));
