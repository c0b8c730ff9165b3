import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';

// The runtimes are dependencies of that package alone.
const require = createRequire(new URL('../../../tools/runtimes/package.json', import.meta.url));
const PROGRAM = join(import.meta.dirname, 'program');
const WORKERD = 'workerd';

/** Where the program runs. */
export type RuntimeName = 'Node' | 'Bun' | 'Deno' | 'Workers' | 'Durable Object';

export const RUNTIMES: readonly RuntimeName[] = [
  'Node',
  'Bun',
  'Deno',
  'Workers',
  'Durable Object',
];

/** A program that runs. */
export interface Running {
  /** `http://127.0.0.1:1234`. */
  readonly url: string;
  readonly port: number;
  /** The same with compression, and with the shortest time for silent peers, where a runtime has these options. */
  readonly second: number;
  readonly child: ChildProcess;
  /** What it has printed. */
  output(): string;
  stop(): Promise<void>;
}

/**
 * Whether a runtime is missing, or the packages are not built; prints the reason. `FETCH_RUNTIMES=Node,Bun`
 * selects some.
 */
export function lacksRuntime(name: RuntimeName): boolean {
  const selected = process.env['FETCH_RUNTIMES']?.split(',');
  if (selected?.includes(name) === false) return true;
  const built = existsSync(join(import.meta.dirname, '../dist/workers.js'));
  if (built && (name === 'Node' || binaryOf(name) !== undefined)) return false;
  if (process.env['WS_BUILT'] !== undefined) return false;
  console.log(
    `skipped: @ws/fetch on ${name}; ${built ? 'not installed' : 'not built, pnpm build does it'}`,
  );
  return true;
}

/** The packages with the binaries. */
const BINARIES = {
  Bun: ['bun', '@oven/bun-', 'bin/bun'],
  Deno: ['deno', '@deno/', 'deno'],
  Workers: [WORKERD, '@cloudflare/workerd-', 'bin/workerd'],
  'Durable Object': [WORKERD, '@cloudflare/workerd-', 'bin/workerd'],
} as const;

/** The path of a runtime's binary from npm. Their own commands need scripts, which pnpm does not run. */
function binaryOf(name: keyof typeof BINARIES): string | undefined {
  const [owner, prefix, path] = BINARIES[name];
  try {
    const folder = dirname(dirname(require.resolve(`${owner}/package.json`)));
    const [scope = ''] = prefix.split('/');
    const packages = readdirSync(join(folder, scope)).map((each) =>
      join(folder, scope, each, path),
    );
    return packages.find((file) => existsSync(file));
  } catch {
    return undefined;
  }
}

interface BuildResult {
  readonly outputFiles: readonly { readonly text: string }[];
}

/** Bundles a program, for Workers by default, with the esbuild of tsx. */
export async function bundle(entry: string, conditions: string[] = [WORKERD]): Promise<string> {
  const { build } = createRequire(require.resolve('tsx'))('esbuild') as {
    build: (options: object) => Promise<BuildResult>;
  };
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    conditions,
    external: ['cloudflare:workers'],
    logLevel: 'error',
  });
  return outputFiles[0]!.text;
}

/** Compatibility dates of Workers: the newest, and one before the runtime answered close frames itself. */
export const DATES = ['2026-11-17', '2025-01-01'] as const;

/**
 * Starts the program of a folder, `program/` by default, on a runtime. The built packages are used.
 *
 * @param date - Of Workers.
 */
export async function start(
  name: RuntimeName,
  folder: string = PROGRAM,
  date: string = DATES[0],
): Promise<Running> {
  if (name === 'Node') return run(process.execPath, [join(folder, 'node.mjs')]);
  const binary = binaryOf(name)!;
  if (name === 'Bun') return run(binary, [join(folder, 'bun.mjs')]);
  if (name === 'Deno') {
    return run(binary, [
      'run',
      '-A',
      '--no-prompt',
      '--v8-flags=--expose-gc',
      '--node-modules-dir=manual',
      join(folder, 'deno.mjs'),
    ]);
  }
  const kind = name === 'Workers' ? 'worker' : 'durable';
  return startWorker(kind, await bundle(join(folder, `${kind}.mjs`)), date);
}

async function startWorker(kind: string, text: string, date: string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), 'ws-fetch-'));
  writeFileSync(join(folder, `${kind}.bundle.mjs`), text);
  const config = join(folder, 'config.capnp');
  writeFileSync(config, capnp(kind, date));
  const running = await run(binaryOf('Workers')!, ['serve', '--control-fd=1', config]);
  const stop = async (): Promise<void> => {
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { ...running, stop };
}

/** The configuration of workerd. */
function capnp(kind: string, date: string): string {
  const objects = `
  durableObjectNamespaces = [
    (className = "Room", uniqueKey = "room"),
    (className = "Sleeper", uniqueKey = "sleeper")
  ],
  durableObjectStorage = (inMemory = void),
  bindings = [
    (name = "ROOM", durableObjectNamespace = "Room"),
    (name = "SLEEPER", durableObjectNamespace = "Sleeper")
  ],`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = ["--expose-gc"],
  services = [ (name = "main", worker = .program) ],
  sockets = [ (name = "http", address = "127.0.0.1:0", http = (), service = "main") ]
);
const program :Workerd.Worker = (
  modules = [ (name = "worker", esModule = embed "${kind}.bundle.mjs") ],${kind === 'durable' ? objects : ''}
  compatibilityDate = "${date}"
);
`;
}

/** Starts a process that prints its port. */
async function run(command: string, args: readonly string[]): Promise<Running> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const port = await new Promise<number>((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      output += String(chunk);
      const [, found] = /(?:listening |"port":)(\d+)/.exec(output) ?? [];
      if (found !== undefined) resolve(Number(found));
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${command} ended with ${code}: ${output}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    second: Number(/second (\d+)/.exec(output)?.[1] ?? port),
    child,
    output: () => output,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
