import { type ChildProcess, spawn } from 'node:child_process';
import {
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { ownPort } from './own-port.ts';
import { findProgram } from './programs.ts';

/** Folder and ports of a daemon. */
export interface DaemonPlace {
  /** A new folder with {@link DaemonOptions.files}. `close` removes it. */
  readonly folder: string;
  /** The first of `ports`. */
  readonly port: number;
  /** Ports of {@link ownPort}. */
  readonly ports: readonly number[];
}

/** Options of {@link startDaemon}. */
export interface DaemonOptions {
  /** Name of the program, for example `nginx`. */
  readonly command: string;
  /** Arguments. They must keep the daemon in the foreground. */
  readonly args: (place: DaemonPlace) => readonly string[];
  /** Contents of the files in the folder, by name. Default: none. */
  readonly files?: ((place: DaemonPlace) => Readonly<Record<string, string>>) | undefined;
  /** Number of ports. The daemon is ready when it accepts on all of them. Default: 1. */
  readonly ports?: number | undefined;
  /** Time in ms for the daemon to accept. Default: 50000, for a busy machine. */
  readonly readyMs?: number | undefined;
  /** Time in ms between SIGTERM and SIGKILL. Default: 3000. */
  readonly endMs?: number | undefined;
}

/** A running daemon. */
export interface Daemon extends DaemonPlace {
  /** The process, for signals. */
  readonly process: ChildProcess;
  /** The output so far. */
  output(): string;
  /** Stops the daemon and removes its folder. Repeated calls do nothing. */
  close(): Promise<void>;
}

/** User id of Debian's `nobody`: a daemon started by root runs without privileges. */
const UNPRIVILEGED = 65_534;
const ATTEMPTS = 4;
const POLL_MS = 20;
/** The only failure that other ports cannot fix. */
const SILENT = 'it does not accept';

/**
 * Starts a daemon on ports of its own and resolves when it accepts.
 *
 * These programs read their ports from a configuration and do not print the port that the system chose for port 0. So
 * the kit chooses them, and a process that is no test may bind them first. A daemon is ready only if the listening socket is
 * its own. Otherwise, and if the daemon exits, the kit tries other ports.
 *
 * @throws (rejects with) Error for a missing program or a failed start. The message contains the output.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const path = findProgram(options.command);
  if (path === undefined) {
    throw new Error(`${options.command}: not found; .ci/run installs it from its Debian package`);
  }
  for (let attempt = 1; ; attempt++) {
    const daemon = await launch(path, options);
    const fault = await readiness(daemon, options.readyMs ?? 50_000);
    if (fault === undefined) return daemon;
    await daemon.close();
    if (attempt < ATTEMPTS && fault !== SILENT) continue;
    throw new Error(`${options.command}: ${fault}\n${daemon.output()}`);
  }
}

async function launch(
  path: string,
  { args, files, ports = 1, endMs = 3_000 }: DaemonOptions,
): Promise<Daemon> {
  const free = await Promise.all(Array.from({ length: ports }, ownPort));
  const folder = mkdtempSync(join(tmpdir(), 'ws-daemon-'));
  const place: DaemonPlace = { folder, port: free[0]!, ports: free };
  const owner = process.getuid?.() === 0 ? { uid: UNPRIVILEGED, gid: UNPRIVILEGED } : undefined;
  const written = Object.entries(files?.(place) ?? {});
  for (const [name, content] of written) writeFileSync(join(folder, name), content);
  if (owner !== undefined) {
    const own = [folder, ...written.map(([name]) => join(folder, name))];
    for (const item of own) chownSync(item, owner.uid, owner.gid);
  }

  const child = spawn(path, args(place), {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...owner,
  });
  const over = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  endWithUs(child, folder, over);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  child.once('error', (error) => {
    output += String(error);
  });
  return {
    ...place,
    process: child,
    output: () => output,
    async close() {
      child.kill();
      const timer = setTimeout(() => {
        child.kill('SIGKILL');
        // A child process of the daemon may keep the pipes open.
        child.stdout.destroy();
        child.stderr.destroy();
      }, endMs);
      await over;
      clearTimeout(timer);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const running = new Map<ChildProcess, string>();

function killAll(): void {
  for (const [child, folder] of running) {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Kills the daemon when this process exits without closing it. */
function endWithUs(child: ChildProcess, folder: string, over: Promise<void>): void {
  if (running.size === 0) process.on('exit', killAll);
  running.set(child, folder);
  void over.then(() => {
    running.delete(child);
    if (running.size === 0) process.off('exit', killAll);
  });
}

/** Waits until a daemon accepts on all its ports. Returns the failure, or undefined. */
async function readiness(
  { process: child, ports }: Daemon,
  readyMs: number,
): Promise<string | undefined> {
  const end = performance.now() + readyMs;
  const waiting = new Set(ports);
  while (performance.now() < end) {
    for (const port of waiting) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
        return 'it exited before it listened';
      }
      if (!(await accepts(port))) continue;
      if (!ownsPort(child.pid, port)) return `port ${port} belongs to another process`;
      waiting.delete(port);
    }
    if (waiting.size === 0) return undefined;
    // Another process gives no event.
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return SILENT;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let accepted = false;
    const socket = connect(port, '127.0.0.1', () => {
      accepted = true;
      socket.destroy();
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(accepted));
  });
}

/** Whether the listening socket of `port` belongs to the process. True where the system has no /proc. */
function ownsPort(pid: number, port: number): boolean {
  const sockets = listeningSockets(port);
  if (sockets === undefined) return true;
  const folder = `/proc/${pid}/fd`;
  const names = attempt(() => readdirSync(folder)) ?? [];
  return names.some((name) =>
    sockets.includes(attempt(() => readlinkSync(join(folder, name))) ?? ''),
  );
}

/** Names of the listening sockets of a port of 127.0.0.1 in /proc, or undefined on other systems. */
function listeningSockets(port: number): string[] | undefined {
  const table = attempt(() => readFileSync('/proc/net/tcp', 'utf8'));
  if (table === undefined) return undefined;
  const number = port.toString(16).toUpperCase().padStart(4, '0');
  const addresses = [`0100007F:${number}`, `00000000:${number}`];
  // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, local, , state]) => addresses.includes(local ?? '') && state === '0A')
    .map((row) => `socket:[${row[9]}]`);
}

/** The result of `ask`, or undefined if it throws. */
function attempt<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
