import { describe, expect, it } from 'vitest';
import { checkSubprotocols, type HeadersInput, makeRequest } from '../src/request.ts';
import { parseTarget } from '../src/url.ts';

const target = parseTarget('ws://example.org:8080/feed');

/** The lines of the request, without the value of the key. */
function lines(headers: HeadersInput, subprotocols: readonly string[] = []): string[] {
  const { text, key } = makeRequest(target, headers, subprotocols);
  const [first, ...others] = text.replace(key, '<key>').trimEnd().split('\r\n');
  expect(first).toBe('GET /feed HTTP/1.1');
  return others;
}

const HANDSHAKE = [
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: <key>',
  'Sec-WebSocket-Version: 13',
];

describe('makeRequest', () => {
  it('sends the request of RFC 6455, section 4.1', () => {
    expect(lines({})).toEqual(['Host: example.org:8080', ...HANDSHAKE]);
  });

  it('offers the subprotocols in their order', () => {
    expect(lines({}, ['b', 'a'])).toContain('Sec-WebSocket-Protocol: b, a');
  });

  it('makes a key of 16 random bytes, another for each request', () => {
    const a = makeRequest(target, {}, []).key;
    const b = makeRequest(target, {}, []).key;
    expect(Buffer.from(a, 'base64')).toHaveLength(16);
    expect(a).not.toBe(b);
  });

  it.each<[string, HeadersInput]>(
    // biome-ignore format: a table
    [
      ['an object', { 'X-A': '1', 'X-B': '2' }],
      ['a Headers', new Headers({ 'X-A': '1', 'X-B': '2' })],
      ['a Map', new Map([['X-A', '1'], ['X-B', '2']])],
      ['pairs', [['X-A', '1'], ['X-B', '2']]],
      ['an object with an undefined value', { 'X-A': '1', 'X-C': undefined, 'X-B': '2' }],
    ],
  )('takes headers as %s', (_, headers) => {
    const own = lines(headers)
      .slice(5)
      .map((line) => line.toLowerCase());
    expect(own).toEqual(['x-a: 1', 'x-b: 2']);
  });

  it('sends an array as several lines', () => {
    expect(lines({ 'X-A': ['1', '2'] }).slice(5)).toEqual(['X-A: 1', 'X-A: 2']);
  });

  it('replaces the Host header', () => {
    expect(lines({ hOsT: 'other.example' })).toEqual(['Host: other.example', ...HANDSHAKE]);
  });

  it('reports whether the caller gave a cookie', () => {
    expect(makeRequest(target, { cookie: 'a=b' }, []).hasCookie).toBe(true);
    expect(makeRequest(target, {}, []).hasCookie).toBe(false);
  });

  it('passes a Sec-WebSocket-Protocol header on and expects an answer to it', () => {
    const request = makeRequest(target, { 'sec-websocket-protocol': 'a,  b' }, []);
    expect(request.subprotocols).toEqual(['a', 'b']);
    expect(lines({ 'sec-websocket-protocol': 'a,  b' })).toContain('sec-websocket-protocol: a,  b');
  });

  const names = [
    'Upgrade',
    'Connection',
    'Sec-WebSocket-Key',
    'Sec-WebSocket-Version',
    'Sec-WebSocket-Extensions',
  ];
  it.each(names.flatMap((name) => [name, name.toLowerCase(), name.toUpperCase()]))(
    'refuses %s, which is its own',
    (name) => {
      const make = () => makeRequest(target, { [name]: 'x' }, []);
      expect(make).toThrow(TypeError);
      expect(make).toThrow(`headers: ${name} is the handshake's own and cannot be set`);
    },
  );

  it.each(['Content-Length', 'transfer-encoding', 'EXPECT', 'Trailer'])(
    'refuses %s, since the first frame would be taken for a body',
    (name) => {
      expect(() => makeRequest(target, { [name]: '5' }, [])).toThrow(
        `headers: ${name} cannot be set, a handshake has no body`,
      );
    },
  );

  it.each<[string, unknown, string]>([
    ['a name with a space', { 'X A': '1' }, 'X A'],
    ['an empty name', { '': '1' }, 'Header name'],
    ['a value with a line end', { 'X-A': '1\r\nHost: evil' }, 'X-A'],
    ['a value beyond Latin-1', { 'X-A': '☃' }, 'X-A'],
    ['a value that is a number', { 'X-A': 1 }, 'headers: X-A is not a string'],
    ['a value that is null', { 'X-A': null }, 'headers: X-A is not a string'],
    ['an array with a hole', { 'X-A': [undefined] }, 'headers: X-A is not a string'],
    ['two hosts', { Host: 'a', host: 'b' }, 'headers: Host is given twice'],
    ['names and values in turn', ['X-A', '1'], 'headers: expected pairs of name and value'],
    ['a string', 'X-A: 1', 'headers: expected an object or pairs'],
    ['null', null, 'headers: expected an object or pairs'],
  ])('refuses %s', (_, headers, why) => {
    const make = () => makeRequest(target, headers as HeadersInput, []);
    expect(make).toThrow(TypeError);
    expect(make).toThrow(why);
  });

  it('refuses a Sec-WebSocket-Protocol header together with the option, in any case', () => {
    expect(() => makeRequest(target, { 'sec-websocket-PROTOCOL': 'a' }, ['b'])).toThrow(
      new TypeError('headers: Sec-WebSocket-Protocol is set by the option subprotocols'),
    );
  });

  it('refuses a Sec-WebSocket-Protocol header that is not a list of tokens', () => {
    expect(() => makeRequest(target, { 'Sec-WebSocket-Protocol': 'a b' }, [])).toThrow(SyntaxError);
  });
});

describe('checkSubprotocols', () => {
  it('copies the list', () => {
    const names = ['a', 'v2.example'];
    expect(checkSubprotocols(names)).toEqual(names);
    expect(checkSubprotocols(names)).not.toBe(names);
  });

  it.each(['', 'a b', 'a,b', 'é', ' a', 'SECRET=='])(
    'refuses %j as a name, which it does not show',
    (name) => {
      expect(() => checkSubprotocols(['v1', name])).toThrow(
        new SyntaxError(
          'subprotocols: name 2 is not a token; write base64 as base64url, without =',
        ),
      );
    },
  );

  it('refuses a name that is listed twice', () => {
    expect(() => checkSubprotocols(['a', 'b', 'a'])).toThrow(
      new SyntaxError('subprotocols: name 3 is listed twice'),
    );
  });

  it.each(['chat', 5, null, [5], [undefined], new Set(['a'])])('refuses %j', (names) => {
    expect(() => checkSubprotocols(names)).toThrow(TypeError);
  });
});
