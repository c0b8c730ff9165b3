import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HandshakeError, isWebSocketUpgrade, subprotocols, Upgrader } from '../src/index.ts';
import { exchange, KEY, type RequestChange, request, TestServer, trapUncaught } from './raw.ts';

trapUncaught();

interface Fault extends RequestChange {
  says: string;
  status: number;
  /** What the text of the answer contains. */
  text: RegExp;
  headers?: Record<string, string>;
}

const FRAME = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);
const VERSION = { upgrade: 'websocket', 'sec-websocket-version': '13' };
const twice = (line: string): readonly string[] => [line];

const FAULTS: readonly Fault[] = [
  { says: 'HTTP/1.0', line: 'GET / HTTP/1.0', status: 400, text: /HTTP\/1\.1/ },
  { says: 'no Host', without: ['host'], status: 400, text: /Host/ },
  { says: 'two Hosts', add: twice('Host: server.example.com'), status: 400, text: /Host/ },
  ...[
    '',
    ' ',
    'a b',
    'a/b',
    'a@b',
    'a, b',
    'a:99999',
    'a:b',
    '[::1',
    '\x80',
    'a\tb',
    'a?b',
    'a#b',
  ].map(
    (host): Fault => ({
      says: `the Host ${JSON.stringify(host)}`,
      without: ['host'],
      add: [`Host: ${host}`],
      status: 400,
      text: /'Host' header is no host/,
    }),
  ),
  ...[
    '*',
    'http://elsewhere.example/',
    'http://server.example.com:80/',
    'http://',
    'http:///chat',
  ].map(
    (target): Fault => ({
      says: `the target ${target}`,
      line: `GET ${target} HTTP/1.1`,
      status: 400,
      text: /target/,
    }),
  ),
  {
    says: 'a body by length',
    add: ['Content-Length: 8'],
    behind: FRAME,
    status: 400,
    text: /body/,
  },
  {
    says: 'a chunked body',
    add: ['Transfer-Encoding: chunked'],
    behind: '0\r\n\r\n',
    status: 400,
    text: /body/,
  },
  {
    says: 'a foreign protocol',
    without: ['upgrade'],
    add: ['Upgrade: h2c'],
    status: 426,
    text: /Upgrade/,
    headers: { upgrade: 'websocket' },
  },
  {
    says: 'a longer token',
    without: ['upgrade'],
    add: ['Upgrade: websockets'],
    status: 426,
    text: /Upgrade/,
  },
  {
    says: 'two words in a token',
    without: ['upgrade'],
    add: ['Upgrade: x websocket'],
    status: 426,
    text: /Upgrade/,
  },
  { says: 'POST', line: 'POST / HTTP/1.1', status: 405, text: /GET/, headers: { allow: 'GET' } },
  { says: 'no version', without: ['sec-websocket-version'], status: 400, text: /version/ },
  { says: 'two versions', add: twice('Sec-WebSocket-Version: 13'), status: 400, text: /version/ },
  ...['7', '8', '14', '13a', '013', '8, 13', ''].map(
    (version): Fault => ({
      says: `version "${version}"`,
      without: ['sec-websocket-version'],
      add: [`Sec-WebSocket-Version: ${version}`],
      status: 426,
      text: /version/,
      headers: VERSION,
    }),
  ),
  { says: 'a foreign origin', add: ['Origin: https://evil.example'], status: 403, text: /origin/ },
  {
    says: 'a repeated origin',
    add: ['Origin: https://server.example.com', 'Origin: https://server.example.com'],
    status: 400,
    text: /Origin/,
  },
  { says: 'no key', without: ['sec-websocket-key'], status: 400, text: /Sec-WebSocket-Key/ },
  {
    says: 'two keys',
    add: twice('Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='),
    status: 400,
    text: /Sec-WebSocket-Key/,
  },
  ...[
    '',
    'dGhlIHNhbXBsZSBub25j',
    'dGhlIHNhbXBsZSBub25jZQ',
    'dGhlIHNhbXBsZSBub25jZR==',
    'dGhlIHNhbXBsZSBub25jZWU=',
    'dGhlIHNhbXBsZSBub25*ZQ==',
  ].map(
    (key): Fault => ({
      says: `the key "${key}"`,
      without: ['sec-websocket-key'],
      add: [`Sec-WebSocket-Key: ${key}`],
      status: 400,
      text: /Sec-WebSocket-Key/,
    }),
  ),
  {
    says: 'a malformed subprotocol',
    add: [`Sec-WebSocket-Protocol: b${' '.repeat(15_000)}x`],
    status: 400,
    text: /Sec-WebSocket-Protocol/,
  },
  {
    says: 'a malformed extension',
    add: [`Sec-WebSocket-Extensions: a; b="${'\\c'.repeat(7000)}`],
    status: 400,
    text: /Sec-WebSocket-Extensions/,
  },
  {
    says: 'too many extensions',
    add: [`Sec-WebSocket-Extensions: ${'permessage-deflate,'.repeat(200)}`],
    status: 400,
    text: /Sec-WebSocket-Extensions/,
  },
];

