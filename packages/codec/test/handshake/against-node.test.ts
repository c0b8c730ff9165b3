// Nothing is accepted here that node:http refuses. `WS_HEAD_RUNS` sets the number of heads.
import { RequestHead, ResponseHead } from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REQUEST, RESPONSE, requests, responses } from './heads.ts';
import { NodeRequestParser, nodeAcceptsResponse } from './node-parser.ts';

const numRuns = Number(process.env['WS_HEAD_RUNS'] ?? 1_500);
const timeout = 10_000 + 10 * numRuns;

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

describe('RequestHead and node:http', () => {
  const node = new NodeRequestParser();

  it('agree about the request of the RFC, and about one with a bad name', async () => {
    expect(await node.accepts(bytes(REQUEST))).toBe(true);
    expect(await node.accepts(bytes(REQUEST.replace('Host', 'Ho st')))).toBe(false);
  });

  it(
    'refuse what node:http refuses',
    async () => {
      let accepted = 0;
      await fc.assert(
        fc.asyncProperty(requests, async (head) => {
          if (new RequestHead().push(head) !== 'done') return;
          accepted++;
          expect(await node.accepts(head)).toBe(true);
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
  ])('agree about the methods %s', async (methods) => {
    for (const method of methods.split(' ')) {
      const head = bytes(REQUEST.replace('GET', method));
      if (new RequestHead().push(head) !== 'done') continue;
      expect([method, await node.accepts(head)]).toEqual([method, true]);
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
