// How the built command stops: on a terminal, by signals, and when a server dies.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { type Conn, serve } from '@ws/node-server';
import { afterEach, describe, expect, it } from 'vitest';

const cli = join(import.meta.dirname, '../dist/cli.js');
const built = existsSync(cli) || process.env['WS_BUILT'] !== undefined;
if (!built) console.log('skipped: the end of ws-bench; not built, run pnpm build');

const ended: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ended.splice(0)) await end();
});

/** A running command, whose output is awaited. */
class Running {
  readonly process: ChildProcess;
  out = '';
  err = '';
  readonly closed: Promise<{ code: number | null; out: string; err: string }>;

  constructor(program: string, args: readonly string[]) {
    this.process = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    ended.push(() => this.process.kill('SIGKILL'));
    this.process.stdout!.on('data', (chunk) => (this.out += String(chunk)));
    this.process.stderr!.on('data', (chunk) => (this.err += String(chunk)));
    this.closed = once(this.process, 'close').then(([code]) => ({
      code: code as number | null,
      out: this.out,
      err: this.err,
    }));
  }

  /** Resolves when the output has the text. */
  async until(text: string): Promise<void> {
    const streams = [this.process.stdout!, this.process.stderr!];
    let [wake, isOver] = [(): void => {}, false];
    for (const stream of streams) stream.on('data', () => wake());
    void this.closed.then(() => {
      isOver = true;
      wake();
    });
    while (!this.out.includes(text) && !this.err.includes(text)) {
      if (isOver) throw new Error(`ended without ${text}: ${this.out}${this.err}`);
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }
}

function bench(...args: string[]): Running {
  return new Running(process.execPath, [cli, ...args]);
}

/** The command on a terminal, which `script` of util-linux makes. */
function onTerminal(...args: string[]): Running {
  const words = [process.execPath, cli, ...args].map((word) => `'${word}'`).join(' ');
  return new Running('script', ['-qefc', words, '/dev/null']);
}

/** The program of a process, on Linux. */
function nameOf(pid: number): string {
  const file = `/proc/${pid}/comm`;
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
}

/** The processes below a process, on Linux. */
function below(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  const children = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  return children.split(' ').flatMap((child) => {
    return child === '' ? [] : [Number(child), ...below(Number(child))];
  });
}

async function gone(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    await expect.poll(() => existsSync(`/proc/${pid}`)).toBe(false);
  }
}

const isLinux = process.platform === 'linux';
const echo = (conn: Conn) => conn.receive((message) => conn.send(message));

describe.skipIf(!built)('ws-bench that is stopped', () => {
  it.runIf(isLinux)('gives the terminal back at Ctrl-C, with what it has measured', async () => {
    const run = onTerminal('micro', '--rounds', '1', '--processes', '2');
    await run.until('\u001b[?25l');
    await run.until('; 1 of ');
    const pids = below(run.process.pid!);
    run.process.stdin!.write('\u0003');
    const { code, out } = await run.closed;
    expect({ code, out: out.slice(-900) }).toMatchObject({ code: 130 });
    expect(out.lastIndexOf('\u001b[?25h')).toBeGreaterThan(out.lastIndexOf('\u001b[?25l'));
    expect(out.lastIndexOf('\u001b[?7h')).toBeGreaterThan(out.lastIndexOf('\u001b[?7l'));
    expect(out).toMatch(/stopped after [1-9]\d* of \d+/);
    expect(out).toContain('plain JS');
    await gone(pids);
  });

  const PROGRAMS = [
    ['redis-server', 'hub', '1,000 messages a second'],
    ['nginx', 'proxy', ''],
  ] as const;
  const STOPS = [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['Ctrl-C', 130],
  ] as const;
  describe.each(PROGRAMS)('with %s', (program, scenario, only) => {
    const isInstalled = spawnSync(program, ['-v']).error === undefined;
    it.runIf(isLinux && isInstalled).each(STOPS)(
      'ends its programs and removes its folders at %s',
      async (stop, code) => {
        const folders = (): string[] =>
          readdirSync(tmpdir()).filter((name) => name.startsWith('ws-bench-nginx-'));
        const before = folders();
        const args = [scenario, '--quick', '--rounds', '1', '--only', only];
        const run = stop === 'Ctrl-C' ? onTerminal(...args) : bench(...args);
        const runs = (): string[] => below(run.process.pid!).map(nameOf);
        await expect.poll(runs).toContain(program);
        const pids = below(run.process.pid!);
        if (stop === 'Ctrl-C') run.process.stdin!.write('\u0003');
        else run.process.kill(stop);
        const got = await run.closed;
        expect(got.code).toBe(code);
        expect(`${got.out}${got.err}`).toMatch(/^stopped after \d+ of \d+\r?$/m);
        await gone(pids);
        expect(folders().filter((name) => !before.includes(name))).toEqual([]);
      },
    );
  });

  it('stops before the first result too', async () => {
    const run = bench('micro', '--json');
    await new Promise((resolve) => run.process.once('spawn', resolve));
    await expect.poll(() => below(run.process.pid!).length).toBeGreaterThan(0);
    run.process.kill('SIGTERM');
    const { code, err } = await run.closed;
    expect(code).toBe(143);
    expect(err).toMatch(/^stopped after 0 of \d+$/m);
  });
});

describe.skipIf(!built)('ws-bench load', () => {
  async function server(): Promise<{ url: string; end: () => Promise<unknown> }> {
    const running = await serve({ host: '127.0.0.1', report: () => {} }, echo);
    const end = (): Promise<unknown> => running.close({ timeout: 1 });
    ended.push(end);
    return { url: running.url, end };
  }

  it.each([
    ['--duration', '1h'],
    ['--stage', '100ms:4', '--stage', '1h:4'],
    ['--duration', '1h', '--rate', '100'],
  ])('prints what it has measured when it is stopped: %s %s %s', async (...options) => {
    const { url } = await server();
    const run = bench('load', url, ...options);
    // The second line of progress comes from a load that runs.
    await run.until('messages per second on');
    run.process.kill('SIGINT');
    const { code, out, err } = await run.closed;
    expect(code).toBe(130);
    expect(out).toMatch(/^[1-9]\d* messages echoed in /m);
    expect(err).toMatch(/^stopped after \d+ of 360\d s$/m);
  });

  it.each([
    ['--duration', '1h'],
    ['--duration', '1h', '--rate', '100'],
  ])('prints what it has measured when the server dies: %s %s %s', async (...options) => {
    const server = bench('serve');
    await server.until('\n');
    const run = bench('load', server.out.trim(), ...options);
    await run.until('messages per second on');
    server.process.kill('SIGKILL');
    const { code, out, err } = await run.closed;
    expect(code).toBe(1);
    expect(out).toMatch(/^[1-9]\d* messages echoed in /m);
    expect(out).not.toContain('no errors');
    expect(err).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/?: .+$/m);
  });
});