describe('an upgrade request', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await new TestServer(new Upgrader()).listen();
  });
  afterAll(() => server.close());

  it.each(FAULTS)(
    'with $says is refused with $status',
    async ({ status, text, headers, ...change }) => {
      const before = server.outcomes.length;
      const next = 'GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n';
      const bytes = Buffer.concat([request(change), Buffer.from(next)]);
      const answer = await exchange(server.port, bytes);
      expect(answer.status).toBe(status);
      const connection = answer.headers.has('upgrade') ? 'close, Upgrade' : 'close';
      expect(answer.headers.get('connection')).toBe(connection);
      expect(answer.headers.get('content-type')).toBe('text/plain; charset=utf-8');
      expect(answer.body).toMatch(text);
      expect(answer.body.length).toBeLessThan(160);
      expect(answer.headers.get('content-length')).toBe(String(answer.body.length));
      for (const [name, value] of Object.entries(headers ?? {})) {
        expect(answer.headers.get(name)).toBe(value);
      }
      // One answer, and what stood behind the request is never served.
      expect(answer.raw.split('HTTP/1.1 ').length).toBe(2);
      expect(server.served).toEqual([]);
      const outcome = await server.outcome(before);
      expect(outcome).toBeInstanceOf(HandshakeError);
      expect(outcome).toMatchObject({ status, code: 'WS_ERR_HANDSHAKE', name: 'HandshakeError' });
      expect((outcome as Error).message).toMatch(/^websocket: /);
    },
  );

  it.each([
    {
      first: 'HTTP/1.0',
      before: 'no Host',
      change: { line: 'GET / HTTP/1.0', without: ['host'] },
      text: /HTTP\/1\.1/,
    },
    {
      first: 'no Host',
      before: 'a body',
      change: { without: ['host'], add: ['Content-Length: 1'] },
      text: /Host/,
    },
    {
      first: 'a body',
      before: 'no websocket',
      change: { without: ['upgrade'], add: ['Upgrade: x', 'Content-Length: 1'] },
      text: /body/,
    },
    {
      first: 'no websocket',
      before: 'POST',
      change: { line: 'POST / HTTP/1.1', without: ['upgrade'], add: ['Upgrade: x'] },
      text: /'Upgrade'/,
    },
    {
      first: 'POST',
      before: 'no version',
      change: { line: 'POST / HTTP/1.1', without: ['sec-websocket-version'] },
      text: /GET/,
    },
    {
      first: 'no version',
      before: 'a foreign origin',
      change: { without: ['sec-websocket-version'], add: ['Origin: https://evil.example'] },
      text: /version/,
    },
    {
      first: 'a foreign origin',
      before: 'a bad key',
      change: { without: ['sec-websocket-key'], add: ['Origin: https://evil.example'] },
      text: /origin/,
    },
    {
      first: 'a bad key',
      before: 'bad subprotocols',
      change: { without: ['sec-websocket-key'], add: ['Sec-WebSocket-Protocol: a b'] },
      text: /Key/,
    },
    {
      first: 'bad subprotocols',
      before: 'bad extensions',
      change: { add: ['Sec-WebSocket-Protocol: a b', 'Sec-WebSocket-Extensions: "'] },
      text: /Protocol/,
    },
  ])('names $first before $before', async ({ change, text }) => {
    const answer = await exchange(server.port, request(change));
    expect(answer.body).toMatch(text);
  });

  it('that Node takes for a plain one stays a plain one', async () => {
    const answer = await exchange(
      server.port,
      request({ without: ['connection'], add: ['Connection: close'] }),
    );
    expect(answer.body).toContain('served');
    expect(server.served.splice(0)).toEqual(['GET /chat']);
  });
});

