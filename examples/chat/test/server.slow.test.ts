import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { lacksDaemon, startDaemon } from '@ws/tests';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { failProgram, type Program, startProgram } from './program.ts';
import { Visitor } from './visitor.ts';

let program: Program;
beforeAll(async () => void (program = await startProgram()));
afterAll(() => program.stop());

async function echo(data: string | Uint8Array): Promise<[Buffer, boolean]> {
  const socket = new WebSocket(`${program.ws}echo`);
  await once(socket, 'open');
  socket.send(data);
  const [answer, isBinary] = await once(socket, 'message');
  socket.close();
  return [answer, isBinary];
}

async function isAlive(): Promise<boolean> {
  const [answer] = await echo('still there?');
  return program.running && answer.toString() === 'still there?';
}

/** A TCP connection that has sent `text`. */
async function raw(port: string, text: string): Promise<Socket> {
  const socket = connect(Number(port), '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return socket;
}

describe('the page of the demo', () => {
  it('has a policy that allows only its own scripts', async () => {
    const response = await fetch(program.url);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
    const policy = response.headers.get('content-security-policy');
    expect(policy).toContain(`default-src 'none'`);
    expect(policy).toMatch(/script-src 'sha256-[\w+/]{43}=' 'self';/);
    expect(policy).not.toContain('unsafe');
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    const html = await response.text();
    expect(html).not.toMatch(/\b(?:src|href)="(?!data:|#)/);
    expect(html).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write/);
  });

  it.each([
    { method: 'HEAD', path: '', status: 200 },
    { method: 'GET', path: '?from=here', status: 200 },
    { method: 'GET', path: 'websocket.js', status: 200 },
    { method: 'GET', path: 'server.ts', status: 404 },
    { method: 'GET', path: 'chat', status: 404 },
    { method: 'POST', path: '', status: 405 },
  ])('answers $method /$path with $status', async ({ method, path, status }) => {
    const response = await fetch(program.url + path, { method });
    expect(response.status).toBe(status);
    await response.arrayBuffer();
  });
});

describe('the chat of the demo', () => {
  it('sends members and messages to visitors', async () => {
    const ada = await Visitor.join(program.ws, 'Ada');
    const grace = await Visitor.join(program.ws, 'Grace');
    while (!JSON.stringify(await ada.next('room.members')).includes('Grace'));
    ada.say('hello <b>Grace</b>');
    for (const visitor of [ada, grace]) {
      expect(await visitor.next('room.message')).toMatchObject({
        from: 'Ada',
        data: { text: 'hello <b>Grace</b>' },
      });
    }
    grace.socket.close();
    while (((await ada.next('room.members'))['left'] as string[]).length === 0);
    ada.socket.terminate();
  });

  it('answers the question of a silent page', async () => {
    const visitor = await Visitor.arrive(program.ws);
    visitor.socket.send('{"jsonrpc":"2.0","id":"alive","method":"alive"}');
    expect(await visitor.answer('alive')).toMatchObject({ error: { code: -32_601 } });
    visitor.socket.close();
  });

  it.each([
    { says: 'text that is not JSON', data: '{"t":', error: -32_700 },
    { says: 'JSON that is not a request', data: '["say"]', error: -32_600 },
    { says: 'binary', data: new Uint8Array([1, 2, 3]), error: -32_600 },
  ])('answers $says with $error', async ({ data, error }) => {
    const visitor = await Visitor.arrive(program.ws);
    visitor.socket.send(data);
    expect(await visitor.answer(null)).toMatchObject({ error: { code: error } });
    visitor.socket.close();
  });

  it.each([
    { says: 'a request of 20,000 bytes', data: ' '.repeat(20_000) },
    { says: 'a message over the read limit', data: ' '.repeat(2_000_000) },
  ])('closes the connection on $says', async ({ data }) => {
    const visitor = await Visitor.arrive(program.ws);
    visitor.socket.send(data);
    expect(await visitor.closed).toMatchObject({ code: 1009 });
    expect(await isAlive()).toBe(true);
  });

  it.each([
    { says: 'a message that is too long', text: 'x'.repeat(2_001) },
    { says: 'a message of blanks', text: ' \n\t ' },
  ])('refuses $says and stays open', async ({ text }) => {
    const visitor = await Visitor.join(program.ws, 'Long');
    expect(await visitor.answer(visitor.say(text))).toMatchObject({
      error: {
        code: -32_602,
        data: { issues: [{ message: 'a message has 1 to 2000 characters' }] },
      },
    });
    expect(await visitor.answer(visitor.say('x'.repeat(2_000)))).toMatchObject({ result: null });
    visitor.socket.close();
  });

  it('slows a fast visitor down', async () => {
    const visitor = await Visitor.join(program.ws, 'Flood');
    let last = 0;
    for (let i = 0; i < 50; i++) last = visitor.say(`message ${i}`, `k${i}`);
    expect(await visitor.answer(last)).toMatchObject({ result: null });
    visitor.socket.close();
  });
});

describe.skipIf(lacksDaemon('redis-server'))('two nodes of the demo', () => {
  it('share their rooms over Redis, which keeps the history', async () => {
    const redis = await startDaemon({
      command: 'redis-server',
      args: ({ port, folder }) => ['--port', `${port}`, '--dir', folder, '--save', ''],
    });
    const env = { REDIS_URL: `redis://127.0.0.1:${redis.port}` };
    const nodes = await Promise.all([startProgram('0', env), startProgram('0', env)]);
    try {
      const ada = await Visitor.join(nodes[0].ws, 'Ada');
      const grace = await Visitor.join(nodes[1].ws, 'Grace');
      await ada.answer(ada.say('hello'));
      expect(await grace.next('room.message')).toMatchObject({ data: { text: 'hello' } });
      await nodes[1].stop();
      expect(await grace.closed).toMatchObject({ code: 1001 });
      const again = await Visitor.join(nodes[0].ws, 'Grace');
      expect(await again.next('room.message')).toMatchObject({ data: { text: 'hello' } });
    } finally {
      await Promise.all(nodes.map((node) => node.stop()));
      await redis.close();
    }
  });
});

describe('the echo of the demo', () => {
  it.each([
    { says: 'text', data: 'grüße 🌍' },
    { says: 'an empty text', data: '' },
    { says: '100,000 letters', data: 'x'.repeat(100_000) },
  ])('returns $says', async ({ data }) => {
    const [answer, isBinary] = await echo(data);
    expect([answer.toString() === data, isBinary]).toEqual([true, false]);
  });

  it('returns binary', async () => {
    const data = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
    const [answer, isBinary] = await echo(data);
    expect([answer.equals(data), isBinary]).toEqual([true, true]);
  });
});

describe('the server of the demo', () => {
  it('refuses a WebSocket for an unknown path', async () => {
    const socket = new WebSocket(`${program.ws}elsewhere`);
    const [request, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(404);
    request.destroy();
    expect(await isAlive()).toBe(true);
  });

  it('refuses a WebSocket that a page of another origin opens', async () => {
    const socket = new WebSocket(`${program.ws}chat`, { origin: 'https://example.org' });
    const [request, response] = await once(socket, 'unexpected-response');
    expect(response.statusCode).toBe(403);
    request.destroy();
  });

  it.each([
    { says: 'bytes that are not HTTP', bytes: 'hello?\r\n\r\n' },
    { says: 'a request without Host', bytes: 'GET / HTTP/1.1\r\n\r\n' },
    {
      says: 'a handshake without a key',
      bytes:
        'GET /chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n',
    },
  ])('answers $says with 400', async ({ bytes }) => {
    const socket = await raw(program.port, bytes);
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1\.1 400 /);
    socket.destroy();
    expect(await isAlive()).toBe(true);
  });

  it.each(['SIGTERM', 'SIGINT'] as const)(
    'ends on %s: 1001 to everyone, exit code 0',
    async (signal) => {
      const own = await startProgram();
      const ada = await Visitor.join(own.ws, 'Ada');
      const grace = await Visitor.join(own.ws, 'Grace');
      const nameless = await Visitor.arrive(own.ws);
      const idle = [await raw(own.port, 'GET / HT'), await raw(own.port, '')];
      const exit = own.stop(signal);
      for (const { closed } of [ada, grace, nameless]) {
        expect(await closed).toMatchObject({ code: 1001 });
      }
      expect(await exit).toBe(0);
      for (const socket of idle) socket.destroy();
    },
  );

  it('does not wait for a peer that sends no close frame', async () => {
    const own = await startProgram();
    const silent = await raw(
      own.port,
      'GET /echo HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await once(silent, 'data');
    expect(await own.stop()).toBe(0);
    silent.destroy();
  });

  it('reports a port that is in use or invalid', async () => {
    expect(await failProgram({ PORT: program.port })).toEqual({
      says: expect.stringContaining(`port: ${program.port} is in use`),
      code: 1,
    });
    expect(await failProgram({ PORT: 'http' })).toEqual({
      says: 'port: expected 0 to 65535, got NaN',
      code: 1,
    });
  });
});
