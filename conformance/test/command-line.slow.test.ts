import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { selfSigned } from '@ws/tests';
import { LOADER } from '@ws/tests/loader';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { main } from '../src/command-line.ts';
import { runServerSuite, type SuiteReport } from '../src/index.ts';
import { acceptOf } from '../src/wire/handshake.ts';
import { run } from './run-command.ts';
import { naiveServer } from './server/naive-server.ts';

function deferred<T>(): [promise: Promise<T>, resolve: (value: T) => void] {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => {
    resolve = done;
  });
  return [promise, resolve];
}

/** A file that is not PEM. */
const NO_PEM = fileURLToPath(import.meta.url);

const endings: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

async function ours(): Promise<string> {
  const server = await serve({ host: '127.0.0.1' }, (conn) =>
    conn.receive((message) => conn.writeMessage(message.type, message.data)),
  );
  endings.push(() => server.close({ timeout: 1 }));
  return server.url;
}

/** Starts a TCP server that passes each connection to a callback. */
async function raw(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  endings.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('ws-conform', () => {
  it('exits with 0 when all cases pass, and prints the numbers of each chapter', async () => {
    const { code, out, error } = await run(
      'server',
      await ours(),
      '--only',
      '1.1.*',
      '--only',
      '2.1.1',
    );
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(/1 framing +15 +15 +0 +0 +0 +0\n/);
    expect(out).toMatch(/2 pings and pongs +1 +1 +0 +0 +0 +0\n/);
    expect(out).toMatch(
      /16 cases in \d+\.\d s: 16 passed, 0 failed, 0 non-strict, 0 advice, 0 skipped\n$/,
    );
  });

  it('exits with 1 when a case failed, and explains it with the bytes', async () => {
    const server = await naiveServer('echoes text as binary');
    endings.push(() => server.close());
    const { code, out } = await run('server', server.url, '--only', '1.1.2');
    expect(code).toBe(1);
    expect(out).toContain('FAIL 1.1.2 a text message of 1 byte in one frame');
    expect(out).toContain('expected: the same message comes back (RFC 6455, 5.2 and 5.6, MUST)');
    expect(out).toMatch(/again: ws-conform server ws:\S+ --only 1\.1\.2 --seed \d+ --verbose\n/);
    expect(out).toContain('but: the message came back as binary, expected text');
    expect(out).toMatch(
      /-> a request, \d+ bytes on the wire: 47 45 .*\n +\| GET \/ HTTP\/1\.1\n +\| Host: /,
    );
    expect(out).toMatch(/-> text frame, 1 byte, 7 bytes on the wire: 81 81( [0-9a-f]{2}){5}\n/);
    expect(out).toMatch(/<- bytes, 3 bytes on the wire: 82 01 61\n/);
  });

  it('exits with 0 for a non-strict case, and with 1 under --strict', async () => {
    const server = await naiveServer('answers every closing with 1000');
    endings.push(() => server.close());
    const args = ['server', server.url, '--only', '7.3.2'];
    const { code, out } = await run(...args);
    expect(code).toBe(0);
    expect(out).toContain('NON-STRICT 7.3.2');
    expect((await run(...args, '--strict')).code).toBe(1);
  });

  it('exits with 0 for advice under --strict: no RFC asks for it', async () => {
    const server = await naiveServer('accepts long forms of lengths');
    endings.push(() => server.close());
    const { code, out } = await run('server', server.url, '--only', '9.6.1', '--strict');
    expect(code).toBe(0);
    expect(out).toContain('ADVICE 9.6.1');
  });

  it('explains one case of each cause, and all with --verbose', async () => {
    const server = await naiveServer('echoes text as binary');
    endings.push(() => server.close());
    const args = ['server', server.url, '--only', '1.1'];
    const { out } = await run(...args);
    expect(out.match(/^FAIL /gm)).toHaveLength(1);
    expect(out).toMatch(/\n {2}\d+ cases: 1\.1\.\d+-\d+/);
    const verbose = await run(...args, '--verbose');
    expect(verbose.out.match(/^FAIL /gm)!.length).toBeGreaterThan(5);
  });

  it('sends the same bytes again with --seed', async () => {
    const server = await naiveServer('echoes text as binary');
    endings.push(() => server.close());
    const args = ['server', server.url, '--only', '1.1.2', '--seed', '7'];
    const sent = async (): Promise<string[]> => (await run(...args)).out.match(/-> .*/g)!;
    expect(await sent()).toEqual(await sent());
  });

  it('compares the differences with those of a file, also the healed ones', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'expected.json');
    const server = await naiveServer('echoes text as binary');
    endings.push(() => server.close());
    const only = ['--only', '1.1.2'];
    expect((await run('server', server.url, ...only, '--write-expect', file)).code).toBe(1);
    const same = await run('server', server.url, ...only, '--expect', file);
    expect(same).toMatchObject({ code: 0, out: expect.stringContaining('are expected') });
    const more = await run('server', server.url, ...only, '--only', '1.1.3', '--expect', file);
    expect(more).toMatchObject({ code: 1, out: expect.stringContaining('new: fail 1.1.3 ') });
    const healed = await run('server', await ours(), ...only, '--expect', file);
    expect(healed).toMatchObject({ code: 1, out: expect.stringContaining('healed: 1.1.2 ') });
  });

  it("prints annotations of GitHub, and writes JUnit's XML and a badge", async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const [junit, badge] = [join(folder, 'r.xml'), join(folder, 'r.svg')];
    const server = await naiveServer('echoes text as binary');
    endings.push(() => server.close());
    const files = ['--github', '--junit', junit, '--badge', badge];
    const { out } = await run('server', server.url, '--only', '1.1.1', '--only', '1.1.2', ...files);
    expect(out).toMatch(
      /^::error title=server%3A fail 1\.1\.[12-]+ \(RFC 6455%2C 5\.2 .*::a text message/m,
    );
    const xml = readFileSync(junit, 'utf8');
    expect(xml).toMatch(
      /<testsuite name="server 1 framing" tests="2" failures="2" errors="0" skipped="0">/,
    );
    expect(xml).toMatch(/name="1\.1\.2 [^"]*" time="[\d.]+"><failure message="the message came/);
    expect(readFileSync(badge, 'utf8')).toContain('aria-label="RFC 6455: 1 interoperability"');
  });

  it('sends --header and --subprotocol with every request', async () => {
    const server = await serve(
      {
        host: '127.0.0.1',
        subprotocols: ['chat'],
        authenticate: ({ headers }) =>
          headers.authorization === 'Bearer x' && headers['sec-websocket-protocol'] !== undefined,
      },
      (conn) => conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    endings.push(() => server.close({ timeout: 1 }));
    const args = ['server', server.url, '--only', '1.1', '--only', '8.1', '--only', '8.20'];
    const door = ['--header', 'Authorization: Bearer x', '--subprotocol', 'chat'];
    expect(await run(...args)).toMatchObject({
      code: 3,
      error: expect.stringContaining('answered the handshake with "HTTP/1.1 40'),
    });
    const { code, out } = await run(...args, ...door);
    expect(out).not.toContain('FAIL');
    expect(code).toBe(0);
  });

  it('connects to --connect, and sends --host and --origin', async () => {
    const seen = new Set<string>();
    const server = await serve(
      {
        host: '127.0.0.1',
        checkOrigin: ({ headers }) => {
          seen.add(`${headers.host} ${headers.origin}`);
          return true;
        },
      },
      (conn) => conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    endings.push(() => server.close({ timeout: 1 }));
    const door = ['--connect', new URL(server.url).host, '--origin', 'https://a.example'];
    const args = ['server', 'ws://nowhere.invalid/', '--only', '1.1.1', ...door];
    expect((await run(...args)).code).toBe(0);
    expect((await run(...args, '--host', 'b.example')).code).toBe(0);
    expect([...seen]).toEqual(['nowhere.invalid https://a.example', 'b.example https://a.example']);
  });

  describe('with --proxy', () => {
    /** Starts an HTTP proxy that opens tunnels for `user:pass:word`. */
    async function proxy(): Promise<{ port: number; asked: string[] }> {
      const asked: string[] = [];
      const server = createHttpServer();
      server.on('connect', ({ url, headers }, socket: Socket) => {
        asked.push(url!);
        const [, credentials = ''] = headers['proxy-authorization']?.split('Basic ') ?? [];
        if (Buffer.from(credentials, 'base64').toString() !== 'us@er:pass:word') {
          socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
          return;
        }
        const to = connect(Number(new URL(`http://${url}`).port), '127.0.0.1');
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(to).pipe(socket);
        for (const end of [socket, to]) {
          end.on('error', () => {});
          end.on('close', () => [socket, to].forEach((one) => one.destroy()));
        }
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      endings.push(() => server.close());
      return { port: (server.address() as AddressInfo).port, asked };
    }

    it.each(['ws', 'wss'])('asks a server of %s through a tunnel', async (scheme) => {
      const tls = scheme === 'wss' ? await selfSigned() : undefined;
      const server = await serve({ host: '127.0.0.1', tls }, (conn) =>
        conn.receive((message) => conn.writeMessage(message.type, message.data)),
      );
      endings.push(() => server.close({ timeout: 1 }));
      const { port, asked } = await proxy();
      const to = `nowhere.invalid:${new URL(server.url).port}`;
      const through = `http://us%40er:pass%3aword@127.0.0.1:${port}`;
      const args = ['server', `${scheme}://${to}`, '--proxy', through];
      const { code, out } = await run(...args, '--only', '1.1', '--only', '14');
      expect(out).not.toContain('FAIL');
      expect(code).toBe(0);
      expect(new Set(asked)).toEqual(new Set([to]));
    });

    it('exits with 3 when the proxy opens no tunnel', async () => {
      const { port } = await proxy();
      const ask = async (url: string) => run('server', 'ws://a.invalid', '--proxy', url);
      expect(await ask(`http://127.0.0.1:${port}`)).toMatchObject({
        code: 3,
        error: expect.stringContaining(
          'answered CONNECT a.invalid:80 with "HTTP/1.1 407 Proxy Authentication Required"',
        ),
      });
      expect(await ask('http://127.0.0.1:1')).toMatchObject({
        code: 3,
        error: expect.stringContaining('no connection to 127.0.0.1:1'),
      });
      const silent = await raw((socket) => void socket.end());
      expect(await ask(silent.replace('ws:', 'http:'))).toMatchObject({
        code: 3,
        error: expect.stringContaining('without an answer to CONNECT'),
      });
    });
  });

  it('verifies a certificate with --ca, and shows its own with --cert and --key', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const { cert, key } = await selfSigned();
    const [ca, wrong, pem] = [join(folder, 'ca'), join(folder, 'wrong'), join(folder, 'key')];
    writeFileSync(ca, cert);
    writeFileSync(wrong, rootCertificates[0]!);
    writeFileSync(pem, key);
    const tls = { cert, key, requestCert: true, rejectUnauthorized: false };
    const shown: boolean[] = [];
    const server = await serve(
      {
        host: '127.0.0.1',
        tls,
        authenticate: ({ socket }) => {
          shown.push((socket as TLSSocket).getPeerX509Certificate() !== undefined);
          return true;
        },
      },
      (conn) => conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    endings.push(() => server.close({ timeout: 1 }));
    const { port } = new URL(server.url);
    const only = ['--connect', `127.0.0.1:${port}`, '--only', '1.1.1'];
    const args = ['server', `wss://localhost:${port}`, ...only];
    expect(await run(...args)).toMatchObject({ code: 0, error: '' });
    expect(new Set(shown.splice(0))).toEqual(new Set([false]));
    expect(await run(...args, '--ca', ca, '--cert', ca, '--key', pem)).toMatchObject({ code: 0 });
    expect(new Set(shown)).toEqual(new Set([true]));
    expect(await run(...args, '--ca', wrong)).toMatchObject({
      code: 3,
      error: expect.stringMatching(/no connection to localhost:\d+: self-signed/),
    });
  });

  it('asks a server that does not echo with --no-echo, and accepts its own messages', async () => {
    const server = await serve({ host: '127.0.0.1' }, async (conn) => {
      await conn.send('hello');
      for await (const _ of conn);
    });
    endings.push(() => server.close({ timeout: 1 }));
    const args = ['server', server.url, '--only', '1.1', '--only', '2.1', '--only', '7.1'];
    const { code, out } = await run(...args, '--no-echo', '--timeout', '20000');
    expect(out).not.toMatch(/^(?:FAIL|NON-STRICT|ERROR)/m);
    expect(out).toContain('because the case needs an echo');
    expect(Number(/(\d+) passed/.exec(out)![1])).toBeGreaterThan(20);
    expect(code).toBe(0);
  });

  it.each<[string, (text: string) => string]>([
    ['answers in upper case', (text) => text.toUpperCase()],
    ['answers JSON', (text) => JSON.stringify({ text })],
  ])('stops with one line at a server that %s', async (_, answer) => {
    const server = await serve({ host: '127.0.0.1' }, (conn) =>
      conn.receive((message) => conn.send(answer(message.text()))),
    );
    endings.push(() => server.close({ timeout: 1 }));
    expect(await run('server', server.url)).toEqual({
      code: 3,
      out: '',
      error: expect.stringMatching(
        /^.*another message.* does not echo.*; start an echo.*--no-echo\n$/,
      ),
    });
  });

  it('does not prolong a wait for the messages of a server that does not echo', async () => {
    const http = createHttpServer();
    http.on('upgrade', ({ headers }, socket: Socket) => {
      const accept = acceptOf(headers['sec-websocket-key']!);
      const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`;
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n\r\n`);
      const frame = Buffer.from([0x82, 60, ...Array<number>(60)]);
      const pieces = [frame.subarray(0, 10), frame.subarray(10, 40), frame.subarray(40)];
      let at = 0;
      const timer = setInterval(() => socket.write(pieces[at++ % pieces.length]!), 5);
      socket.on('error', () => undefined).on('close', () => clearInterval(timer));
    });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    endings.push(() => http.close());
    const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
    const { results } = await runServerSuite(url, {
      echoes: false,
      only: ['2.7.2'],
      timeout: 1000,
    });
    // A late machine is told before it, and in one line with it.
    expect(results[0]!.because.at(-1)).toMatch(/timeout after \d+ ms, waiting for a failed conn/);
  });

  it('exits with 3 without what --require names', async () => {
    const args = ['server', await ours(), '--only', '1.1.1', '--subprotocol', 'chat'];
    expect(await run(...args, '--require', 'compression')).toMatchObject({
      code: 3,
      error: expect.stringContaining('--require compression: the server declined'),
    });
    expect(await run(...args, '--require', 'subprotocol')).toMatchObject({
      code: 3,
      error: expect.stringContaining('the server selected none of chat'),
    });
    const server = await serve({ host: '127.0.0.1', compression: true }, (conn) =>
      conn.receive((message) => conn.writeMessage(message.type, message.data)),
    );
    endings.push(() => server.close({ timeout: 1 }));
    expect(
      await run('server', server.url, '--only', '1.1.1', '--require', 'compression'),
    ).toMatchObject({
      code: 0,
      error: '',
    });
  });

  it('exits with 3 when every case was skipped', async () => {
    expect(await run('server', await ours(), '--only', '12.1')).toMatchObject({
      code: 3,
      error: expect.stringMatching(/every case was skipped: the server declined/),
    });
  });

  it('has the floods only with --floods or by their ids', async () => {
    const args = ['server', 'ws://nowhere.invalid', '--list', '--only', '9.19'];
    expect(await run(...args)).toMatchObject({
      code: 2,
      error: expect.stringContaining('only floods match; add --floods'),
    });
    const { code, out } = await run(...args, '--floods');
    expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/\n4 cases\n$/) });
    // A report says `--only ID` to run a case again.
    expect(await run(...args.slice(0, -1), '9.19.1')).toMatchObject({ code: 0 });
  });

  it('prints every byte of a case with --dump, also when it passes', async () => {
    const { code, out } = await run('server', await ours(), '--dump', '1.1.10');
    expect(code).toBe(0);
    expect(out).toMatch(/^PASS 1\.1\.10 /);
    expect(out).not.toContain(' more');
    expect(out).toContain(`-> text frame`);
  });

  it('adds to the summary of a GitHub job with --github', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'summary.md');
    vi.stubEnv('GITHUB_STEP_SUMMARY', file);
    endings.push(() => vi.unstubAllEnvs());
    await run('server', await ours(), '--only', '1.1.1', '--github');
    expect(readFileSync(file, 'utf8')).toContain('| 1 framing | 1 | 1 | 0 | 0 | 0 | 0 |');
  });

  it.each([
    ['no server', 'ECONNREFUSED', undefined],
    ['no HTTP', 'with HTTP', (socket: Socket) => void socket.end('hello')],
    ['no WebSocket', '200 OK', (socket: Socket) => void socket.end('HTTP/1.1 200 OK\r\n\r\n')],
  ])('exits with 3 when there is %s', async (_, says, onConnection) => {
    const url = onConnection === undefined ? 'ws://127.0.0.1:1' : await raw(onConnection);
    const { code, out, error } = await run('server', url);
    expect({ code, out }).toEqual({ code: 3, out: '' });
    expect(error).toMatch(/^ws-conform: could not ask ws:/);
    expect(error).toContain(says);
  });

  it('says in words that a wss: URL leads to a server without TLS', async () => {
    const url = (await ours()).replace('ws:', 'wss:');
    const { code, error } = await run('server', url);
    expect(code).toBe(3);
    expect(error).toMatch(
      /^ws-conform: could not ask wss:\S+: no connection to \S+: TLS failed \(.+\); a server without TLS has a ws: URL\n$/,
    );
    expect(error).not.toMatch(/SSL routines|EPROTO|\.c:/);
  });

  it.each(['http://127.0.0.1:1', 'ws://127.0.0.1:1'])('leaves no report for %s', async (url) => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const old = join(folder, 'old.json');
    writeFileSync(old, '{}');
    const files = [join(folder, 'r.json'), join(folder, 'r.html')] as const;
    const { code } = await run('server', url, '--json', files[0], '--html', files[1]);
    expect([2, 3]).toContain(code);
    expect(files.map((file) => existsSync(file))).toEqual([false, false]);
    await run('server', url, '--json', old);
    expect(readFileSync(old, 'utf8')).toBe('{}');
  });

  it('waits at --listen for a client that it does not start', async () => {
    const [announced, announce] = deferred<string>();
    const ended = main(['client', '--listen', '127.0.0.1:0', '--only', '1.1.1'], {
      out: (text) => announce(text),
      error: () => undefined,
    });
    const url = /ws:\S+/.exec(await announced)![0];
    const conn = await dial(`${url}/runCase?case=1`);
    await conn.receive((message) => conn.writeMessage(message.type, message.data));
    expect(await ended).toBe(0);
  });

  it('listens on IPv6, and over TLS with --cert and --key', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const { cert, key } = await selfSigned();
    const [pem, secret] = [join(folder, 'cert'), join(folder, 'key')];
    writeFileSync(pem, cert);
    writeFileSync(secret, key);
    const [announced, announce] = deferred<string>();
    const only = ['--only', '1.1.1', '--only', '7.17.3'];
    const args = ['client', '--listen', '[::1]:0', '--cert', pem, '--key', secret, ...only];
    const ended = main(args, { out: (text) => announce(text), error: () => undefined });
    const url = /wss:\/\/\[::1\]:\d+/.exec(await announced)![0];
    for (const number of [1, 2]) {
      const conn = await dial(`${url}/runCase?case=${number}`, { tls: { ca: cert } });
      // The second case ends with a reset.
      await conn
        .receive((message) => conn.writeMessage(message.type, message.data))
        .catch(() => undefined);
    }
    expect(await ended).toBe(0);
  });

  it('exits with 3 when the command of a client does not start', async () => {
    expect(await run('client', '--only', '1.1', '--', './no-such-client')).toMatchObject({
      code: 3,
      out: '',
      error: 'ws-conform: could not ask ./no-such-client: spawn ./no-such-client ENOENT\n',
    });
  });

  it('groups skipped cases by their reason', async () => {
    const { code, out } = await run('server', await ours(), '--only', '12.10.*', '--only', '1.1.1');
    expect(code).toBe(0);
    expect(out).toMatch(/SKIPPED 12\.10\.1-\d+\n  because the server declined "permessage-deflate/);
  });

  it('writes the report as JSON and as an HTML page', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    endings.push(() => rmSync(folder, { recursive: true }));
    const server = await naiveServer('sends pongs without a payload');
    endings.push(() => server.close());
    const [json, html] = [join(folder, 'r.json'), join(folder, 'r.html')];
    const files = ['--json', json, '--html', html];
    const { code, error } = await run('server', server.url, '--only', '2.1.*', ...files);
    expect({ code, error }).toEqual({ code: 1, error: `wrote ${json}\nwrote ${html}\n` });
    const report: SuiteReport & { version: number; findings: unknown } = JSON.parse(
      readFileSync(json, 'utf8'),
    );
    expect(report).toMatchObject({ version: 2, role: 'server', target: server.url });
    expect(report.findings).toMatchObject([
      {
        verdict: 'fail',
        weight: 'interoperability',
        cases: report.results.slice(1).map(({ id, title }) => ({ id, title })),
      },
    ]);
    expect(report.counts).toMatchObject({ pass: 1, fail: 12 });
    expect(report.results[0]).toMatchObject({ verdict: 'pass', transcript: [] });
    expect(report.results[1]).toMatchObject({
      id: '2.1.2',
      verdict: 'fail',
      level: 'must',
      chapter: 2,
    });
    expect(report.results[1]?.transcript.find(({ kind }) => kind === 'sent')?.hex).toMatch(
      /^47 45 54/,
    );
    const page = readFileSync(html, 'utf8');
    expect(page).toContain('<meta name="viewport"');
    expect(page).toContain('id="c2.1.2" open>');
    expect(page).toContain('href="#c2.1.2"');
  });

  it('lists the cases without running them', async () => {
    const { code, out } = await run('server', '--list', '--only', '8.1.*');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^8 handshake\n  8\.1\.1 +must +a valid handshake: the example key of the RFC \[RFC 6455, 4\.2\.2\]\n/,
    );
    expect((await run('client', '--list')).out).toMatch(/\n\d{3,} cases\n$/);
  });

  it.each([
    [
      ['serve', 'ws://127.0.0.1:1'],
      /^ws-conform: serve is none of server, client and matrix; did you mean server\?\n$/,
    ],
    [['server'], /expected one server URL, got 0/],
    [['server', 'ws://127.0.0.1:1', 'ws://127.0.0.1:2'], /expected one server URL, got 2/],
    [['server', 'http://127.0.0.1:1'], /not a ws: or wss: URL/],
    [['server', 'nonsense'], /^ws-conform: the URL is invalid; expected ws:\/\/HOST:PORT\n$/],
    [['server', 'ws://user:secret@a:99999'], /^ws-conform: the URL is invalid; [^@]*$/],
    [['server', 'ws://127.0.0.1:1', '--timeout', '-1'], /'--timeout' needs a value; see --help\n$/],
    [
      ['server', 'ws://127.0.0.1:1', '--json', 'a', '--html', './a'],
      /^ws-conform: --json and --html name the same file, \.\/a; give them two\n$/,
    ],
    [
      ['server', 'wss://127.0.0.1:1', '--cert', NO_PEM, '--key', NO_PEM],
      /^ws-conform: --cert and --key cannot be used: .*no start line\n$/,
    ],
    [['server', 'ws://127.0.0.1:1/#top'], /has a fragment/],
    [['server', 'ws://user:secret@127.0.0.1:1'], /^ws-conform: the URL has credentials, [^@]*$/],
    [['server', 'ws://127.0.0.1:1', '--only', '99.*'], /no case matches 99\.\*/],
    [
      ['server', 'ws://127.0.0.1:1', '--timeout', '0'],
      /--timeout must be a whole number above 0, not 0/,
    ],
    [['client', '--concurrency', '2', '--', 'true'], /--concurrency of a client needs --each/],
    [['client', '--seed', '2', '--', 'true'], /--seed applies to server only/],
    [['client', '--listen', 'x'], /--listen must be HOST:PORT, not x/],
    [['server', 'ws://127.0.0.1:1', '--header', 'x'], /--header must be 'Name: value', not "x"/],
    [['server', 'ws://127.0.0.1:1', '--header', 'host: x'], /field of the handshake; see --host/],
    [['server', 'ws://127.0.0.1:1', '--expect', '/nowhere/x'], /ENOENT/],
    [
      ['server', 'ws://127.0.0.1:1', '--expect', fileURLToPath(import.meta.url)],
      /--expect: expected a file that --write-expect wrote for a server/,
    ],
    [['client'], /missing after --/],
    [['server', 'ws://127.0.0.1:1', '--dump', '1.1.1', '--only', '1'], /--dump selects one case/],
    [['server', 'ws://127.0.0.1:1', '--require', 'subprotocol'], /needs --subprotocol/],
    [['server', 'ws://127.0.0.1:1', '--cert', 'x'], /--cert and --key need each other/],
    [['server', 'ws://127.0.0.1:1', '--connect', 'x'], /--connect must be HOST:PORT, not x/],
    [['server', '--nonsense'], /^ws-conform: unknown option --nonsense; see --help\n$/],
  ] as const)('exits with 2 for %j', async (args, says) => {
    const { code, error } = await run(...args);
    expect(code).toBe(2);
    expect(error).toMatch(/^ws-conform: /);
    expect(error).toMatch(says);
  });

  it('reports the address of --connect when no server listens there', async () => {
    const { code, error } = await run('server', 'ws://a.example', '--connect', '127.0.0.1:1');
    expect(code).toBe(3);
    expect(error).toContain('no connection to 127.0.0.1:1: ');
  });

  it('exits with 2 when a report file is not writable', async () => {
    const { code, error } = await run(
      'server',
      await ours(),
      '--only',
      '1.1.1',
      '--json',
      '/nowhere/r.json',
    );
    expect(code).toBe(2);
    expect(error).toMatch(/ENOENT/);
  });
});

