import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, expect, it, onTestFinished } from 'vitest';
import { serve } from '../src/index.ts';
import { connectRaw, trapLeftovers, trapUncaught } from './raw.ts';

trapUncaught();
trapLeftovers();

describe('serve({ server })', () => {
  it('resolves before the server listens, and has its URL when it does', async () => {
    const http = createServer();
    const server = await serve({ server: http }, (conn) => conn.terminate());
    expect(server.url).toBe('');
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    expect(server.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
    const client = await connectRaw(Number(new URL(server.url).port));
    expect((await client.upgrade()).status).toBe(101);
    await client.closed;
    const { url } = server;
    await server.close();
    http.close();
    await once(http, 'close');
    expect(server.url).toBe(url);
  });

  it('waits for a server that it makes listen', async () => {
    const http = createServer();
    onTestFinished(() => void http.close());
    const server = await serve({ server: http, port: 0, host: '127.0.0.1' }, () => {});
    expect(http.listening).toBe(true);
    await server.close();
  });

  it('takes a server without an address', async () => {
    const http = createServer();
    http.address = () => null;
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    onTestFinished(() => void http.close());
    const server = await serve({ server: http }, () => {});
    expect(server.url).toBe('');
    await server.close();
  });
});
