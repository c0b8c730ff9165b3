import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chownSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** Where a daemon's files and ports are. */
export interface DaemonPlace {
  /** A folder of its own, with {@link DaemonOptions.files} in it; gone after `close`. */
  readonly folder: string;
  /** The first of `ports`. */
  readonly port: number;
  /** Ports of 127.0.0.1 that were free a moment ago. */
  readonly ports: readonly number[];
}

/** What {@link startDaemon} is told. */
export interface DaemonOptions {
  /** The program's name, `nginx` for example. It is looked for on the PATH and where Debian puts daemons. */
  readonly command: string;
  /** Its arguments. They have to keep it in the foreground. */
  readonly args: (place: DaemonPlace) => readonly string[];
  /** Files to write into the folder before it starts, by their names. Default: none. */
  readonly files?: ((place: DaemonPlace) => Readonly<Record<string, string>>) | undefined;
  /** How many ports it listens on; it is ready when it accepts on all of them. Default: 1. */
  readonly ports?: number | undefined;
}

/** A system daemon that a test has started. */
export interface Daemon extends DaemonPlace {
  /** Its process, for signals. */
  readonly process: ChildProcess;
  /** All that it has printed, for a failure's message. */
  output(): string;
  /** Ends it and removes its folder. It may be called twice. */
  close(): Promise<void>;
}

const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
/** Debian's `nobody`: a daemon that a test of root's starts is as little privileged as anybody's. */
const NOBODY = 65_534;
const ATTEMPTS = 4;
const READY_MS = 8_000;
const KNOCK_MS = 20;
/** The only fault that other ports would not mend. */
const DEAF = 'it does not accept';
const END_MS = 3_000;

/**
 * Starts a daemon on ports of its own and resolves when it accepts there.
 *
 * Between the choice of a free port and the daemon's bind somebody else may take it. So a daemon counts as ready only
 * when the socket that accepts is its own; when it is not, or the daemon has ended, others are tried.
 *
 * @throws (rejects with) Error when there is no such program, or when it does not come up: the message has its output.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const path = findDaemon(options.command);
  if (path === undefined) {
    throw new Error(`${options.command}: not found; .ci/run installs it from its Debian package`);
  }
  for (let attempt = 1; ; attempt++) {
    const daemon = await launch(path, options);
    const fault = await readiness(daemon);
    if (fault === undefined) return daemon;
    await daemon.close();
    if (attempt < ATTEMPTS && fault !== DEAF) continue;
    throw new Error(`${options.command}: ${fault}\n${daemon.output()}`);
  }
}

/** The path of a daemon's program; undefined when there is none. */
export function findDaemon(command: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, command)).find(isExecutable);
}

/**
 * Says whether a suite that needs these daemons is to be skipped, and prints why: one is missing. With `CI` set nothing
 * is skipped; the suite then fails where it starts what is missing.
 *
 * @example
 * ```ts no-run
 * describe.skipIf(lacksDaemon('nginx'))('serve behind nginx', () => {});
 * ```
 */
export function lacksDaemon(...commands: readonly string[]): boolean {
  const missing = commands.filter((command) => findDaemon(command) === undefined);
  if (missing.length === 0 || process.env['CI']) return false;
  console.log(`skipped: what needs ${missing.join(', ')}; .ci/run installs it`);
  return true;
}

async function launch(path: string, { args, files, ports = 1 }: DaemonOptions): Promise<Daemon> {
  const free = await freePorts(ports);
  const folder = mkdtempSync(join(tmpdir(), 'ws-daemon-'));
  const place: DaemonPlace = { folder, port: free[0]!, ports: free };
  const owner = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : undefined;
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
        // A child of its own may hold the other ends.
        child.stdout.destroy();
        child.stderr.destroy();
      }, END_MS);
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

/** No daemon outlives the process that started it, also when that does not close it. */
function endWithUs(child: ChildProcess, folder: string, over: Promise<void>): void {
  if (running.size === 0) process.on('exit', killAll);
  running.set(child, folder);
  void over.then(() => {
    running.delete(child);
    if (running.size === 0) process.off('exit', killAll);
  });
}

/** Waits until a daemon accepts on all its ports. Gives what went wrong, undefined when nothing did. */
async function readiness({ process: child, ports }: Daemon): Promise<string | undefined> {
  const end = performance.now() + READY_MS;
  const waiting = new Set(ports);
  while (performance.now() < end) {
    for (const port of waiting) {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) {
        return 'it ended instead of listening';
      }
      if (!(await accepts(port))) continue;
      if (!ownsPort(child.pid, port)) return `port ${port} is somebody else's`;
      waiting.delete(port);
    }
    if (waiting.size === 0) return undefined;
    // A foreign process gives no event.
    await new Promise((resolve) => setTimeout(resolve, KNOCK_MS));
  }
  return DEAF;
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

/** Whether the socket that listens on `port` belongs to the process. Where the system does not tell, it does. */
function ownsPort(pid: number, port: number): boolean {
  const sockets = listeningSockets(port);
  if (sockets === undefined) return true;
  const folder = `/proc/${pid}/fd`;
  // What has ended or was closed meanwhile owns nothing.
  const names = told(() => readdirSync(folder)) ?? [];
  return names.some((name) => sockets.includes(told(() => readlinkSync(join(folder, name))) ?? ''));
}

/** What Linux calls the sockets that listen on a port of 127.0.0.1; undefined on other systems. */
function listeningSockets(port: number): string[] | undefined {
  const table = told(() => readFileSync('/proc/net/tcp', 'utf8'));
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

/** Different ports that nobody listens on. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What the system tells when it is asked; undefined when it does not. */
function told<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
