import { type DaemonOptions, lacksDaemon, startDaemon } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BadHandshakeError, Dialer, type DialerOptions, TransportError } from '../../src/index.ts';
import { inVain } from '../leftovers.ts';
import {
  certificate,
  type RawServer,
  rawServer,
  rawTlsServer,
  type SeenRequest,
} from '../servers.ts';

/** Starts one for the length of a test, and returns its port. */
async function daemon(options: DaemonOptions): Promise<number> {
  const started = await startDaemon(options);
  onTestFinished(() => started.close());
  return started.port;
}

const tinyproxy = (...lines: string[]): Promise<number> =>
  daemon({
    command: 'tinyproxy',
    args: ({ folder }) => ['-d', '-c', `${folder}/tinyproxy.conf`],
    files: ({ port }) => ({
      'tinyproxy.conf': [
        `Port ${port}`,
        'Listen 127.0.0.1',
        'Timeout 600',
        'Allow 127.0.0.1',
        ...lines,
        '',
      ].join('\n'),
    }),
  });

const microsocks = (...args: string[]): Promise<number> =>
  daemon({
    command: 'microsocks',
    args: ({ port }) => ['-i', '127.0.0.1', '-p', String(port), ...args],
  });

/** A server that sends a frame after its 101, and records the requests. */
async function greeter(scheme: string): Promise<RawServer & { requests: string[] }> {
  const requests: string[] = [];
  const reply = (
    socket: { write(text: string, encoding: 'latin1'): unknown },
    request: SeenRequest,
  ) => {
    requests.push(request.text);
    socket.write(`${request.ok()}\x81\x02hi`, 'latin1');
  };
  return { ...(await (scheme === 'ws' ? rawServer(reply) : rawTlsServer(reply))), requests };
}

async function greeted(server: RawServer, options: DialerOptions): Promise<void> {
  const { cert: ca } = await certificate();
  const conn = await new Dialer({ ...options, tls: { ca } }).dial(`${server.url}/x`);
  expect((await conn.readMessage()).text()).toBe('hi');
  conn.terminate();
  await server.gone();
}

describe.skipIf(lacksDaemon('tinyproxy'))('a dial through tinyproxy', () => {
  it.each(['ws', 'wss'])('reaches a server (%s)', async (scheme) => {
    const server = await greeter(scheme);
    const port = await tinyproxy();
    await greeted(server, { proxy: new URL(`http://127.0.0.1:${port}`) });
    // At the start of a line: a random key may hold the letters "via".
    expect(server.requests[0]).not.toMatch(/^(?:proxy|via)/im);
  });

  it.each(['ws', 'wss'])('reaches a server with user and password (%s)', async (scheme) => {
    const server = await greeter(scheme);
    const port = await tinyproxy('BasicAuth me secret');
    await greeted(server, { proxy: new URL(`http://me:secret@127.0.0.1:${port}`) });
    expect(server.requests[0]).not.toMatch(/authorization/i);
  });

  it.each(['', 'me@', 'me:wrong@', 'you:secret@'])(
    'is refused with the credentials "%s"',
    async (userInfo) => {
      const server = await greeter('ws');
      const port = await tinyproxy('BasicAuth me secret');
      const proxy = new URL(`http://${userInfo}127.0.0.1:${port}`);
      const error = (await inVain(server.url, { proxy })) as BadHandshakeError;
      expect(error).toBeInstanceOf(BadHandshakeError);
      // It answers 401 to a wrong password and 407 to none.
      expect(error.message).toMatch(
        / answered (407 Proxy Authentication Required|401 Unauthorized), not 2xx$/,
      );
      expect(error.body.length).toBeGreaterThan(0);
      expect(error.body.length).toBeLessThanOrEqual(1024);
      expect(server.sockets).toEqual([]);
    },
  );

  it('is refused for a port that is not allowed', async () => {
    const server = await greeter('ws');
    const port = await tinyproxy('ConnectPort 443');
    const error = await inVain(server.url, { proxy: new URL(`http://127.0.0.1:${port}`) });
    expect(error).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 403 });
    expect(server.sockets).toEqual([]);
  });

  it('is refused where the client is not allowed', async () => {
    const port = await daemon({
      command: 'tinyproxy',
      args: ({ folder }) => ['-d', '-c', `${folder}/tinyproxy.conf`],
      files: (place) => ({
        'tinyproxy.conf': `Port ${place.port}\nListen 127.0.0.1\nAllow 10.0.0.1\n`,
      }),
    });
    const error = await inVain('ws://h/', { proxy: new URL(`http://127.0.0.1:${port}`) });
    expect(error).toMatchObject({ code: 'WS_ERR_BAD_HANDSHAKE', status: 403 });
  });

  it('is refused when no server listens at the target', async () => {
    const port = await tinyproxy();
    const error = await inVain('ws://127.0.0.1:1/', { proxy: new URL(`http://127.0.0.1:${port}`) });
    expect(error).toBeInstanceOf(BadHandshakeError);
    expect((error as BadHandshakeError).status).toBeGreaterThanOrEqual(500);
  });

  it('follows a redirect, each time through it', async () => {
    const server = await greeter('ws');
    const first = await rawServer((socket) => {
      socket.end(`HTTP/1.1 302 Found\r\nLocation: ${server.url}/there\r\n\r\n`);
    });
    const port = await tinyproxy();
    await greeted(
      { ...first, gone: server.gone },
      { proxy: new URL(`http://127.0.0.1:${port}`), followRedirects: 1 },
    );
    expect(server.requests[0]).toMatch(/^GET \/there /);
  });
});

