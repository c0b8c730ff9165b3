import { METHODS } from 'node:http';
import { checkRequest, RequestHead } from '@ws/codec';
import { NodeRequestParser } from '@ws/tests';
import { Input } from '../harness/input.ts';
import { bytesOf, ensure, ensureSame, type Target } from '../harness/target.ts';
import { compareFields, pushHead } from '../oracles/head-laws.ts';
import { type Head, headOf } from '../oracles/http-head.ts';
import { statusOf } from '../oracles/request.ts';

/** Methods of node:http whose target is a path or a URI. That of CONNECT is a host with a port. */
const KNOWN = METHODS.filter((method) => method !== 'CONNECT');

const REQUEST = [
  'GET /chat HTTP/1.1',
  'Host: server.example.com',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
];

/** Feeds the bytes of a request, cut anywhere, to a RequestHead. node:http and an oracle judge. */
export function requestHead(createHead: () => RequestHead = () => new RequestHead()): Target {
  const node = new NodeRequestParser();
  return {
    name: 'request-head',
    description: 'accepts no request that node:http refuses, and finds the first broken rule',
    covers: ['packages/codec/src/handshake/'],
    maxLength: 1_200,
    dictionary: bytesOf(
      ...REQUEST.map((line) => `${line}\r\n`),
      'Content-Length: 0\r\n',
      'Content-Length: 5\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Expect: 100-continue\r\n',
      'keep-alive, ',
      'POST',
      'OPTIONS',
      'HTTP/1.0',
      'http://',
      ':80',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n',
      '[::1]',
      '8',
      '\r\n',
      '\n',
      '\t',
      '\0',
      '#',
      '@',
      '"',
    ),
    separators: bytesOf('\r\n', ' ', ',', ':'),
    seeds: [
      REQUEST,
      ['POST /chat HTTP/1.1', ...REQUEST.slice(1), 'Content-Length: 2'],
      ['GET http://[::1]:80/ HTTP/1.1', 'Host: [::1]:80', ...REQUEST.slice(2)],
      [...REQUEST, 'Transfer-Encoding: chunked', 'Expect: 100-continue'],
    ].map((lines) => Uint8Array.from(Buffer.from(`\0\0${lines.join('\r\n')}\r\n\r\n`, 'latin1'))),
    async run(input) {
      const read = new Input(input);
      const cuts = read.cuts(2);
      const bytes = read.rest();
      const head = pushHead(createHead, bytes, cuts);
      if (head === undefined) return;
      const refusal = checkRequest(head);
      if (KNOWN.includes(head.method)) {
        ensure(await node.accepts(bytes), 'node:http accepts the request too');
      } else {
        ensure(refusal !== undefined, 'an unknown method is refused');
      }
      const expected = headOf(Buffer.from(bytes).toString('latin1'));
      ensure(typeof expected !== 'string', 'the request is well-formed');
      compareFields(head, expected);
      ensureSame(refusal?.status ?? 101, statusOf(withoutApplication(expected)), 'status');
    },
  };
}

/** Leaves out what the application decides: origin and subprotocol. A repeated Origin is invalid. */
function withoutApplication(head: Head): Head {
  const repeated = head.fields.filter(([name]) => name === 'origin').length > 1;
  const isRule = ([name]: readonly [string, string]): boolean => {
    return name === 'origin' ? repeated : name !== 'sec-websocket-protocol';
  };
  return { ...head, fields: head.fields.filter(isRule) };
}
