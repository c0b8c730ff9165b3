// What the tests of gobwas/ws (server_test.go, http_test.go) are about, retold as changes of one
// sound handshake. gobwas/ws is licensed under the MIT License, copyright Sergey Kamardin, 2017.
import type { RequestChange } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { RawUpgrader, type RawUpgraderOptions } from '../../src/raw/index.ts';
import { ACCEPT, type Answer, nothingUnhandled, parseAnswer, request } from '../raw.ts';
import { Wire } from './wire.ts';

nothingUnhandled();

async function answerTo(options: RawUpgraderOptions, change: RequestChange): Promise<Answer> {
  const wire = new Wire();
  const upgrader = new RawUpgrader({ heartbeat: false, report: () => {}, ...options });
  upgrader.listener((conn) => conn.terminate())(wire);
  wire.push(request(change));
  const answer = parseAnswer(await wire.answered());
  wire.destroy();
  return answer;
}

describe('a raw upgrade and the tests of gobwas/ws', () => {
  it.each<[string, RequestChange]>([
    ['a sound request', {}],
    ['an absolute URI', { line: 'GET http://server.example.com/ws HTTP/1.1' }],
    ['names in lower case', { set: ['upgrade: websocket', 'connection: upgrade'] }],
    ['names in upper case', { set: ['UPGRADE: websocket', 'CONNECTION: upgrade'] }],
    ['values in another case', { set: ['Upgrade: WebSocket', 'Connection: UPGRADE'] }],
    ['several tokens in Connection', { set: ['Connection: Keep-Alive, Upgrade'] }],
    ['no space after the colon', { set: ['Upgrade:websocket', 'Connection:Upgrade'] }],
    ['large headers', { add: Array.from({ length: 50 }, (_, i) => `X-${i}: ${'x'.repeat(200)}`) }],
  ])('takes %s', async (_, change) => {
    const { status, headers } = await answerTo({}, change);
    expect([status, headers.get('sec-websocket-accept')]).toEqual([101, ACCEPT]);
  });

  it.each<[string, RequestChange, number]>([
    // gobwas answers 505.
    ['HTTP/1.0', { line: 'GET / HTTP/1.0' }, 400],
    ['HTTP/1.2', { line: 'GET / HTTP/1.2' }, 400],
    ['HTTP/10.1', { line: 'GET / HTTP/10.1' }, 400],
    ['no version', { line: 'GET /' }, 400],
    ['HTTP1.1', { line: 'GET / HTTP1.1' }, 400],
    ['an empty line', { line: '' }, 400],
    ['POST', { line: 'POST / HTTP/1.1' }, 405],
    ['no Host', { without: ['host'] }, 400],
    // gobwas answers 400 to the next three.
    ['no Upgrade', { without: ['upgrade'] }, 426],
    ['another Upgrade', { set: ['Upgrade: not-websocket'] }, 426],
    ['no Connection', { without: ['connection'] }, 426],
    ['no version of the protocol', { without: ['sec-websocket-version'] }, 400],
    ['no key', { without: ['sec-websocket-key'] }, 400],
    ['a short key', { set: ['Sec-WebSocket-Key: dGhlIHNhbXBsZQ=='] }, 400],
    ['a malformed subprotocol', { add: ['Sec-WebSocket-Protocol: a b'] }, 400],
    ['a malformed extension', { add: ['Sec-WebSocket-Extensions: a; ;b'] }, 400],
    ['a line without a colon', { add: ['Foo'] }, 400],
    ['a line without a name', { add: [': bar'] }, 400],
    ['a space before the colon', { add: ['Foo : bar'] }, 400],
    ['a head that is too large', { add: [`Foo: ${'x'.repeat(20_000)}`] }, 431],
  ])('refuses %s', async (_, change, status) => {
    expect((await answerTo({}, change)).status).toBe(status);
  });

  it('answers another version with the one that it has', async () => {
    const { status, headers } = await answerTo({}, { set: ['Sec-WebSocket-Version: 15'] });
    expect([status, headers.get('sec-websocket-version')]).toEqual([426, '13']);
  });

  it.each([
    ['Sec-WebSocket-Protocol: a, b, c, d'],
    ['Sec-WebSocket-Protocol: a, b', 'Sec-WebSocket-Protocol: c, d'],
  ])('takes an offered subprotocol of %s', async (...add) => {
    const { headers } = await answerTo({ subprotocols: ['b', 'd'] }, { add });
    expect(headers.get('sec-websocket-protocol')).toBe('b');
  });

  it('takes an offered extension that it has', async () => {
    const add = ['Sec-WebSocket-Extensions: a;b=c, permessage-deflate;server_max_window_bits=10'];
    const { headers } = await answerTo({ compression: true }, { add });
    expect(headers.get('sec-websocket-extensions')).toMatch(/^permessage-deflate/);
  });

  it('sends status, headers and reason of a callback that refuses', async () => {
    const { status, headers, body } = await answerTo(
      {
        onHeader: (name) =>
          name === 'X-Token'
            ? { refuse: 403, headers: { 'X-Why': 'token' }, body: 'no access' }
            : undefined,
      },
      { add: ['X-Token: 1'] },
    );
    expect([status, headers.get('x-why')]).toEqual([403, 'token']);
    expect(body).toContain('no access');
  });

  it('adds the headers of a callback to the 101', async () => {
    const { status, headers } = await answerTo(
      { onBeforeUpgrade: () => ({ 'X-Served': 'a' }) },
      {},
    );
    expect([status, headers.get('x-served')]).toEqual([101, 'a']);
  });
});
