import type { IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HandshakeError, isWebSocketUpgrade, subprotocols, Upgrader } from '../src/index.ts';
import { exchange, KEY, request, TestServer, trapLeftovers } from './raw.ts';

trapLeftovers();

const FRAME = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]);

describe('an upgrade request', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await new TestServer(new Upgrader()).listen();
  });
  afterAll(() => server.close());

  it.each([
    { says: 'HTTP/1.0', change: { line: 'GET / HTTP/1.0' }, status: 400 },
    { says: 'POST', change: { line: 'POST / HTTP/1.1' }, status: 405 },
    { says: 'version 8', change: { set: ['Sec-WebSocket-Version: 8'] }, status: 426 },
    { says: 'a foreign origin', change: { add: ['Origin: https://evil.example'] }, status: 403 },
  ])('with $says rejects with a HandshakeError after the answer', async ({ change, status }) => {
    const before = server.outcomes.length;
    const next = 'GET /admin HTTP/1.1\r\nHost: server.example.com\r\n\r\n';
    const answer = await exchange(server.port, request({ ...change, behind: next }));
    expect(answer.status).toBe(status);
    expect(server.served).toEqual([]);
    const outcome = await server.outcome(before);
    expect(outcome).toBeInstanceOf(HandshakeError);
    expect(outcome).toMatchObject({ status, code: 'WS_ERR_HANDSHAKE', name: 'HandshakeError' });
    // The message may end with the cure.
    expect((outcome as Error).message).toContain(`websocket: ${status}: ${answer.body.trimEnd()}`);
  });

  it.each(
    // biome-ignore format: a table
    [
      { first: 'HTTP/1.0', before: 'no Host', change: { line: 'GET / HTTP/1.0', without: ['host'] }, text: /HTTP\/1\.1/ },
      { first: 'no Host', before: 'a body', change: { without: ['host'], add: ['Content-Length: 1'] }, text: /Host/ },
      { first: 'a body', before: 'no websocket', change: { without: ['upgrade'], add: ['Upgrade: x', 'Content-Length: 1'] }, text: /body/ },
      {
        first: 'no websocket',
        before: 'POST',
        change: { line: 'POST / HTTP/1.1', without: ['upgrade'], add: ['Upgrade: x'] },
        text: /'Upgrade'/,
      },
      { first: 'POST', before: 'no version', change: { line: 'POST / HTTP/1.1', without: ['sec-websocket-version'] }, text: /GET/ },
      {
        first: 'no version',
        before: 'a target of another host',
        change: {
          line: 'GET http://elsewhere.example/ HTTP/1.1',
          without: ['sec-websocket-version'],
        },
        text: /version/,
      },
      {
        first: 'a target of another host',
        before: 'a foreign origin',
        change: {
          line: 'GET http://elsewhere.example/ HTTP/1.1',
          add: ['Origin: https://evil.example'],
        },
        text: /target/,
      },
      { first: 'no version', before: 'a foreign origin', change: { without: ['sec-websocket-version'], add: ['Origin: https://evil.example'] }, text: /version/ },
      { first: 'a foreign origin', before: 'a bad key', change: { without: ['sec-websocket-key'], add: ['Origin: https://evil.example'] }, text: /origin/ },
      { first: 'a bad key', before: 'bad extensions', change: { without: ['sec-websocket-key'], add: ['Sec-WebSocket-Extensions: "'] }, text: /Key/ },
      { first: 'bad extensions', before: 'bad subprotocols', change: { add: ['Sec-WebSocket-Protocol: a b', 'Sec-WebSocket-Extensions: "'] }, text: /Extensions/ },
    ],
  )('names $first before $before', async ({ change, text }) => {
    const answer = await exchange(server.port, request(change));
    expect(answer.body).toMatch(text);
  });

  it('that Node reads as a plain request stays plain', async () => {
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
  ])('is reported by isWebSocketUpgrade and subprotocols: $says', async ({ change, is, names }) => {
    const { body } = await exchange(server.port, request(change));
    expect(JSON.parse(body)).toEqual([is, names]);
  });

  it('is reported for a request that has no rawHeaders', () => {
    const headers = {
      connection: 'keep-alive, Upgrade',
      upgrade: 'WebSocket',
      'sec-websocket-protocol': 'a, b',
    };
    const req = { headers } as unknown as IncomingMessage;
    expect([isWebSocketUpgrade(req), subprotocols(req)]).toEqual([true, ['a', 'b']]);
    expect(isWebSocketUpgrade({ headers: {} } as IncomingMessage)).toBe(false);
  });
});

it('refuses an empty Transfer-Encoding, as newer parsers of node:http do', async () => {
  const server = await new TestServer(new Upgrader()).listen();
  const answer = await exchange(server.port, request({ add: ['Transfer-Encoding:'] }));
  expect(answer.status).toBe(400);
  expect(server.served).toEqual([]);
  await server.close();
});

describe('a server whose parser bounds headers', () => {
  it('answers 400 when it may hide required headers', async () => {
    const server = await new TestServer(new Upgrader()).listen();
    server.http.maxHeadersCount = 3;
    const [line, ...usual] = request().toString().trimEnd().split('\r\n');
    const many = Array.from({ length: 100 }, (_, i) => `X${i}: 1`);
    const bytes = Buffer.from([line, ...many, ...usual, '', ''].join('\r\n'));
    const answer = await exchange(server.port, bytes);
    // Newer versions of node:http answer 431 themselves.
    expect([400, 431]).toContain(answer.status);
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
    // Newer versions of node:http answer themselves, without a body.
    expect(answer.body).toMatch(/^$|1000 header lines or more/);
    await server.close();
  });

  it('sees all lines when its owner sets no bound', async () => {
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
