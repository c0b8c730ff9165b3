// The built command, in its own process. command-line/run.test.ts calls it in this process.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { type Conn, serve, type WsServer } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';

const cli = join(import.meta.dirname, '../dist/cli.js');
const built = existsSync(cli) || process.env['WS_BUILT'] !== undefined;
if (!built) console.log('skipped: the command ws-bench; not built, run pnpm build');

const TEST_TIMEOUT_MS = 60_000;
const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

class Command {
  readonly process: ChildProcess;
  out = '';
  err = '';
  readonly ended: Promise<Ended>;

  constructor(args: readonly string[]) {
    this.process = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    ended.push(() => this.process.kill('SIGKILL'));
    this.process.stdout!.on('data', (chunk) => (this.out += String(chunk)));
    this.process.stderr!.on('data', (chunk) => (this.err += String(chunk)));
    this.ended = once(this.process, 'close').then(([code]) => ({
      code: code as number | null,
      out: this.out,
      // Other tests may keep the machine busy.
      err: this.err.replace(/^warning: .*\n/gm, ''),
    }));
  }

  /** The first line of its output. */
  async line(): Promise<string> {
    const exited = this.ended.then(({ code, err }) => {
      throw new Error(`exited with ${code} before its first line: ${err}`);
    });
    while (!this.out.includes('\n')) {
      await Promise.race([once(this.process.stdout!, 'data'), exited]);
    }
    exited.catch(() => {});
    return this.out.split('\n', 1)[0]!;
  }
}

function run(...args: string[]): Promise<Ended> {
  return new Command(args).ended;
}

/** Starts a server in this process, which is faster than `ws-bench serve`. */
async function startServer(handle: (conn: Conn) => unknown): Promise<WsServer> {
  const server = await serve({ host: '127.0.0.1' }, async (conn) => {
    await Promise.resolve(handle(conn)).catch(() => {});
  });
  ended.push(() => server.close({ timeout: 100 }));
  return server;
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  ended.push(() => rmSync(path, { recursive: true }));
  return path;
}

describe.skipIf(!built)('the output of ws-bench', { timeout: TEST_TIMEOUT_MS }, () => {
  const into = (target: string) =>
    spawnSync('bash', ['-c', `node '${cli}' --help ${target}; echo \${PIPESTATUS[0]}`], {
      encoding: 'utf8',
    });

  it('may be closed by its reader', () => {
    // The reader ends before the command prints.
    const { stdout, stderr } = into('| true');
    expect([stdout, stderr]).toEqual(['0\n', '']);
  });

  it.skipIf(!existsSync('/dev/full'))('fails in one line on a full disk', () => {
    const { stdout, stderr } = into('> /dev/full');
    expect([stdout, stderr]).toEqual([
      '1\n',
      'the output cannot be written: ENOSPC: no space left on device, write\n',
    ]);
  });
});

describe.skipIf(!built)('ws-bench load', { timeout: TEST_TIMEOUT_MS }, () => {
  const brief = ['--connections', '4', '--duration', '150ms'];

  it.each([
    ['receive', 'SIGINT', []],
    ['ws, corked', 'SIGTERM', ['--tls']],
  ] as const)('verifies ws-bench serve of %s, which ends on %s', async (name, signal, more) => {
    const command = new Command(['serve', '--server', name, ...more]);
    const url = await command.line();
    const got = await run('load', url, ...brief, '--text', '--payload', '2KiB', '--rate', '200');
    expect([got.code, got.err]).toEqual([0, '']);
    expect(got.out).toContain('4 connections, 2 KiB of text, 200 messages per second');
    expect(got.out).toContain('30 messages echoed');
    command.process.kill(signal);
    expect(await command.ended).toEqual({ code: 0, out: `${url}\n`, err: '' });
  });

  it('writes a document without the values of headers and the query of the URL', async () => {
    const { url } = await startServer((conn) => conn.receive((message) => conn.send(message)));
    const path = folder();
    const [json, html] = [join(path, 'r.json'), join(path, 'r.html')];
    const secret = ['--header', 'X-Token: secret'];
    const got = await run(
      'load',
      `${url}/?token=secret`,
      ...brief,
      ...secret,
      '--json',
      json,
      '--html',
      html,
    );
    expect([got.code, got.err]).toEqual([0, '']);
    const document = readFileSync(json, 'utf8');
    const { head, messages, latency } = JSON.parse(document);
    expect(head.command).toContain(`ws-bench load '${url}/?***'`);
    expect(messages).toBeGreaterThan(0);
    expect(latency.p50).toBeGreaterThan(0);
    const page = readFileSync(html, 'utf8');
    expect(page).toContain('<td>p99.9</td>');
    expect(`${document}${page}${got.out}`).not.toContain('secret');
  });

  it.each([
    ['a changed echo', (conn: Conn) => conn.receive(() => conn.send('no')), 'differs'],
    ['an early close', (conn: Conn) => conn.receive(() => void conn.close(1013)), 'differs'],
  ])('fails for %s and writes no file', async (_, handle, said) => {
    const { url } = await startServer(handle);
    const path = folder();
    const files = ['--json', join(path, 'r.json'), '--html', join(path, 'r.html')];
    const got = await run('load', `${url}/?secret`, ...brief, ...files);
    expect([got.code, got.out]).toEqual([1, '']);
    expect(got.err).toMatch(new RegExp(`^ws://.*\\?\\*\\*\\*: .*${said}`));
    expect(readdirSync(path)).toEqual([]);
  });

  it('reports that no server listens', async () => {
    const { code, err, out } = await run('load', 'ws://127.0.0.1:1', ...brief);
    expect([code, out]).toEqual([1, '']);
    expect(err).toContain('ECONNREFUSED');
  });
});

