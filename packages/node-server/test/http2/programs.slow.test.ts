// Reverse proxies in front, and clients in other runtimes. Each connection is a stream of our server.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import type { CloseInfo, Conn } from '@ws/conn';
import { dial } from '@ws/node-client';
import {
  type DaemonOptions,
  lacksDaemon,
  nothingLeft,
  selfSigned,
  startDaemon,
  whenOver,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type ServeOptions, serve } from '../../src/index.ts';
import { open, sessionWith } from './client.ts';

const run = promisify(execFile);
// The shell of this repository's npm scripts has a relative path, npm works in the folder of the
// command that runs the tests, and npx checks engines against this Node instead of the one it installs.
const {
  npm_config_script_shell: _shell,
  npm_config_local_prefix: _prefix,
  npm_config_engine_strict: _strict,
  ...env
} = process.env;

interface Ours {
  readonly port: number;
  /** Version of HTTP of each request. */
  readonly versions: string[];
  /** How the first connection ended. */
  readonly closed: Promise<CloseInfo>;
}

/** Starts our echo server, which ends with the test. */
async function ours(options: ServeOptions): Promise<Ours> {
  const versions: string[] = [];
  let resolve!: (info: CloseInfo) => void;
  const closed = new Promise<CloseInfo>((done) => {
    resolve = done;
  });
  const echo = (conn: Conn, req: IncomingMessage): Promise<unknown> => {
    versions.push(req.httpVersion);
    void conn.closed.then(resolve);
    return conn.receive((message) => conn.send(message));
  };
  const server = await serve({ host: '127.0.0.1', ...options }, echo as never);
  whenOver(() => server.close({ timeout: 1_000 }));
  return { port: (server.http.address() as AddressInfo).port, versions, closed };
}

const HAPROXY = `
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
`;

/** Proxies that speak HTTP/2 to port `backend` and both versions to clients. */
const PROXIES: Readonly<Record<string, (backend: number) => Omit<DaemonOptions, 'command'>>> = {
  haproxy: (backend) => ({
    args: () => ['-db', '-f', 'haproxy.cfg'],
    ports: 2,
    files: ({ ports: [http1, http2] }) => ({
      'haproxy.cfg': `${HAPROXY}
frontend in
  bind 127.0.0.1:${http1}
  bind 127.0.0.1:${http2} proto h2
  default_backend app
backend app
  server one 127.0.0.1:${backend} proto h2
`,
    }),
  }),
  nghttpx: (backend) => ({
    // One port for both versions.
    args: ({ ports }) => [
      '--single-process',
      '--conf=/dev/null',
      ...ports.map((port) => `--frontend=127.0.0.1,${port};no-tls`),
      `--backend=127.0.0.1,${backend};;proto=h2`,
    ],
    ports: 2,
  }),
};

/** A connection echoes, and ends cleanly at both ends. */
async function echoes(conn: Conn, { versions, closed }: Ours): Promise<void> {
  for (const data of ['hello', new Uint8Array(200_000).fill(7)]) {
    const sent = conn.send(data);
    const message = await conn.readMessage();
    await sent;
    expect(Buffer.compare(message.data, Buffer.from(data))).toBe(0);
  }
  expect(await conn.close(4001, 'done')).toMatchObject({ code: 4001, wasClean: true });
  expect(await closed).toMatchObject({ code: 4001, reason: 'done', wasClean: true });
  expect(versions).toEqual(['2.0']);
}

describe.each(Object.entries(PROXIES))('serve with http2 behind %s', (command, options) => {
  describe.skipIf(lacksDaemon(command))('', () => {
    nothingLeft();

    async function proxied(): Promise<{ server: Ours; http1: string; http2: string }> {
      const server = await ours({ http2: 'clear', readLimit: 1024 * 1024 });
      const daemon = await startDaemon({ command, ...options(server.port) });
      whenOver(() => daemon.close());
      const [http1, http2] = daemon.ports.map((port) => `ws://127.0.0.1:${port}`);
      return { server, http1: http1!, http2: http2! };
    }

    it('echoes for a client of HTTP/1.1', async () => {
      const { server, http1 } = await proxied();
      await echoes(await dial(http1, { readLimit: 1024 * 1024 }), server);
    });

    it('echoes for a client of HTTP/2', async () => {
      const { server, http2 } = await proxied();
      const session = await sessionWith(http2);
      await echoes(await open(session, { ':scheme': 'http' }), server);
    });

    it('notices that a client of HTTP/1.1 is gone', async () => {
      const { server, http1 } = await proxied();
      const conn = await dial(http1);
      await conn.send('x');
      await conn.readMessage();
      conn.terminate();
      expect(await server.closed).toMatchObject({ code: 1006, wasClean: false });
    });
  });
});

/** Opens a WebSocket, echoes a text, closes, and prints what it got. */
const SCRIPT = `
  socket.onopen = () => socket.send('grüße');
  socket.onmessage = ({ data }) => { got = data; socket.close(4001, 'done'); };
  socket.onerror = (event) => console.log('error', event.message ?? event.error?.message);
  socket.onclose = async ({ code, wasClean }) => { console.log(got, code, wasClean); await end(); };
`;

describe('serve with http2 and clients of other runtimes', () => {
  nothingLeft();

  async function ask(
    client: (url: string) => string,
    [command, ...args]: readonly [string, ...string[]],
  ): Promise<void> {
    const tls = await selfSigned();
    const server = await ours({ tls, http2: true });
    const folder = mkdtempSync(join(tmpdir(), 'ws-http2-'));
    whenOver(() => rmSync(folder, { recursive: true, force: true }));
    const url = `wss://localhost:${server.port}`;
    writeFileSync(join(folder, 'client.mjs'), client(url));
    const { stdout } = await run(command, args, { cwd: folder, env });
    expect(stdout.trim()).toBe('grüße 4001 true');
    expect(await server.closed).toMatchObject({ code: 4001, wasClean: true });
    expect(server.versions).toEqual(['2.0']);
  }

  it('echoes for undici 8, which sends a key and checks the answer', async () => {
    await ask(
      (url) => `
        import { delimiter, join } from 'node:path';
        import { pathToFileURL } from 'node:url';
        // The folder of npx is the first one.
        const undici = join(process.env.PATH.split(delimiter)[0], '../undici/index.js');
        const { Agent, WebSocket } = (await import(pathToFileURL(undici))).default;
        const dispatcher = new Agent({ allowH2: true, connect: { rejectUnauthorized: false } });
        const end = () => dispatcher.destroy();
        let got;
        const socket = new WebSocket('${url}', { dispatcher });
        ${SCRIPT}`,
      // It needs Node 22.19, so that it cannot be a dependency of this workspace.
      ['npx', '-y', '-p', 'node@22', '-p', 'undici@8.13.1', 'node', 'client.mjs'],
    );
  });

  it('echoes for Deno, which sends no key', async () => {
    await ask(
      (url) => `
        const client = Deno.createHttpClient({ http1: false, http2: true });
        const end = () => client.close();
        let got;
        const socket = new WebSocket('${url}', { client });
        ${SCRIPT}`,
      [
        'npx',
        ...'-y -p deno@2.9.6 deno run -A --unsafely-ignore-certificate-errors client.mjs'.split(
          ' ',
        ),
      ],
    );
  });
});
