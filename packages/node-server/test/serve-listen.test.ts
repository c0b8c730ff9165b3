import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { newSelfSigned, selfSigned } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ServeOptions, serve, type WsServer } from '../src/index.ts';
import { connectRaw, serving, trapLeftovers } from './raw.ts';

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

describe('the address of serve', () => {
  it('takes more options of listen', async () => {
    const server = await serve({ listen: { host: '127.0.0.1', port: 0, backlog: 5 } }, () => {});
    expect(server.url).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
    expect(server.http.listening).toBe(true);
    await server.close();
  });

  it('takes the path of a Unix socket in listen', async () => {
    const path = join(await mkdtemp(join(tmpdir(), 'ws-')), 'a.sock');
    const server = await serve({ listen: { path, backlog: 5 } }, () => {});
    expect(server.http.address()).toBe(path);
    await server.close();
  });

  it.each<[string, ServeOptions, RegExp]>(
    // biome-ignore format: a table
    [
      ['an empty path', { socketPath: '' }, /^socketPath: expected a path/],
      ['a NUL in a path', { socketPath: '/tmp/a\0b' }, /^socketPath: expected a path/],
      ['a long path in listen', { listen: { path: `/tmp/${'a'.repeat(120)}` } }, /^listen.path: expected at most 107 bytes, got 125/],
      ['a path and a port in listen', { socketPath: '/tmp/a', listen: { port: 0 } }, /^socketPath: a Unix socket has neither port nor host/],
      ['a port and a path in listen', { port: 0, listen: { path: '/tmp/a' } }, /^listen.path: a Unix socket has neither port nor host/],
      ['a port in listen', { listen: { port: 99_999 } }, /^listen.port: expected 0 to 65535/],
      ['close without options', { close: null as never }, /^close: expected an object/],
    ],
  )('rejects %s', async (_, options, message) => {
    const outcome = await serve(options, () => {}).catch((error: unknown) => error);
    if (!(outcome instanceof Error)) await (outcome as WsServer).close();
    expect(outcome).toMatchObject({ message: expect.stringMatching(message) });
  });

  it('names the port that is in use, and the cure', async () => {
    const first = await serve({ host: '127.0.0.1' }, () => {});
    const port = Number(new URL(first.url).port);
    await expect(serve({ host: '127.0.0.1', port }, () => {})).rejects.toMatchObject({
      code: 'EADDRINUSE',
      message: expect.stringMatching(new RegExp(`^port: ${port} is in use; end the process`)),
    });
    await first.close();
  });
});

describe('reload', () => {
  /** The certificate that a new client gets, as text. */
  async function certificateOf(url: string): Promise<string> {
    const socket = tls.connect({
      port: Number(new URL(url).port),
      host: '127.0.0.1',
      rejectUnauthorized: false,
    });
    await once(socket, 'secureConnect');
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  }

  it('replaces the certificate for new connections', async () => {
    const { key, cert } = await selfSigned();
    const server = await serving({ tls: { key, cert } }, () => {});
    const before = await certificateOf(server.url);
    const other = await newSelfSigned();
    server.reload(other);
    const after = await certificateOf(server.url);
    expect(after).not.toBe(before);
    expect(after).toBe(new X509Certificate(other.cert).fingerprint256);
  });

  it.each(['own', 'given'])(
    'keeps the certificate when the new one is invalid, and the other options (%s server)',
    async (whose) => {
      const { key, cert } = await selfSigned();
      const options = { key, cert, minVersion: 'TLSv1.3' } as const;
      const http = whose === 'own' ? undefined : createTlsServer(options);
      const secure = http === undefined ? { tls: options } : { server: http };
      const server = await serve({ host: '127.0.0.1', ...secure }, () => {});
      onTestFinished(async () => {
        await server.close();
        http?.close();
      });
      const before = await certificateOf(server.url);
      expect(() => server.reload({ key: 'no key', cert })).toThrow();
      expect(() => server.reload({})).toThrow(/^tls: has no certificate/);
      const callback = { SNICallback: () => {} };
      expect(() => server.reload(callback as object)).toThrow(
        /^reload: SNICallback and pskCallback cannot/,
      );
      expect(await certificateOf(server.url)).toBe(before);
      server.reload({ key, cert, minVersion: undefined });
      const old = tls.connect({
        port: Number(new URL(server.url).port),
        host: '127.0.0.1',
        rejectUnauthorized: false,
        maxVersion: 'TLSv1.2',
      });
      const [error] = (await once(old, 'error')) as [Error & { code: string }];
      expect(error.code).toContain('PROTOCOL_VERSION');
    },
  );

  it('is a TypeError on a server without TLS', async () => {
    const server = await serve({ host: '127.0.0.1' }, () => {});
    expect(() => server.reload({})).toThrow(/^reload: the server has no TLS/);
    await server.close();
  });
});
