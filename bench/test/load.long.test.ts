// What a user sees of `ws-bench load` and of `--history`, by the built command.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createServer as createTlsServer } from 'node:tls';
import { type Conn, serve } from '@ws/node-server';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { certificate } from '../src/rivals/tls.ts';

const cli = join(import.meta.dirname, '../dist/cli.js');
const built = existsSync(cli) || process.env['WS_BUILT'] !== undefined;
if (!built) console.log('skipped: ws-bench load; not built, run pnpm build');

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  ended.push(() => rmSync(folder, { recursive: true }));
});

async function startServer(handle: (conn: Conn) => unknown): Promise<string> {
  const server = await serve({ host: '127.0.0.1', port: 0 }, async (conn) => {
    await Promise.resolve(handle(conn)).catch(() => {});
  });
  ended.push(() => server.close({ timeout: 100 }));
  return server.url;
}

const echo = (conn: Conn): unknown => conn.receive((message) => conn.send(message));

async function load(...args: string[]): Promise<{ code: unknown; out: string; err: string }> {
  const env = { ...process.env, XDG_CACHE_HOME: folder };
  const child = spawn(process.execPath, [cli, 'load', ...args], { env });
  ended.push(() => child.kill('SIGKILL'));
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => (out += String(chunk)));
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  const [code] = await once(child, 'close');
  return { code, out, err: err.replace(/^warning: .*\n/gm, '') };
}

const BRIEF = ['--connections', '3', '--duration', '400ms'];

describe.skipIf(!built)('ws-bench load', () => {
  it.each([
    ['met', 'p95<60000', 0, 'passed'],
    ['missed', 'rate>1000000000', 99, 'MISSED'],
  ])(
    'ends by whether a threshold is %s, and writes its files',
    async (_, threshold, code, word) => {
      const html = join(folder, 'r.html');
      const got = await load(
        await startServer(echo),
        ...BRIEF,
        '--threshold',
        threshold,
        '--html',
        html,
      );
      expect([got.code, got.err]).toEqual([code, '']);
      expect(got.out).toMatch(new RegExp(`^threshold ${threshold}: [\\d.]+, ${word}$`, 'm'));
      expect(existsSync(html)).toBe(true);
    },
  );

  it('says in the page whose figures it has, and charts rate and latency', async () => {
    const [html, url] = [join(folder, 'r.html'), await startServer(echo)];
    await load(url, ...BRIEF, '--html', html);
    const page = readFileSync(html, 'utf8');
    expect(page).toContain(`<dt>Figures of</dt><dd>${url}</dd>`);
    expect(page).not.toMatch(/\bours\b/);
    for (const title of ['Rate', 'Latency over time', 'Latency']) {
      expect(page).toContain(`<h2>${title}</h2>`);
    }
    expect(page.match(/<svg /g)).toHaveLength(3);
  });

  it('shows the first difference of an echo', async () => {
    const url = await startServer((conn) => conn.receive(() => conn.send('no')));
    const { code, err } = await load(url, ...BRIEF);
    expect(code).toBe(1);
    expect(err).toMatch(
      /the frame of the reply to message \d+ differs at byte 0 of 132; from byte 0:\n {2}expected 82 7e 00 80 .*\n {2}got {6}81 02 6e 6f {2}"\\x81\\u0002no"/,
    );
  });

  it('ramps connections, and verifies their echoes', async () => {
    const stages = ['--stage', '1s:4@100', '--stage', '2s:2@100'];
    const { code, out, err } = await load(await startServer(echo), ...stages, '--json');
    expect([code, err]).toEqual([0, '']);
    const { plan, messages, errors, mostConnections } = JSON.parse(out);
    expect(plan.stages).toEqual([
      { ms: 1000, connections: 4, rate: 100 },
      { ms: 2000, connections: 2, rate: 100 },
    ]);
    expect([errors, mostConnections]).toEqual([0, 4]);
    expect(messages).toBeGreaterThan(0);
  });

  it('runs a script with its own stages and thresholds', async () => {
    const script = join(folder, 'script.mjs');
    const options = {
      stages: [
        { duration: '200ms', connections: 2 },
        { duration: '3s', connections: 2 },
      ],
      thresholds: ['errors<100%'],
    };
    writeFileSync(
      script,
      `export const options = ${JSON.stringify(options)};
       export default async (user) => {
         const socket = await user.connect({ path: '/room', headers: { 'x-user': String(user.id) } });
         socket.send('hello');
         await socket.expect(/^hel+o$/);
         while (await user.next()) {
           socket.send(new Uint8Array([1, 2]));
           await socket.expect(new Uint8Array(user.id === 2 ? [1, 3] : [1, 2]));
         }
       };`,
    );
    const { code, out, err } = await load(await startServer(echo), '--script', script);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('script.mjs, connections by stages: 0.20 s to 2, 3.00 s to 2');
    expect(out).toMatch(/ x a message differs at byte 1 of 2; from byte 0:\n +expected 01 03 /);
    expect(out).toMatch(/^threshold errors<100%: [\d.]+, passed$/m);
    const missed = await load(
      await startServer(echo),
      '--script',
      script,
      '--threshold',
      'p50<60000',
    );
    expect(missed.code).toBe(99);
    expect(missed.out).toMatch(/^threshold errors==0: \d+, MISSED$/m);
  });

  it('fails for a script without a user, and for a target that refuses', async () => {
    const script = join(folder, 'script.mjs');
    writeFileSync(script, 'export const options = {};');
    const got = await load(await startServer(echo), '--script', script);
    expect([got.code, got.out]).toEqual([1, '']);
    expect(got.err).toContain('no default export that is a function');
    const refused = await load('ws://127.0.0.1:1', '--stage', '1m:2');
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(refused.err).toContain('ECONNREFUSED');
  });

  it('says what is wrong with a target that is no WebSocket server', async () => {
    const page = createServer((_, response) => response.end('a page')).listen(0, '127.0.0.1');
    ended.push(() => page.close());
    await once(page, 'listening');
    const { port } = page.address() as AddressInfo;
    const plain = await load(`ws://127.0.0.1:${port}`, ...BRIEF);
    expect([plain.code, plain.out]).toEqual([1, '']);
    expect(plain.err).toContain(
      'the server answered 200 OK, not 101: is it a WebSocket server, and is the path right?',
    );
    const tls = await load(`wss://127.0.0.1:${port}`, ...BRIEF);
    expect([tls.code, tls.out]).toEqual([1, '']);
    expect(tls.err).toContain('the server does not speak TLS: try ws://');
  });

  it('asks for wss:// when a server of TLS ends a connection without it', async () => {
    const server = createTlsServer(await certificate()).listen(0, '127.0.0.1');
    ended.push(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { code, out, err } = await load(`ws://127.0.0.1:${port}`, ...BRIEF);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/: does (?:it|the server) expect wss:\/\/\?$/m);
  });

  it('compares with earlier results of the same command', async () => {
    const url = await startServer(echo);
    const first = await load(url, ...BRIEF, '--history');
    expect(first.out).toContain('No earlier result of this command on this machine.');
    const { out } = await load(url, ...BRIEF, '--history');
    expect(out).toContain('Next to the median of 1 earlier results of this machine');
    expect(out).toMatch(/^rate: load +\d+ +\d+ +-?[\d.]+$/m);
    expect(out).toContain(`All results: ${join(folder, 'ws-bench/history.jsonl')}`);
  });
});
