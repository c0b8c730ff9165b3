// The built command, in its own process. run.test.ts calls it in this process.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { CloseCode, type Conn, serve, type WebSocketServer } from '@ws/node-server';
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
      err: this.err,
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

type Handler = (conn: Conn) => unknown;

/** Starts a server in this process, which is faster than `ws-bench serve`. */
async function startServer(handle: Handler): Promise<WebSocketServer> {
  const server = await serve({ host: '127.0.0.1' }, async (conn) => {
    await Promise.resolve(handle(conn)).catch(() => {});
  });
  ended.push(() => server.close({ timeout: 100 }));
  return server;
}

const echo: Handler = (conn) => conn.receive((message) => conn.send(message));

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  ended.push(() => rmSync(path, { recursive: true }));
  return path;
}

describe.skipIf(!built)('ws-bench', { timeout: TEST_TIMEOUT_MS }, () => {
  it('reports an error of another process, without a stack, and exits with 2', async () => {
    const { code, out, err } = await run('load', 'ws://a', '--header', 'Bad name: x');
    expect([code, out, err]).toEqual([2, '', expect.stringContaining('Bad name')]);
    expect(err).not.toContain('    at ');
  });

  it('reports that no server listens, without the query of the URL, and keeps the files of an earlier run', async () => {
    const server = await startServer(echo);
    await server.close({ timeout: 1 });
    const path = folder();
    const files = ['--json', join(path, 'r.json'), '--html', join(path, 'r.html')];
    writeFileSync(join(path, 'r.html'), 'earlier');
    const { code, err, out } = await run(
      'load',
      `${server.url}/?secret`,
      '--connections',
      '3',
      ...files,
    );
    expect([code, out]).toEqual([1, '']);
    expect(err).not.toContain('secret');
    expect(err).toMatch(/^no connection to ws:.*ECONNREFUSED.*; no server listens there\n$/);
    expect(readdirSync(path)).toEqual(['r.html']);
    expect(readFileSync(join(path, 'r.html'), 'utf8')).toBe('earlier');
  });
});

describe.skipIf(!built)('ws-bench load', { timeout: TEST_TIMEOUT_MS }, () => {
  const brief = ['--connections', '4', '--duration', '150ms'];

  it.each([
    ['ours', 'SIGINT'],
    ['ws', 'SIGTERM'],
  ] as const)(
    'finds no errors in ws-bench serve of %s, which ends on %s',
    async (library, signal) => {
      const command = new Command(['serve', '--library', library, '--compression']);
      const url = await command.line();
      const got = await run('load', url, ...brief, '--compression', '--text', '--payload', '2KiB');
      expect([got.code, got.err]).toEqual([0, '']);
      expect(got.out).toContain('4 connections, 2 KiB of text, closed loop, 1 in flight on each');
      expect(got.out).toContain('compression: permessage-deflate');
      for (const line of [/^p99\.99 +[\d.]+$/m, /^max +[\d.]+$/m, /^no errors$/m]) {
        expect(got.out).toMatch(line);
      }
      command.process.kill(signal);
      expect(await command.ended).toEqual({ code: 0, out: `${url}\n`, err: '' });
    },
  );

  it('writes a document and a page without the values of headers and the query of the URL', async () => {
    const { url } = await startServer(echo);
    const path = folder();
    const [json, html] = [join(path, 'r.json'), join(path, 'r.html')];
    const secret = ['--header', 'X-Token: secret'];
    const asked = `${url}/?token=secret`;
    const got = await run('load', asked, ...brief, ...secret, '--json', json, '--html', html);
    expect([got.code, got.err]).toEqual([0, '']);
    expect(got.out).toContain('no errors');
    const [document, page] = [json, html].map((file) => readFileSync(file, 'utf8'));
    const { head, charts, echoed, throughput } = JSON.parse(document!);
    expect(readdirSync(path).toSorted()).toEqual(['r.html', 'r.json']);
    expect(head.command).toContain(`ws-bench load '${url}/?***'`);
    expect(head.versions.node).toBe(process.versions.node);
    expect(charts.map((chart: { kind: string }) => chart.kind)).toEqual(['percentiles', 'lines']);
    expect(echoed).toBeGreaterThan(0);
    expect(throughput).toHaveLength(1);
    expect(page).toMatch(/^<!doctype html>/);
    expect(`${document}${page}`).not.toContain('secret');
  });

  it('prints the document for --json before the URL, from several processes', async () => {
    const { url } = await startServer(echo);
    const got = await run('load', '--json', url, ...brief, '--workers', '3', '--rate', '800');
    const { sent, echoed, plan, busy } = JSON.parse(got.out);
    expect([got.code, sent, echoed, plan.url, busy.length]).toEqual([0, 120, 120, url, 3]);
  });

  it('prints the results so far on Ctrl-C', async () => {
    let asked: (() => void) | undefined;
    const echoing = new Promise<void>((resolve) => (asked = resolve));
    const server = await startServer((conn) =>
      conn.receive((message) => {
        asked?.();
        return conn.send(message);
      }),
    );
    const command = new Command(['load', server.url, '--duration', '10m']);
    await echoing;
    command.process.kill('SIGINT');
    const { code, out, err } = await command.ended;
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('interrupted');
    expect(out).toContain('no errors');
  });

  it('lists errors by kind and exits with 1', async () => {
    const server = await startServer((conn) => {
      let n = 0;
      return conn.receive((message) => {
        n++;
        if (n === 3) return conn.send(message.data.slice(1));
        return n === 5 ? void conn.close(CloseCode.TryAgainLater, 'too much') : conn.send(message);
      });
    });
    const { code, out } = await run('load', server.url, ...brief);
    expect(code).toBe(1);
    expect(out).toMatch(/^ +4 x wrong length +got 127 bytes of binary /m);
    expect(out).toMatch(/^ +4 x close: 1013 +.*too much$/m);
  });
});
