import { isIP } from 'node:net';
import {
  checkRequest,
  http2RequestRules,
  type Refusal,
  type RequestFacts,
  RequestHead,
  requestRules,
} from '@ws/codec';
import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { parseHostPort } from '../../src/handshake/host.ts';
import { add, REQUEST, swap } from './heads.ts';

/** The request of the RFC after `change`. */
function facts(change: (text: string) => string): RequestHead {
  const head = new RequestHead();
  expect(head.push(new TextEncoder().encode(change(REQUEST)))).toBe('done');
  return head;
}

describe('checkRequest', () => {
  it('accepts the request of RFC 6455, section 1.3', () => {
    expect(checkRequest(facts((text) => text))).toBeUndefined();
  });

  it.each<[string, (text: string) => string, number, RegExp]>([
    ['HTTP/1.0', swap('1.1', '1.0'), 400, /not HTTP\/1.1/],
    ['no valid Host', swap('server.example.com', 'a b'), 400, /valid host/],
    ['a body', add('Content-Length: 1'), 400, /has a body/],
    ['a body in chunks', add('Transfer-Encoding: chunked'), 400, /has a body/],
    [
      'no upgrade in Connection',
      swap('Connection: Upgrade', 'Connection: close'),
      400,
      /'Connection'/,
    ],
    ['no websocket in Upgrade', swap('websocket', 'h2c'), 426, /'Upgrade'/],
    ['POST', swap('GET', 'POST'), 405, /not GET/],
    ['two versions', add('Sec-WebSocket-Version: 13'), 400, /version/],
    ['version 8', swap('Version: 13', 'Version: 8'), 426, /version/],
    ['a URI of another host', swap('/chat', 'http://other/'), 400, /target/],
    ['a fragment', swap('/chat', '/#a'), 400, /target/],
    ['two Origins', add('Origin: http://a'), 400, /'Origin'/],
    ['a bad key', swap(/Key: \S+/, 'Key: abc'), 400, /'Sec-WebSocket-Key'/],
    ['two keys', add('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='), 400, /'Sec-WebSocket-Key'/],
    ['bad extensions', add('Sec-WebSocket-Extensions: a; b='), 400, /Extensions/],
  ])('refuses %s', (_, change, status, message) => {
    const refusal = checkRequest(facts(change));
    expect(refusal?.status).toBe(status);
    expect(refusal?.message).toMatch(message);
  });

  it.each([
    ['Content-Length: 0', add('Content-Length: 0')],
    ['several tokens', swap('Connection: Upgrade', 'Connection: keep-alive, uPgRaDe')],
    ['a URI of the host', swap('/chat', 'http://SERVER.example.com/chat')],
    ['no Origin', swap(/Origin.*\r\n/, '')],
  ])('accepts %s', (_, change) => {
    expect(checkRequest(facts(change))).toBeUndefined();
  });

  it('reports the first broken rule of the whole table, or of one step', () => {
    const head = facts((text) => swap(/Key: \S+/, 'Key: abc')(swap('GET', 'POST')(text)));
    expect(checkRequest(head)?.status).toBe(405);
    expect(checkRequest(head, 'request')?.status).toBe(405);
    expect(checkRequest(head, 'origin')).toBeUndefined();
    expect(checkRequest(head, 'offers')?.message).toMatch(/Key/);
  });

  it('names the headers of a 405 and of a 426', () => {
    const headersOf = (change: (text: string) => string) => checkRequest(facts(change))?.headers;
    expect(headersOf(swap('GET', 'POST'))).toEqual([['Allow', 'GET']]);
    expect(headersOf(swap('Version: 13', 'Version: 8'))).toEqual([
      ['Upgrade', 'websocket'],
      ['Sec-WebSocket-Version', '13'],
    ]);
  });

  it('has the steps in their order', () => {
    const steps = requestRules.map(({ step }) => step);
    expect(steps).toEqual([
      ...Array<string>(11).fill('request'),
      'origin',
      ...Array<string>(2).fill('offers'),
    ]);
  });
});

