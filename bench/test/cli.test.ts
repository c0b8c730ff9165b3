// The command as it is installed: built, in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { serve } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';

const cli = join(import.meta.dirname, '../dist/cli.js');
const built = existsSync(cli) || process.env['WS_BUILT'] !== undefined;
if (!built) console.log('skipped: the command ws-bench; not built, run pnpm build');

const PATIENCE_MS = 60_000;
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

  /** Its first line. */
  async line(): Promise<string> {
    const gone = this.ended.then(({ code, err }) => {
      throw new Error(`ended with ${code} before it said anything: ${err}`);
    });
    while (!this.out.includes('\n')) {
      await Promise.race([once(this.process.stdout!, 'data'), gone]);
    }
    gone.catch(() => {});
    return this.out.split('\n', 1)[0]!;
  }
}

function run(...args: string[]): Promise<Ended> {
  return new Command(args).ended;
}

async function echoServer(...options: string[]): Promise<{ url: string; command: Command }> {
  const command = new Command(['serve', ...options]);
  return { url: await command.line(), command };
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  ended.push(() => rmSync(path, { recursive: true }));
  return path;
}

describe.skipIf(!built)('ws-bench', { timeout: PATIENCE_MS }, () => {
  it('tells what there is', async () => {
    const { code, out } = await run('--help');
    expect(code).toBe(0);
    for (const name of ['codec', 'deflate', 'load', 'serve']) {
      expect(out).toMatch(new RegExp(`^ {2}${name} `, 'm'));
    }
    expect((await run()).code).toBe(2);
  });

  it.each(['codec', 'deflate', 'load', 'serve'])('tells about %s', async (name) => {
    const { code, out } = await run(name, '--help');
    expect([code, out]).toEqual([0, expect.stringContaining(`usage: ws-bench ${name}`)]);
  });

  it.each([
    [['lode'], 2, "there is no scenario 'lode'"],
    [['load'], 2, 'expected a <url>; see --help'],
    [['load', 'ws://a', 'ws://b'], 2, 'unexpected: ws://b; see --help'],
    [['load', 'localhost'], 2, "'localhost' is no WebSocket URL"],
    [['load', 'http://a'], 2, 'http:// is another protocol'],
    [['load', 'ftp://a'], 2, 'ftp:// is another protocol'],
    [['load', 'ws://me:secret@a'], 2, "use --header 'Authorization: ...'"],
    [['load', 'ws://a', '--conections', '1'], 2, 'unknown option --conections; see --help'],
    [['load', 'ws://a', '--quick'], 2, 'unknown option --quick'],
    [['load', 'ws://a', '--connections', '0'], 2, '--connections: expected a whole number'],
    [['load', 'ws://a', '--payload', '1GB'], 2, '--payload: expected bytes up to 256MiB'],
    [['load', 'ws://a', '--duration', 'soon'], 2, '--duration: expected a time such as 10s'],
    [['load', 'ws://a', '--rate', '-1'], 2, '--rate'],
    [['load', 'ws://a', '--text', '--binary'], 2, '--text and --binary: choose one'],
    [['load', 'ws://a', '--header', 'x'], 2, "--header: expected 'Name: value', got 'x'"],
    [['load', 'ws://a', '--html', '/no/such/folder/r.html'], 2, 'ENOENT'],
    [['load', 'ws://a', '--html', '.'], 2, "--html: '.' cannot be written: it is a folder"],
    [['load', 'ws://a', '--json', 'x', '--html', './x'], 2, "--json and --html: both are 'x'"],
    [['load', 'ws://a', '--header', 'Bad name: x'], 2, 'Bad name'],
    [['load', 'ws://a', '--subprotocol', 'a b'], 2, 'subprotocols'],
    [['load', 'ws://a', '--depth'], 2, '--depth'],
    [['compare', '--only', 'nothing'], 2, "no part has 'nothing' in its name"],
    [['compare', '--bun', '/no/such/bun'], 2, "--bun: '/no/such/bun --version' cannot be run"],
    [['deflate', '--only', 'nothing'], 2, "no cell has 'nothing' in its name"],
    [['serve', '--port', '65536'], 2, '--port: expected a whole number from 0 to 65535'],
    [['serve', '--library', 'toString'], 2, '--library: expected one of ours, ws, raw'],
    [['serve', '--json'], 2, 'unknown option --json'],
  ])('refuses %j', async (args, code, message) => {
    const got = await run(...args);
    expect([got.code, got.err, got.out]).toEqual([code, expect.stringContaining(message), '']);
    expect(got.err).not.toContain('    at ');
  });

  it('says that nobody listens', async () => {
    const { url, command } = await echoServer();
    command.process.kill('SIGTERM');
    expect((await command.ended).code).toBe(0);
    const path = folder();
    const files = ['--json', join(path, 'r.json'), '--html', join(path, 'r.html')];
    writeFileSync(join(path, 'r.html'), 'of the run before');
    const { code, err, out } = await run('load', `${url}/?secret`, '--connections', '3', ...files);
    expect([code, out]).toEqual([1, '']);
    expect(err).not.toContain('secret');
    expect(err).toMatch(/^no connection to ws:.*ECONNREFUSED.*; nobody listens there\n$/);
    expect(readdirSync(path)).toEqual(['r.html']);
    expect(readFileSync(join(path, 'r.html'), 'utf8')).toBe('of the run before');
  });
});

