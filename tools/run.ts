import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import process from 'node:process';

/** A program and its arguments. */
export type Command = readonly [program: string, ...args: string[]];

const require = createRequire(import.meta.url);

/** The JavaScript file of a command of a package that is installed in `folder`, so that no shell is needed. */
export function bin(folder: string, name: string, command: string = name): string {
  const manifest = join(folder, 'node_modules', name, 'package.json');
  const { bin: bins } = JSON.parse(readFileSync(manifest, 'utf8')) as {
    bin: string | Record<string, string>;
  };
  const file = typeof bins === 'string' ? bins : bins[command];
  if (file === undefined) throw new Error(`${name} has no command ${command}`);
  return join(dirname(manifest), file);
}

/** `node` with the given file and arguments. */
export function node(...args: string[]): Command {
  return [process.execPath, ...args];
}

/** `node` with a TypeScript file: packages resolve to their sources. */
export function source(...args: string[]): Command {
  return node('--conditions=@ws/source', '--import', require.resolve('tsx'), ...args);
}

/** The pinned pnpm, even if none is installed. */
export function pnpm(...args: string[]): Command {
  const { packageManager } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    packageManager: string;
  };
  return ['npx', '-y', packageManager.replace(/\+.*/, ''), ...args];
}

/**
 * Runs the commands one after another until one fails; resolves to whether all succeeded.
 *
 * @param collect - Receives the output instead of the terminal.
 * @param env - Added to the environment of the commands.
 * @param minutes - Each command is killed after this time.
 */
export async function runAll(
  commands: readonly Command[],
  collect?: (text: string) => void,
  env?: Readonly<Record<string, string>>,
  minutes?: number,
): Promise<boolean> {
  for (const [program, ...args] of commands) {
    if (stoppedBy !== undefined) return false;
    const output = collect === undefined ? 'inherit' : 'pipe';
    const child = spawn(program, args, {
      stdio: ['inherit', output, output],
      shell: program === 'npx' && isWindows,
      env: { ...process.env, ...env },
      // A group, so that a signal ends what the program has started, too: tsc starts a native one.
      detached: !isWindows,
    });
    let isLate = false;
    const late = setTimeout(
      () => {
        isLate = true;
        // A program in an endless loop ignores other signals.
        kill(child, 'SIGKILL');
      },
      minutes === undefined ? LONGEST_TIMER : minutes * 60_000,
    );
    if (collect !== undefined) {
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.setEncoding('utf8').on('data', collect);
      }
    }
    const closeOutput = (): void => {
      child.stdout?.destroy();
      child.stderr?.destroy();
    };
    const stop = (signal: NodeJS.Signals): void => {
      stoppedBy = signal;
      // A stopped program may leave a child that keeps the output open.
      if (!kill(child, signal)) closeOutput();
      else child.once('exit', closeOutput);
    };
    process.on('SIGINT', stop).on('SIGTERM', stop);
    const [code] = (await once(child, 'close')) as [number | null];
    process.off('SIGINT', stop).off('SIGTERM', stop);
    clearTimeout(late);
    if (isLate) {
      console.error(`killed, at most ${minutes} minutes: ${args.join(' ')}`);
    }
    if (code !== 0) return false;
  }
  return true;
}

/** Sends a signal to a program and to what it has started. False when all of them have ended. */
function kill(child: ChildProcess, signal: NodeJS.Signals): boolean {
  if (isWindows) return child.kill(signal);
  try {
    return process.kill(-child.pid!, signal);
  } catch {
    return false;
  }
}

/** The most ms of a timer. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The signal that ends this process. No more programs start then. */
let stoppedBy: NodeJS.Signals | undefined;

const isWindows = process.platform === 'win32';

/** One row of a table of commands. */
export interface Task {
  /** Text for `--help`. */
  readonly what: string;
  /** How long it takes on two idle cores, for `--help`: `2 min`. */
  readonly time: string;
  /** Programs that run one after another. */
  readonly commands: readonly Command[];
  /** An earlier row that must end first: both write the same files, or this one reads them. */
  readonly after?: string;
  /** Added to the environment of the programs. */
  readonly env?: Readonly<Record<string, string>>;
  /** Each program is killed after this time. Default: none. */
  readonly minutes?: number;
  /** Its output is printed at once, also beside other tasks. At most one task of a run. */
  readonly live?: boolean;
}

/**
 * Runs the named tasks in the order of the table, each once, and prints the time of each. A failure
 * or an unknown name sets the exit code. SIGINT and SIGTERM end the programs and this process.
 *
 * @param lanes - Number of tasks that run at once. With several, the output of a task is printed
 *   when it ends, unless it is `live`.
 */
export async function runTasks(
  tasks: Readonly<Record<string, Task>>,
  names: readonly string[],
  lanes = 1,
): Promise<void> {
  const unknown = names.filter((name) => !Object.hasOwn(tasks, name));
  if (unknown.length > 0) {
    console.error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(tasks).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  const failed: string[] = [];
  const running = new Map<string, Promise<void>>();
  const rows = Object.keys(tasks).filter((name) => names.includes(name));
  const waiting = rows.values();
  const together = lanes > 1 && rows.length > 1;

  async function lane(): Promise<void> {
    for (const name of waiting) {
      const run = runTask(name, tasks[name]!);
      running.set(name, run);
      await run;
    }
  }

  async function runTask(
    name: string,
    { commands, after, env, minutes, live }: Task,
  ): Promise<void> {
    if (after !== undefined) await running.get(after);
    if (stoppedBy !== undefined) return;
    const start = performance.now();
    console.log(together ? `== ${name}: started` : `== ${name}`);
    let output = '';
    const collect = together && !live ? (text: string) => (output += text) : undefined;
    const ok = await runAll(commands, collect, env, minutes);
    const seconds = Math.round((performance.now() - start) / 1000);
    if (collect !== undefined) process.stdout.write(`== ${name}\n${output}`);
    console.log(`== ${name}: ${ok ? 'ok' : 'FAILED'} (${seconds} s)`);
    if (!ok) failed.push(name);
  }

  await Promise.all(Array.from({ length: together ? lanes : 1 }, lane));
  if (stoppedBy !== undefined) {
    // The listeners are gone, so this ends the process, and a shell sees the signal.
    process.kill(process.pid, stoppedBy);
    return;
  }
  if (failed.length === 0) return;
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}

/** Ends the output, not the program, when its reader closes the pipe, for example `| head`. */
export function allowClosedOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

/** The table as text for `--help`. */
export function list(tasks: Readonly<Record<string, Task>>): string {
  const rows = Object.entries(tasks);
  const names = Math.max(...rows.map(([name]) => name.length));
  const times = Math.max(...rows.map(([, { time }]) => time.length));
  return rows
    .map(([name, { what, time }]) => `  ${name.padEnd(names)}  ${time.padStart(times)}  ${what}`)
    .join('\n');
}
