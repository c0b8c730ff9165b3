import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pinned } from './child.ts';
import { atExit } from './ends.ts';
import { freePort } from './free-port.ts';

/** Ticks of the counters in /proc/PID/stat, a second. */
const TICKS = 100;

let found: boolean | undefined;

/** Whether nginx is installed. */
export function hasNginx(): boolean {
  found ??= spawnSync('nginx', ['-v']).status === 0;
  return found;
}

/** nginx with one worker in front of a port of 127.0.0.1. */
export class NginxProxy {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #kept: () => void;

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port;
    this.#child = child;
    this.#folder = folder;
    this.#kept = atExit(() => {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    });
  }

  static async start(target: number, core: number | undefined): Promise<NginxProxy> {
    const port = await freePort();
    // No await until the constructor: an exit removes only a registered folder.
    const folder = mkdtempSync(join(tmpdir(), 'ws-bench-nginx-'));
    writeFileSync(join(folder, 'nginx.conf'), configuration(port, target));
    const args = ['nginx', '-p', folder, '-e', 'stderr', '-c', 'nginx.conf'];
    const [command = '', ...rest] = pinned(core, args);
    const child = spawn(command, rest, { stdio: 'ignore' });
    const proxy = new NginxProxy(port, child, folder);
    for (let tries = 0; tries < 200; tries++) {
      if (await accepts(port)) return proxy;
      await sleep(25);
    }
    await proxy.end();
    throw new Error('nginx does not listen');
  }

  /** Microseconds of CPU so far, in steps of 10 ms. */
  cpu(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / TICKS;
  }

  async end(): Promise<void> {
    const exit = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.kill('SIGTERM')) await exit;
    rmSync(this.#folder, { recursive: true, force: true });
    this.#kept();
  }
}

function configuration(port: number, target: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const paths = temporary.map((name) => `${name}_temp_path ${name};`).join(' ');
  return `daemon off; master_process off; pid nginx.pid; error_log stderr crit;
events { worker_connections 8192; }
http { access_log off; ${paths}
  server { listen 127.0.0.1:${port} backlog=4096; location / {
    proxy_pass http://127.0.0.1:${target}; proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
    proxy_read_timeout 1h; proxy_send_timeout 1h; } } }
`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