describe.skipIf(!built)('ws-bench load', { timeout: PATIENCE_MS }, () => {
  const brief = ['--connections', '4', '--duration', '300ms'];

  it.each(['ours', 'ws'])('finds no errors in a server of %s', async (library) => {
    const { url, command } = await echoServer('--library', library, '--compression');
    const got = await run('load', url, ...brief, '--compression', '--text', '--payload', '2KiB');
    expect([got.code, got.err]).toEqual([0, '']);
    expect(got.out).toContain('4 connections, 2 KiB of text, closed loop, 1 in flight on each');
    expect(got.out).toContain('compression: permessage-deflate');
    for (const line of [/^p99\.99 +[\d.]+$/m, /^max +[\d.]+$/m, /^no errors$/m]) {
      expect(got.out).toMatch(line);
    }
    command.process.kill('SIGINT');
    expect(await command.ended).toEqual({ code: 0, out: `${url}\n`, err: '' });
  });

  it('writes a document and a page, without the values of headers and the query of the URL', async () => {
    const { url } = await echoServer();
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

  it('prints the document with --json before the URL, shared by several processes', async () => {
    const { url } = await echoServer();
    const got = await run('load', '--json', url, ...brief, '--workers', '3', '--rate', '400');
    const { sent, echoed, plan, busy } = JSON.parse(got.out);
    expect([got.code, sent, echoed, plan.url, busy.length]).toEqual([0, 120, 120, url, 3]);
  });

  it('prints what there is on Ctrl-C', async () => {
    let asked: (() => void) | undefined;
    const echoing = new Promise<void>((resolve) => (asked = resolve));
    const server = await serve({ host: '127.0.0.1' }, (conn) =>
      conn.receive((message) => {
        asked?.();
        return conn.send(message);
      }),
    );
    ended.push(() => server.close({ timeout: 100 }));
    const command = new Command(['load', server.url, '--duration', '10m']);
    await echoing;
    command.process.kill('SIGINT');
    const { code, out, err } = await command.ended;
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('interrupted');
    expect(out).toContain('no errors');
  });

  it('exits with 1 and lists errors by kind', async () => {
    const server = await serve({ host: '127.0.0.1' }, async (conn) => {
      let n = 0;
      const received = conn.receive((message) => {
        n++;
        if (n === 3) return conn.send(message.data.slice(1));
        return n === 5 ? void conn.close(1013, 'too much') : conn.send(message);
      });
      await received.catch(() => {});
    });
    ended.push(() => server.close({ timeout: 100 }));
    const { code, out } = await run('load', server.url, ...brief);
    expect(code).toBe(1);
    expect(out).toMatch(/^ +4 x wrong length +got 127 bytes of binary /m);
    expect(out).toMatch(/^ +4 x close: 1013 +.*too much$/m);
  });
});