/** A contest of each scenario, with a contender and a metric of its result, and more options. */
const CONTESTS: readonly (readonly [
  name: string,
  only: string,
  contender: string,
  metric: string,
])[] = [
  ['compare', '64 x 1 x 16 B', 'raw1', 'us'],
  ['client', '64 x 1 x 16 B', 'ours', 'us'],
  ['compat', '64 x 16 x 16 B', 'compat', 'us'],
  ['micro', '16 x 16 B', 'plain JS', 'ns'],
  ['handshakes', '200 connections', 'bare', 'both'],
  ['hub', '10 do not read', 'broadcast', 'us'],
  ['http2', '64 x 16 x 16 B', 'HTTP/2', 'server'],
  ['hub', '1,000 members', 'hub', '16 us'],
  ['rpc', '64 x 16 x 60 B', 'rpc', 'us'],
];
/** Each takes up to 20 s of two cores. `pnpm long bench` measures all of them. */
const wanted = process.env['BENCH_SCENARIOS']?.split(',') ?? ['micro'];

describe.skipIf(!built)('a scenario', { timeout: TEST_TIMEOUT_MS }, () => {
  const brief = ['--quick', '--rounds', '1', '--json'];

  it.each(CONTESTS.filter(([name]) => wanted.includes(name)))(
    'measures %s: %s',
    async (name, only, contender, metric) => {
      const { code, out, err } = await run(name, '--only', only, ...brief);
      expect([code, err]).toEqual([0, expect.stringMatching(/: .+; 1 of \d+/)]);
      const { contests, tables, head } = JSON.parse(out);
      expect(contests[0].readings[contender][metric][0][0]).toBeGreaterThan(0);
      expect(tables[0].labels[0]).toContain(contests[0].name);
      expect(head.versions.ours).toBeDefined();
    },
  );

  const isNative = 'websocketMask' in http;
  it.skipIf(isNative)('names ws where bufferutil is missing', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
    ended.push(() => rmSync(folder, { recursive: true }));
    const hook = join(folder, 'without-bufferutil.cjs');
    writeFileSync(
      hook,
      `const modules = require('node:module');
      const resolve = modules._resolveFilename;
      modules._resolveFilename = (name, ...rest) => resolve(name === 'bufferutil' ? 'missing' : name, ...rest);`,
    );
    process.env['NODE_OPTIONS'] = `--require ${hook}`;
    ended.push(() => delete process.env['NODE_OPTIONS']);
    const { out } = await run('client', '--only', '64 x 1 x 16 B', ...brief);
    const { tables, notMeasured } = JSON.parse(out);
    const columns = tables[0].series.map(({ name }: { name: string }) => name);
    expect(columns).toEqual(['ours', 'ws', 'ws, corked, JS masks']);
    expect(tables[0].unit).toContain('relative to ws, corked, JS masks');
    expect(notMeasured).toEqual([expect.stringMatching(/^ws, native mask: .*bufferutil/)]);
  });

  it('writes CPU profiles of work without sockets', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
    ended.push(() => rmSync(folder, { recursive: true }));
    const { code } = await run('micro', '--only', '16 x 16 B', ...brief, '--profile', folder);
    expect([code, readdirSync(folder)]).toEqual([
      0,
      ['16-x-16-B-in-a-chunk-ws-native-mask.cpuprofile'],
    ]);
  });
});
