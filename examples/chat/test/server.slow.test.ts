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
    const [ada, first] = await Visitor.join(program.ws, 'Ada');
    expect(first.people).toEqual([{ id: first.you, name: 'Ada' }]);
    const [grace, second] = await Visitor.join(program.ws, 'Grace');
    const newcomer = { id: second.you, name: 'Grace' };
    expect(second.people).toEqual([...first.people, newcomer]);
    expect(await ada.next('joined')).toEqual({ t: 'joined', person: newcomer });

    ada.say('hello <b>Grace</b>');
    for (const visitor of [ada, grace]) {
      expect(await visitor.next('said')).toMatchObject({ name: 'Ada', text: 'hello <b>Grace</b>' });
    }
    grace.send({ t: 'name', name: 'ada' });
    const person = { id: second.you, name: 'ada 2' };
    expect(await ada.next('renamed')).toEqual({ t: 'renamed', person });
    grace.say('hello');
    expect(await ada.next('said')).toMatchObject({ name: 'ada 2', text: 'hello' });

    grace.socket.close();
    expect(await ada.next('left')).toEqual({ t: 'left', id: second.you });
    ada.socket.terminate();
  });

  it('answers the ping of a page', async () => {
    const visitor = await Visitor.arrive(program.ws);
    visitor.send({ t: 'ping', n: 12.5 });
    expect(await visitor.next('pong')).toEqual({ t: 'pong', n: 12.5 });
    visitor.socket.close();
  });

  it.each([
    { says: 'text that is not JSON', data: '{"t":', code: 1008 },
    { says: 'JSON that is not a request', data: '["say"]', code: 1008 },
    { says: 'a request without its fields', data: '{"t":"say","text":"x"}', code: 1008 },
    { says: 'a message before the name', data: '{"t":"say","key":"k","text":"x"}', code: 1008 },
    { says: 'binary', data: new Uint8Array([1, 2, 3]), code: 1003 },
    { says: 'a request of 20,000 bytes', data: ' '.repeat(20_000), code: 1009 },
    { says: 'a message over the read limit', data: ' '.repeat(2_000_000), code: 1009 },
  ])('closes the connection on $says, and sends it to no visitor', async ({ data, code }) => {
    const [witness] = await Visitor.join(program.ws, 'Witness');
    const visitor = await Visitor.arrive(program.ws);
    visitor.socket.send(data);
    expect(await visitor.closed).toMatchObject({ code });
    witness.say('did anything come?');
    expect(await witness.next('said')).toMatchObject({ text: 'did anything come?' });
    witness.socket.close();
    await witness.closed;
    expect(await isAlive()).toBe(true);
  });

  it.each([
    { says: 'a message that is too long', text: 'x'.repeat(2_001) },
    { says: 'a message of blanks', text: ' \n\t ' },
  ])('refuses $says and stays open', async ({ text }) => {
    const [visitor] = await Visitor.join(program.ws, 'Long');
    visitor.say(text, 'mine');
    expect(await visitor.next('refused')).toEqual({
      t: 'refused',
      key: 'mine',
      reason: 'a message has 1 to 2000 characters',
    });
    visitor.say('x'.repeat(2_000));
    expect((await visitor.next('said')).text).toHaveLength(2_000);
    visitor.socket.close();
  });

  it('refuses an empty name, and accepts the next one', async () => {
    const visitor = await Visitor.arrive(program.ws);
    visitor.send({ t: 'name', name: '\u200b ' });
    expect(await visitor.next('refused')).toMatchObject({
      reason: 'a name has 1 to 32 characters',
    });
    visitor.send({ t: 'name', name: 'Somebody' });
    expect(await visitor.next('welcome')).toBeDefined();
    visitor.socket.close();
  });

  it('refuses requests of a fast visitor, and then closes the connection', async () => {
    const [visitor] = await Visitor.join(program.ws, 'Flood');
    for (let i = 0; i < 500; i++) visitor.say(`message ${i}`, `k${i}`);
    expect(await visitor.next('refused')).toMatchObject({ reason: 'too fast; wait a moment' });
    expect(await visitor.closed).toEqual({ code: 1008, reason: 'too many requests' });
    expect(await isAlive()).toBe(true);
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
      const [ada, first] = await Visitor.join(nodes[0].ws, 'Ada');
      const [grace, second] = await Visitor.join(nodes[1].ws, 'Grace');
      expect(first.node).not.toBe(second.node);
      // The subscription of a node may arrive after the first messages.
      let received: unknown;
      void grace.next('said').then((said) => (received = said));
      await expect
        .poll(
          () => {
            ada.say('hello');
            return received;
          },
          { interval: 300 },
        )
        .toMatchObject({ name: 'Ada', text: 'hello' });
      await nodes[1].stop();
      expect(await grace.closed).toMatchObject({ code: 1001 });
      const [, { history }] = await Visitor.join(nodes[0].ws, 'Grace');
      expect(history[0]).toMatchObject({ name: 'Ada', text: 'hello' });
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
      const [ada] = await Visitor.join(own.ws, 'Ada');
      const [grace] = await Visitor.join(own.ws, 'Grace');
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
      says: `port ${program.port} is in use; set PORT to another, or to 0 for any`,
      code: 1,
    });
    expect(await failProgram({ PORT: 'http' })).toEqual({
      says: 'PORT: expected 0 to 65535, got "http"',
      code: 1,
    });
  });
});