describe.concurrent('ws-conform as a process', () => {
  const bin = [...LOADER, fileURLToPath(new URL('../src/cli.ts', import.meta.url))];

  it('ends without an error when the reader of its list closes the pipe', async () => {
    const script = `"$@" | head -1`;
    const args = ['-c', script, 'sh', process.execPath, ...bin, 'server', '--list'];
    const printed = await promisify(execFile)('sh', args);
    expect(printed).toEqual({ stdout: '1 framing\n', stderr: '' });
  });

  it.skipIf(!existsSync('/dev/full'))('reports a full disk in one line', async () => {
    const args = ['-c', '"$@" > /dev/full', 'sh', process.execPath, ...bin, '--help'];
    await expect(promisify(execFile)('sh', args)).rejects.toMatchObject({
      code: 2,
      stderr: 'ws-conform: ENOSPC: no space left on device, write\n',
    });
  });

  it.for(['SIGINT', 'SIGTERM'] as const)('kills its client on %s', async (signal, test) => {
    const client =
      "console.log(process.pid); process.on('SIGINT', () => {}); setInterval(() => {}, 1e6);";
    const folder = mkdtempSync(join(tmpdir(), 'ws-conform-'));
    test.onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'pid');
    const script = `${process.execPath} -e "${client}" > ${file}; true`;
    const json = join(folder, 'r.json');
    const args = [...bin, 'client', '--only', '1.1.1', '--json', json, '--', 'sh', '-c', script];
    const child = spawn(process.execPath, args, { stdio: 'ignore' });
    const pid = await vi.waitFor(() => {
      const text = readFileSync(file, 'utf8');
      expect(text).toMatch(/\d\n/);
      return Number(text);
    }, 60_000);
    child.kill(signal);
    const [, ended] = await once(child, 'exit');
    expect(ended).toBe(signal);
    expect(JSON.parse(readFileSync(json, 'utf8'))).toMatchObject({ complete: false, results: [] });
    await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), 60_000);
  });
});

