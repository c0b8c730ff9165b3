import { once } from 'node:events';
import { createServer } from 'node:http2';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Attempt } from '../../src/model/attempt.ts';
import { hex } from '../../src/wire/bytes.ts';
import { decodeFields, encodeFields, encodeIndexes } from '../../src/wire/hpack.ts';
import { Http2Session } from '../../src/wire/http2-session.ts';

describe('decodeFields', () => {
  it('reads the examples of RFC 7541 that need no dynamic table', () => {
    expect(decodeFields(hex('82'))).toEqual([[':method', 'GET']]);
    expect(decodeFields(hex('04 0c 2f 73 61 6d 70 6c 65 2f 70 61 74 68'))).toEqual([
      [':path', '/sample/path'],
    ]);
    expect(decodeFields(hex('82 86 84 41 8c f1 e3 c2 e5 f2 3a 6b a0 ab 90 f4 ff'))).toEqual([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'www.example.com'],
    ]);
    expect(
      decodeFields(hex('61 96 d0 7a be 94 10 54 d4 44 a8 20 05 95 04 0b 81 66 e0 82 a6 2d 1b ff')),
    ).toEqual([['date', 'Mon, 21 Oct 2013 20:13:21 GMT']]);
  });

  it('reads long values, and a change of the table', () => {
    const fields = [
      ['x-long', 'x'.repeat(20_000)],
      ['x-empty', ''],
    ] as const;
    expect(decodeFields(Buffer.concat([hex('20'), encodeFields(fields)]))).toEqual(fields);
  });

  it.each([
    ['an index of the dynamic table', 'be'],
    ['a string that is cut', '04 0c 2f'],
    ['an integer that is cut', 'ff 80'],
  ])('rejects %s', (_, block) => {
    expect(() => decodeFields(hex(block))).toThrow('a header block');
  });

  it('reads each character in the Huffman code of nghttp2', async () => {
    const all = Array.from({ length: 95 }, (_, at) => String.fromCharCode(0x20 + at)).join('');
    // nghttp2 takes the code only when it is shorter.
    const value = `x${all}${'a'.repeat(80)}`;
    const server = createServer((_, res) => {
      res.setHeader('x-all', value);
      res.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const tcp = connect(port, '127.0.0.1');
    const session = new Http2Session(tcp, new Attempt(10_000), 1, 'http');
    session.start();
    const fields = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':path', '/'],
      [':authority', 'localhost'],
    ] as const;
    const stream = session.request(fields, true);
    await session.until(() => stream.answer !== undefined, 'an answer');
    expect(stream.answer).toContainEqual(['x-all', value]);
    tcp.destroy();
    server.close();
  });
});

it('encodeIndexes names the fields of the dynamic table, the oldest first', () => {
  expect(encodeIndexes(3)).toEqual(hex('c0 bf be'));
});
