// The option autoResponse of serve, Upgrader and routes, over sockets.
import { createServer } from 'node:http';
import { dial, ReconnectingConn } from '@ws/node-client';
import { type Conn, route, serve, Upgrader } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../peers/index.ts';

const host = '127.0.0.1';
const autoResponse = { request: 'ping', response: 'pong' } as const;

describe('autoResponse', () => {
  nothingLeft();

  it('answers before any handler, with compression, backpressure, a close and a new connection', async () => {
    const got: string[] = [];
    const conns: Conn[] = [];
    const server = await serve({ host, autoResponse, compression: true }, async (conn) => {
      conns.push(conn);
      await conn.receive(async (message) => {
        const text = message.text();
        got.push(text.slice(0, 5));
        // More than the socket takes: the client reads it late.
        if (text.startsWith('large')) await conn.send('x'.repeat(4_000_000), { compress: false });
      });
    });
    whenOver(() => server.close());
    const live = new ReconnectingConn(server.url, {
      minDelay: 1,
      compression: true,
      report: () => {},
    });
    whenOver(() => live.close());
    const answers: (string | number)[] = [];
    void live.receive((message) => {
      answers.push(message.length > 10 ? message.length : message.text());
    });
    await live.send('ping');
    await expect.poll(() => answers).toEqual(['pong']);
    await live.send('large');
    for (let i = 0; i < 100; i++) await live.send('ping');
    await expect.poll(() => answers.slice(0, 3)).toEqual(['pong', 4_000_000, 'pong']);
    conns[0]!.terminate();
    await expect.poll(() => conns.length).toBe(2);
    answers.length = 0;
    await live.send('ping');
    await expect.poll(() => answers).toContain('pong');
    expect(got).toEqual(['large']);
    expect(conns[0]!.stats.messagesIn).toBeGreaterThan(2);
  });

  it('belongs to one path by route, and a route replaces it', async () => {
    const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));
    const server = await serve(
      { host, autoResponse },
      { '/ours': echo, '/own': route({ autoResponse: { request: '?', response: '!' } }, echo) },
    );
    whenOver(() => server.close());
    const answers: string[] = [];
    for (const path of ['/ours', '/own']) {
      const conn = await dial(`${server.url}${path}`);
      whenOver(() => conn.close());
      for (const text of ['ping', '?']) {
        await conn.send(text);
        answers.push((await conn.readMessage()).text());
      }
    }
    expect(answers).toEqual(['pong', '?', 'ping', '!']);
  });

  it('works with an Upgrader', async () => {
    const http = createServer();
    const upgrader = new Upgrader({ autoResponse });
    http.on(
      'upgrade',
      upgrader.handler((conn) => conn.discardReads()),
    );
    await new Promise<void>((resolve) => http.listen(0, host, resolve));
    whenOver(() => void http.close());
    whenOver(() => upgrader.close());
    const { port } = http.address() as { port: number };
    const conn = await dial(`ws://${host}:${port}`);
    await conn.send('ping');
    expect((await conn.readMessage()).text()).toBe('pong');
    await conn.close();
  });

  it('names a bad value before the server listens', async () => {
    await expect(
      serve({ host, autoResponse: 'ping' as unknown as typeof autoResponse }, () => {}),
    ).rejects.toThrow('autoResponse: expected { request, response }, got string');
    expect(() => route({ autoResponse: { request: 'a' } as never }, () => {})).toThrow(
      'autoResponse.response',
    );
  });
});