describe('an unreachable server', () => {
  it('fails the first cases and skips the rest', async () => {
    const { counts, results } = await runServerSuite('ws://127.0.0.1:1', { concurrency: 4 });
    expect(results[0]).toMatchObject({
      verdict: 'fail',
      because: [expect.stringMatching(/no connection to .*ECONNREFUSED/)],
    });
    expect(counts.pass).toBe(0);
    expect(counts.fail).toBeLessThan(50);
    expect(results.at(-1)).toMatchObject({
      verdict: 'skipped',
      because: [expect.stringMatching(/no longer reachable/)],
    });
  });
});

it('limits the concurrency to the number of cases', async () => {
  const { results } = await runServerSuite(await ours(), { only: ['1.1.1'], concurrency: 2 ** 32 });
  expect(results.map(({ verdict }) => verdict)).toEqual(['pass']);
});

it('asks alone what a server that limits its connections did not let in', async () => {
  const http = createHttpServer();
  http.maxConnections = 2;
  new WebSocketServer({ server: http }).on('connection', (socket) =>
    socket.on('message', (data, binary) => socket.send(data, { binary })),
  );
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  endings.push(() => http.close());
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
  const { counts } = await runServerSuite(url, { only: ['1.1', '1.2'] });
  expect(counts).toMatchObject({ pass: 30, fail: 0 });
});

