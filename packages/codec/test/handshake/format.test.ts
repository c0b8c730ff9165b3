import {
  checkRequest,
  formatRefusal,
  formatRequest,
  formatSwitching,
  RequestHead,
  ResponseHead,
} from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { KEY } from './heads.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('formatRequest', () => {
  it('writes a request that follows all rules', () => {
    const text = formatRequest('/chat?a=b', 'h:8080', KEY, {
      subprotocols: ['chat', 'superchat'],
      extensions: [{ name: 'x', params: new Map([['y', '1']]) }],
      headers: { Origin: 'http://h:8080', 'X-List': ['1', '2'], 'X-None': undefined },
    });
    const head = new RequestHead();
    expect(head.push(utf8(text))).toBe('done');
    expect(checkRequest(head)).toBeUndefined();
    expect(head.end).toBe(text.length);
    expect(head.target).toBe('/chat?a=b');
    expect(head.all()).toEqual([
      ['Host', 'h:8080'],
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Key', KEY],
      ['Sec-WebSocket-Version', '13'],
      ['Sec-WebSocket-Protocol', 'chat, superchat'],
      ['Sec-WebSocket-Extensions', 'x; y=1'],
      ['Origin', 'http://h:8080'],
      ['X-List', '1'],
      ['X-List', '2'],
    ]);
  });

  it.each<[string, () => string]>([
    ['a target with a space', () => formatRequest('/a b', 'h', KEY)],
    ['a target with a line end', () => formatRequest('/\r\nA: b', 'h', KEY)],
    ['a target with a fragment', () => formatRequest('/#a', 'h', KEY)],
    ['a target without a slash', () => formatRequest('chat', 'h', KEY)],
    ['a URI of another host', () => formatRequest('http://i/', 'h', KEY)],
    ['a host with a line end', () => formatRequest('/', 'h\r\nA: b', KEY)],
    ['an empty host', () => formatRequest('/', '', KEY)],
    ['a short key', () => formatRequest('/', 'h', 'abc')],
    ['no key', () => formatRequest('/', 'h', undefined as never)],
    ['a bad subprotocol', () => formatRequest('/', 'h', KEY, { subprotocols: ['a b'] })],
    ['a missing subprotocol', () => formatRequest('/', 'h', KEY, { subprotocols: Array(1) })],
    [
      'subprotocols in one text',
      () => formatRequest('/', 'h', KEY, { subprotocols: 'a' as never }),
    ],
    ['a repeated subprotocol', () => formatRequest('/', 'h', KEY, { subprotocols: ['a', 'a'] })],
    ['extensions with a line end', () => formatRequest('/', 'h', KEY, { extensions: 'a\r\nb: c' })],
    ['a second Host', () => formatRequest('/', 'h', KEY, { headers: { host: 'i' } })],
    ['a body', () => formatRequest('/', 'h', KEY, { headers: [['Content-Length', '1']] })],
    ['a bad name', () => formatRequest('/', 'h', KEY, { headers: { 'a b': '1' } })],
    ['a bad value', () => formatRequest('/', 'h', KEY, { headers: { a: '1\r\n' } })],
    ['a value above ASCII', () => formatRequest('/', 'h', KEY, { headers: { a: 'ü' } })],
    ['a number as a value', () => formatRequest('/', 'h', KEY, { headers: { a: 1 as never } })],
    ['no pairs', () => formatRequest('/', 'h', KEY, { headers: ['a', 'b'] as never })],
  ])('throws a TypeError for %s', (_, call) => {
    expect(call).toThrow(TypeError);
  });
});

