// Nothing is accepted here that node:http refuses, except for methods that it does not know: the
// rules of `checkRequest` refuse them. `WS_HEAD_RUNS` sets the number of heads.
import { METHODS } from 'node:http';
import { checkRequest, RequestHead, ResponseHead } from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REQUEST, RESPONSE, requests, responses } from './heads.ts';
import { NodeRequestParser, nodeAcceptsResponse } from './node-parser.ts';

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