describe('parseHostPort', () => {
  const isHost = (text: string): boolean => parseHostPort(text) !== undefined;

  const HOSTS = ['example.org', 'example.org:', 'example.org:65535', '127.0.0.1:80', '[::1]:80'];
  const STRANGE = ['a%41', '[::1]:', '*.example.org', "a!$&'()b", 'a;b', 'a=b', 'a,b'];
  const BAD = ['%', 'a%4', 'a%zz', '', ':80', 'a b', 'a@b', '[v1.x]', 'a:65536', '::1', 'a/b'];

  it.each([...HOSTS, ...STRANGE])('accepts %s, which the grammar of RFC 3986 allows', (host) => {
    expect(isHost(host)).toBe(true);
  });

  it.each(BAD)('rejects %j', (host) => expect(isHost(host)).toBe(false));

  it('agrees with node:net about addresses in brackets', () => {
    const group = fc.constantFrom('', '', '0', 'f', 'ffff', '12345', 'g', '1.2.3.4', '256.1.1.1');
    const random = fc.array(group, { maxLength: 9 }).map((groups) => groups.join(':'));
    fc.assert(
      fc.property(fc.oneof(random, fc.ipV6()), (address) => {
        expect(isHost(`[${address}]`)).toBe(isIP(address) === 6);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('the fault of a head', () => {
  it('is a Refusal, and has the fields of one', () => {
    const head = new RequestHead();
    head.push(Buffer.from('GET / HTTP/1.1\r\nbad line\r\n\r\n'));
    const refusal = head.fault ?? checkRequest(head);
    // Without an annotation, as a program writes it.
    expectTypeOf(refusal?.headers).toEqualTypeOf<Refusal['headers']>();
    expect(refusal?.headers).toBeUndefined();
    expect(refusal?.status).toBe(400);
  });
});

/** A request over HTTP/2. A field that is undefined is left out. */
function streamFacts(
  change: Readonly<Record<string, string | readonly string[] | undefined>> = {},
): RequestFacts {
  const fields: Record<string, string | readonly string[] | undefined> = {
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':path': '/chat',
    ':authority': 'server.example.com',
    'sec-websocket-version': '13',
    origin: 'https://server.example.com',
    ...change,
  };
  const lines = (name: string): readonly string[] => [fields[name] ?? []].flat();
  return {
    method: lines(':method')[0] ?? '',
    target: lines(':path')[0] ?? '',
    version: '2',
    remoteAddress: undefined,
    has: (name) => lines(name).length > 0,
    once: (name) => (lines(name).length === 1 ? lines(name)[0] : undefined),
    lines,
    list: (name) => lines(name).join(', '),
  };
}

describe('checkRequest of a request over HTTP/2', () => {
  it.each([
    { says: 'that of RFC 8441, section 5.1', change: {} },
    { says: 'one with a key', change: { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' } },
    { says: 'one with a key that is none', change: { 'sec-websocket-key': ['a', 'b'] } },
    { says: 'an equal Host', change: { host: 'Server.example.com' } },
    { says: 'U10 no Host', change: { host: undefined } },
    { says: 'Host alone', change: { host: 'a', ':authority': undefined } },
    { says: 'an empty body', change: { 'content-length': '0' } },
    { says: 'the scheme of HTTP', change: { ':scheme': 'http' } },
  ])('accepts $says', ({ change }) => {
    expect(checkRequest(streamFacts(change))).toBeUndefined();
  });

  it.each<[string, Parameters<typeof streamFacts>[0], number, RegExp]>([
    ['no authority', { ':authority': undefined }, 400, /':authority' must occur/],
    ['two authorities', { ':authority': ['a', 'b'], host: 'a' }, 400, /':authority' must occur/],
    ['U10 two authorities', { ':authority': ['a', 'a'] }, 400, /':authority' must occur/],
    ['U10 two Hosts', { host: ['a', 'a'], ':authority': undefined }, 400, /must occur/],
    ['U10 two Hosts beside it', { host: ['server.example.com', 'b'] }, 400, /differs from/],
    ['another Host', { host: 'other' }, 400, /differs from/],
    ['user info', { ':authority': 'u@h' }, 400, /valid host/],
    ['a body', { 'content-length': '1' }, 400, /has a body/],
    ['a Connection', { connection: 'upgrade' }, 400, /'Connection'/],
    ['an Upgrade', { upgrade: 'websocket' }, 400, /'Upgrade'/],
    ['another protocol', { ':protocol': 'connect-udp' }, 501, /':protocol' is not/],
    ['two protocols', { ':protocol': ['websocket', 'websocket'] }, 501, /':protocol' is not/],
    ['GET', { ':method': 'GET', ':protocol': undefined }, 405, /not CONNECT/],
    ['CONNECT to a host', { ':protocol': undefined }, 405, /':protocol' not found/],
    ['no version', { 'sec-websocket-version': undefined }, 400, /version/],
    ['two versions', { 'sec-websocket-version': ['13', '13'] }, 400, /version/],
    ['version 8', { 'sec-websocket-version': '8' }, 426, /version/],
    ['no scheme', { ':scheme': undefined }, 400, /':scheme'/],
    ['another scheme', { ':scheme': 'ftp' }, 400, /':scheme'/],
    ['no path', { ':path': undefined }, 400, /target/],
    ['a URI', { ':path': 'https://server.example.com/' }, 400, /target/],
    ['a fragment', { ':path': '/#a' }, 400, /target/],
    ['a path with a NUL', { ':path': '/%00' }, 400, /percent-encoded/],
    ['two Origins', { origin: ['http://a', 'http://a'] }, 400, /'Origin'/],
    ['bad extensions', { 'sec-websocket-extensions': 'a; b=' }, 400, /Extensions/],
  ])('refuses %s', (_, change, status, message) => {
    const refusal = checkRequest(streamFacts(change));
    expect(refusal?.status).toBe(status);
    expect(refusal?.message).toMatch(message);
    // A header of the connection cannot be sent on a stream.
    expect(refusal?.headers?.map(([name]) => name) ?? []).not.toContain('Upgrade');
  });

  it('has the rules in the order of the first table', () => {
    const words = (rules: typeof requestRules): string[] => rules.map(({ message }) => message);
    const first = words(requestRules);
    const shared = words(http2RequestRules).filter((message) => first.includes(message));
    expect(shared).toEqual(first.filter((message) => shared.includes(message)));
    expect(shared).toHaveLength(7);
  });
});
