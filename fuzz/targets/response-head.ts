import { ResponseHead } from '@ws/codec';
import { nodeAcceptsResponse } from '@ws/tests';
import { Input } from '../harness/input.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { compareFields, pushHead } from '../oracles/head-laws.ts';
import { headOf } from '../oracles/http-head.ts';

const RESPONSE = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
];

/** Feeds the bytes of a response, cut anywhere, to a ResponseHead. node:http and an oracle judge. */
export function responseHead(createHead: () => ResponseHead = () => new ResponseHead()): Target {
  return {
    name: 'response-head',
    description: 'accepts no response that node:http refuses, and reads the same fields',
    covers: ['packages/codec/src/handshake/'],
    maxLength: 1_200,
    dictionary: bytesOf(
      ...RESPONSE.map((line) => `${line}\r\n`),
      'HTTP/1.1 100 Continue\r\n\r\n',
      'HTTP/1.1 200 OK\r\n',
      'HTTP/1.0',
      '204',
      'Content-Length: 5\r\n',
      'Transfer-Encoding: chunked\r\n',
      'chunked, ',
      'Sec-WebSocket-Protocol: chat\r\n',
      'Connection: close\r\n',
      '\r\n',
      '\n',
      '\t',
      '\0',
      '\x80',
    ),
    separators: bytesOf('\r\n', ' ', ',', ':'),
    seeds: [
      RESPONSE,
      ['HTTP/1.1 100 Continue', '', ...RESPONSE],
      ['HTTP/1.1 401 Unauthorized', 'Content-Length: 2', '', 'no'],
      ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', '', '0'],
    ].map((lines) => Uint8Array.from(Buffer.from(`\0\0${lines.join('\r\n')}\r\n\r\n`, 'latin1'))),
    async run(input) {
      const read = new Input(input);
      const cuts = read.cuts(2);
      const bytes = read.rest();
      const head = pushHead(createHead, bytes, cuts);
      if (head === undefined) return;
      ensure(await nodeAcceptsResponse(bytes), 'node:http accepts the response too');
      const expected = headOf(Buffer.from(bytes).toString('latin1'));
      ensure(typeof expected !== 'string', 'the response is well-formed');
      compareFields(head, expected);
      const [version, status] = expected.first.split(' ');
      ensureSame(`HTTP/1.${head.minor}`, version, 'version');
      ensureSame(head.status, Number(status), 'status');
    },
  };
}
