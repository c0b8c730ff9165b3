// Nothing is accepted here that node:http refuses, except for methods that it does not know: the
// rules of `checkRequest` refuse them. `WS_HEAD_RUNS` sets the number of heads.
import { METHODS } from 'node:http';
import { checkRequest, RequestHead, ResponseHead } from '@ws/codec';
import { NodeRequestParser, nodeAcceptsResponse } from '@ws/tests';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REQUEST, RESPONSE, requests, responses } from './heads.ts';

const numRuns = Number(process.env['WS_HEAD_RUNS'] ?? 1_500);
const timeout = 10_000 + 10 * numRuns;

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

/** Methods of node:http whose target is a path or a URI. That of CONNECT is a host with a port. */
const KNOWN = METHODS.filter((method) => method !== 'CONNECT');

describe('RequestHead and node:http', () => {
  const node = new NodeRequestParser();

  /** Checks a head that RequestHead has taken. */
  async function expectTaken(head: RequestHead, bytes: Uint8Array): Promise<void> {
    if (KNOWN.includes(head.method)) expect(await node.accepts(bytes)).toBe(true);
    else expect(checkRequest(head)).toBeDefined();
  }

  it('agree about the request of the RFC, and about one with a bad name', async () => {
    expect(await node.accepts(bytes(REQUEST))).toBe(true);
    expect(await node.accepts(bytes(REQUEST.replace('Host', 'Ho st')))).toBe(false);
  });

  it(
    'refuse what node:http refuses',
    async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(requests, async (bytes) => {
          const head = new RequestHead();
          if (head.push(bytes) !== 'done') return;
          accepted++;
          await expectTaken(head, bytes);
        }),
        { numRuns },
      );
      expect(accepted).toBeGreaterThan(numRuns / 20);
    },
    timeout,
  );

  it.each([
    'ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR',
    'MKCOL MOVE NOTIFY OPTIONS PATCH POST PRI PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT',
    'SEARCH SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE ANNOUNCE FLUSH get FOO GETT',
  ])('refuse all but GET of the methods %s', async (methods) => {
    for (const method of methods.split(' ')) {
      const request = bytes(REQUEST.replace('GET', method));
      const head = new RequestHead();
      expect([method, head.push(request)]).toEqual([method, 'done']);
      await expectTaken(head, request);
      const status = method === 'GET' ? undefined : 405;
      expect([method, checkRequest(head)?.status]).toEqual([method, status]);
    }
  });
});

// The versions of node:http differ about these: Node 20 refuses the tabs and takes the empty coding,
// Node 24.21 does the opposite.
describe.each([
  { name: 'RequestHead', sound: REQUEST, createHead: () => new RequestHead() },
  { name: 'ResponseHead', sound: RESPONSE, createHead: () => new ResponseHead() },
])('$name', ({ sound, createHead }) => {
  it.each(['Content-Length: 2\t', 'Content-Length: 2 \t ', 'Transfer-Encoding:'])(
    'refuses %j',
    (line) => {
      expect(createHead().push(bytes(plus(sound, line)))).toBe('fault');
    },
  );

  it.each(['Content-Length: 2', 'Content-Length: 2 '])('takes %j', (line) => {
    expect(createHead().push(bytes(plus(sound, line)))).toBe('done');
  });
});

/** Adds header lines. */
function plus(head: string, ...lines: string[]): string {
  return head.replace('Upgrade: websocket', ['Upgrade: websocket', ...lines].join('\r\n'));
}

const LINES = Array.from({ length: 100 }, (_, i) => `X${i}: 1`);

// docs/codec.md lists these cases.
describe('RequestHead', () => {
  const node = new NodeRequestParser();

  it.each<[string, string]>([
    ['a repeated Host', plus(REQUEST, 'Host: h')],
    ['no Host', REQUEST.replace('Host', 'X')],
    ['HTTP/0.9', REQUEST.replace('HTTP/1.1', 'HTTP/0.9')],
    ['HTTP/2.0', REQUEST.replace('HTTP/1.1', 'HTTP/2.0')],
    ['the target *', REQUEST.replace('GET /chat', 'OPTIONS *')],
    ['a host and port as target', REQUEST.replace('GET /chat', 'CONNECT h:1')],
    ['user info', REQUEST.replace('/chat', 'http://u@h/')],
    ['a target over 8 KiB', REQUEST.replace('/chat', `/${'a'.repeat(8192)}`)],
    ['over 100 lines', plus(REQUEST, ...LINES)],
    ['an empty line first', `\r\n${REQUEST}`],
    ['two spaces', REQUEST.replace('GET ', 'GET  ')],
    ['a coding before chunked', plus(REQUEST, 'Transfer-Encoding: gzip, chunked')],
    ['two lines of codings', plus(REQUEST, 'Transfer-Encoding: a', 'Transfer-Encoding: chunked')],
    ['identity', plus(REQUEST, 'Transfer-Encoding: identity')],
    ['a length of 16 digits', plus(REQUEST, 'Content-Length: 0000000000000000')],
  ])('refuses %s, which node:http takes', async (_, text) => {
    expect(new RequestHead().push(bytes(text))).toBe('fault');
    expect(await node.accepts(bytes(text))).toBe(true);
  });
});

// docs/codec.md lists these cases.
describe('ResponseHead', () => {
  it.each<[string, string]>([
    ['HTTP/0.9', RESPONSE.replace('HTTP/1.1', 'HTTP/0.9')],
    ['HTTP/2.0', RESPONSE.replace('HTTP/1.1', 'HTTP/2.0')],
    ['a status below 100', RESPONSE.replace('101', '099')],
    ['a control character in the reason', RESPONSE.replace('Switching', '\x01')],
    ['an empty line first', `\r\n${RESPONSE}`],
    ['a coding before chunked', plus(RESPONSE, 'Transfer-Encoding: gzip, chunked')],
    ['a coding after chunked', plus(RESPONSE, 'Transfer-Encoding: chunked, gzip')],
    ['another coding', plus(RESPONSE, 'Transfer-Encoding: gzip')],
    ['two lines of codings', plus(RESPONSE, 'Transfer-Encoding: a', 'Transfer-Encoding: chunked')],
    ['identity', plus(RESPONSE, 'Transfer-Encoding: identity')],
    ['a length of 16 digits', plus(RESPONSE, 'Content-Length: 0000000000000000')],
  ])('refuses %s, which node:http takes', async (_, text) => {
    expect(new ResponseHead().push(bytes(text))).toBe('fault');
    expect(await nodeAcceptsResponse(bytes(text))).toBe(true);
  });
});

describe('ResponseHead and node:http', () => {
  it('agree about the response of the RFC, and about one with a bad name', async () => {
    expect(await nodeAcceptsResponse(bytes(RESPONSE))).toBe(true);
    expect(await nodeAcceptsResponse(bytes(RESPONSE.replace('Upgrade:', 'Up grade:')))).toBe(false);
  });

  it(
    'refuse what node:http refuses',
    async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(responses, async (head) => {
          if (new ResponseHead().push(head) !== 'done') return;
          accepted++;
          expect(await nodeAcceptsResponse(head)).toBe(true);
        }),
        { numRuns },
      );
      expect(accepted).toBeGreaterThan(numRuns / 20);
    },
    timeout,
  );
});