describe.each([
  ['formatRequest', (options: object) => formatRequest('/', 'h', KEY, options)],
  ['formatSwitching', (options: object) => formatSwitching(KEY, options)],
] as const)('%s', (name, format) => {
  const known =
    name === 'formatRequest'
      ? 'subprotocols, extensions, headers'
      : 'subprotocol, extensions, headers';

  it.each<[string, object | null, string]>([
    ['an unknown option', { header: {} }, `${name}: unknown option header; did you mean headers?`],
    ['another unknown option', { foo: 1 }, `${name}: unknown option foo; known options: ${known}`],
    ['no options', null, `${name}: expected an object of options, got null`],
    [
      'extensions that are a number',
      { extensions: 5 },
      'extensions: expected an array, got number',
    ],
    [
      'an extension that is missing',
      { extensions: Array(1) },
      'extensions: expected { name, params: new Map() }, got undefined',
    ],
    [
      'an extension without parameters',
      { extensions: [{ name: 'a' }] },
      'extensions: expected { name, params: new Map() }, got Object',
    ],
  ])('throws a TypeError for %s', (_, options, message) => {
    const call = (): string => format(options as never);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
  });

  it.each([
    ['name', { name: undefined, params: new Map() }],
    ['name', { name: 'a b', params: new Map() }],
    ['parameter', { name: 'a', params: new Map([[undefined, true]]) }],
    ['value', { name: 'a', params: new Map([['b', 1]]) }],
  ])('throws a SyntaxError for a %s of an extension that is not a token', (_, extension) => {
    expect(() => format({ extensions: [extension] })).toThrow(SyntaxError);
  });
});

it('formatRequest shows no subprotocol in an error: it may be a token of a login', () => {
  expect(() => formatRequest('/', 'h', KEY, { subprotocols: ['v1', 'SECRET=='] })).toThrow(
    new TypeError('a subprotocol must be a token, not a string with other characters'),
  );
});

it('formatSwitching has one subprotocol', () => {
  expect(() => formatSwitching(KEY, { subprotocols: ['a'] } as never)).toThrow(
    'unknown option subprotocols; did you mean subprotocol?',
  );
});

describe('formatSwitching', () => {
  it('writes the response of RFC 6455, section 1.3', () => {
    const head = new ResponseHead();
    const text = formatSwitching(KEY, {
      subprotocol: 'chat',
      extensions: 'permessage-deflate',
      headers: new Map([['Set-Cookie', ['a=1', 'b=2']]]),
    });
    expect(head.push(utf8(text))).toBe('done');
    expect(head.status).toBe(101);
    expect(head.all()).toEqual([
      ['Upgrade', 'websocket'],
      ['Connection', 'Upgrade'],
      ['Sec-WebSocket-Accept', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='],
      ['Sec-WebSocket-Protocol', 'chat'],
      ['Sec-WebSocket-Extensions', 'permessage-deflate'],
      ['Set-Cookie', 'a=1'],
      ['Set-Cookie', 'b=2'],
    ]);
  });

  it.each<[string, () => string]>([
    ['a bad key', () => formatSwitching('abc')],
    ['a bad subprotocol', () => formatSwitching(KEY, { subprotocol: 'a, b' })],
    ['a header of the handshake', () => formatSwitching(KEY, { headers: { Upgrade: 'x' } })],
    ['a value with a line end', () => formatSwitching(KEY, { headers: { a: '\n' } })],
  ])('throws a TypeError for %s', (_, call) => {
    expect(call).toThrow(TypeError);
  });
});

describe('formatRefusal', () => {
  it('writes a whole response', () => {
    const text = formatRefusal(426, [['Upgrade', 'websocket']], 'grüße\n');
    const head = new ResponseHead();
    const bytes = utf8(text);
    expect(head.push(bytes)).toBe('done');
    expect(head.status).toBe(426);
    expect(head.once('upgrade')).toBe('websocket');
    expect(head.once('connection')).toBe('close, Upgrade');
    expect(Number(head.once('content-length'))).toBe(bytes.length - head.end);
  });

  it('writes an empty reason phrase for a rare status', () => {
    expect(formatRefusal(418, undefined, '')).toMatch(/^HTTP\/1\.1 418 \r\nConnection: close\r\n/);
  });

  it.each([200, 101, 204, 304, 600, 400.5, '400'])(
    'throws a RangeError for status %s',
    (status) => {
      expect(() => formatRefusal(status as number, {}, '')).toThrow(RangeError);
    },
  );

  it.each(['connection', 'Content-Length', 'CONTENT-TYPE', 'X-Content-Type-Options'])(
    'throws a TypeError for a second %s',
    (name) => {
      expect(() => formatRefusal(400, { [name]: '1' }, '')).toThrow(
        `headers: ${name} is set by the handshake`,
      );
    },
  );

  it('throws a TypeError for a wrong text', () => {
    expect(() => formatRefusal(400, {}, 1 as never)).toThrow(TypeError);
  });
});