describe.skipIf(lacksDaemon('microsocks'))('a dial through microsocks', () => {
  it.each(['ws', 'wss'])('reaches a server (%s)', async (scheme) => {
    const server = await greeter(scheme);
    const port = await microsocks();
    await greeted(server, { proxy: new URL(`socks5://127.0.0.1:${port}`) });
  });

  it('reaches a server by its name', async () => {
    const server = await greeter('ws');
    const port = await microsocks();
    const url = server.url.replace('127.0.0.1', 'localhost');
    await greeted({ ...server, url }, { proxy: new URL(`socks5h://127.0.0.1:${port}`) });
  });

  it.each(['ws', 'wss'])('reaches a server with user and password (%s)', async (scheme) => {
    const server = await greeter(scheme);
    const port = await microsocks('-u', 'me', '-P', 's/cret');
    await greeted(server, { proxy: new URL(`socks5://me:s%2Fcret@127.0.0.1:${port}`) });
  });

  it.each<[string, RegExp]>([
    ['', /requires a user and a password$/],
    ['me:wrong@', /refused the user and password$|broke before the proxy/],
  ])('is refused with the credentials "%s"', async (userInfo, why) => {
    const server = await greeter('ws');
    const port = await microsocks('-u', 'me', '-P', 'secret');
    const proxy = new URL(`socks5://${userInfo}127.0.0.1:${port}`);
    const error = await inVain(server.url, { proxy });
    // It resets the connection after its refusal; the reset may overtake the refusal.
    expect(error).toSatisfy(
      (e) => e instanceof TransportError || (e as BadHandshakeError).status === 407,
    );
    expect((error as Error).message).toMatch(why);
    expect(server.sockets).toEqual([]);
  });

  it('is refused when no server listens at the target', async () => {
    const port = await microsocks();
    const error = await inVain('ws://127.0.0.1:1/', {
      proxy: new URL(`socks5://127.0.0.1:${port}`),
    });
    expect(error).toMatchObject({
      message: `websocket: bad handshake: the SOCKS proxy 127.0.0.1:${port} refused 127.0.0.1:1: connection refused (reply 5)`,
      code: 'WS_ERR_BAD_HANDSHAKE',
      status: 502,
    });
  });
});