describe('a server that hangs', () => {
  it.each([
    ['sends nothing', () => undefined],
    ['sends endless bytes', (socket: Socket) => flood(socket)],
    ['closes at once', (socket: Socket) => socket.destroy()],
    ['answers with half a header', (socket: Socket) => void socket.write('HTTP/1.1 101 Switching')],
    [
      'answers with something other than HTTP',
      (socket: Socket) => void socket.end('hello\r\n\r\n'),
    ],
  ])('does not block the suite when it %s', async (_, onConnection) => {
    const url = await raw(onConnection);
    const { results } = await runServerSuite(url, {
      only: ['1.1.1', '8.12.1', '7.*1'],
      timeout: 50,
    });
    expect(results.filter(({ verdict }) => verdict === 'pass')).toEqual([]);
    for (const { because } of results)
      expect(because.join()).not.toMatch(/the suite itself failed/);
  });
});

it('waits no longer for a server that sends pongs as a heartbeat', async () => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (socket) => {
    const heartbeat = setInterval(() => socket.pong(), 5);
    socket.on('close', () => clearInterval(heartbeat));
  });
  await once(server, 'listening');
  endings.push(() => server.close());
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { results } = await runServerSuite(url, { only: ['1.1.2'], timeout: 100 });
  // A late machine is told before it, and in one line with it.
  expect(results[0]!.because.at(-1)).toMatch(
    /(?:^|; )timeout after 100 ms, waiting for a text message of 1 byte$/,
  );
});

function flood(socket: Socket): void {
  const chunk = Buffer.alloc(65_536, 0x78);
  const more = (): void => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}