describe('an upgrade request', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await new TestServer(
      (_req: IncomingMessage, socket: { end(text: string): void }, _head: Buffer) => {
        socket.end(
          `HTTP/1.1 200 OK\r\n\r\n${JSON.stringify([isWebSocketUpgrade(_req), subprotocols(_req)])}`,
        );
      },
    ).listen();
  });
  afterAll(() => server.close());

  it.each([
    {
      says: 'mixed case',
      change: {
        without: ['upgrade', 'connection'],
        add: ['Upgrade: WebSocket', 'Connection: keep-alive, uPGRADE'],
      },
      is: true,
      names: [],
    },
    {
      says: 'lists over several lines',
      change: {
        without: ['upgrade', 'connection'],
        add: [
          'Connection: keep-alive',
          'Upgrade: foo/2',
          'Upgrade: websocket',
          'Connection: Upgrade',
          'Sec-WebSocket-Protocol: a',
          'Sec-WebSocket-Protocol: b, c',
        ],
      },
      is: true,
      names: ['a', 'b', 'c'],
    },
    {
      says: 'another protocol',
      change: { without: ['upgrade'], add: ['Upgrade: h2c', 'Sec-WebSocket-Protocol: a b'] },
      is: false,
      names: [],
    },
  ])('is told by isWebSocketUpgrade and subprotocols: $says', async ({ change, is, names }) => {
    const { body } = await exchange(server.port, request(change));
    expect(JSON.parse(body)).toEqual([is, names]);
  });
});

describe('a server whose parser bounds headers', () => {
  it('answers 400 when it hides those that are needed', async () => {
    const server = await new TestServer(new Upgrader()).listen();
    server.http.maxHeadersCount = 3;
    const [line, ...usual] = request().toString().trimEnd().split('\r\n');
    const many = Array.from({ length: 100 }, (_, i) => `X${i}: 1`);
    const bytes = Buffer.from([line, ...many, ...usual, '', ''].join('\r\n'));
    const answer = await exchange(server.port, bytes);
    expect(answer.status).toBe(400);
    expect(server.served).toEqual([]);
    await server.close();
  });

  it.each([
    { says: 'a body', hidden: 'Content-Length: 8', behind: FRAME },
    { says: 'a foreign origin', hidden: 'Origin: https://evil.example', behind: '' },
    { says: 'a second key', hidden: `Sec-WebSocket-Key: ${KEY}`, behind: '' },
    { says: 'nothing', hidden: 'X: y', behind: '' },
  ])('answers 431 to a flood that may hide $says', async ({ hidden, behind }) => {
    const server = await new TestServer(new Upgrader()).listen();
    const add = [...Array.from({ length: 1100 }, () => 'a:b'), hidden];
    const answer = await exchange(server.port, request({ add, behind }));
    expect(answer.status).toBe(431);
    expect(answer.body).toContain('1000 header lines or more');
    await server.close();
  });

  it('sees all lines where its owner sets no bound', async () => {
    const server = await new TestServer(new Upgrader()).listen();
    server.http.maxHeadersCount = 0;
    const add = [...Array.from({ length: 1100 }, () => 'a:b'), 'Content-Length: 8'];
    const answer = await exchange(server.port, request({ add, behind: FRAME }));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain('body');
    await server.close();
  });

  it('answers 431 to a giant one', async () => {
    const server = await new TestServer(new Upgrader()).listen();
    const answer = await exchange(server.port, request({ add: [`X-Big: ${'x'.repeat(20_000)}`] }));
    expect(answer.status).toBe(431);
    await server.close();
  });

  it.each(['\0', '\r', '\n '])('answers 400 to %j in a value', async (char) => {
    const server = await new TestServer(new Upgrader()).listen();
    const answer = await exchange(server.port, request({ add: [`X-A: a${char}b`] }));
    expect(answer.status).toBe(400);
    await server.close();
  });
});

describe('Upgrader.upgrade', () => {
  it('refuses with 400 a request without the upgrade headers that is handed to it', async () => {
    const upgrader = new Upgrader();
    const errors: unknown[] = [];
    const server = await new TestServer(new Upgrader(), (req) => {
      upgrader
        .upgrade(req, req.socket, Buffer.alloc(0))
        .catch((error: unknown) => errors.push(error));
    }).listen();
    const answer = await exchange(server.port, Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
    expect(answer.status).toBe(400);
    expect(answer.body).toContain("'upgrade' token not found in 'Connection' header");
    expect(errors).toMatchObject([{ status: 400 }]);
    await server.close();
  });
});
