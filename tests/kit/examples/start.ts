import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';

const root = join(import.meta.dirname, '../../..');
const BLOCK = /^```sh\n([\s\S]*?)^```/m;
const ASSIGNMENT = /^([A-Z_]+)=(.*)$/;

/** A program of examples/ that is running. */
export interface Example {
  /** The first URL that it printed, without a slash at its end. */
  readonly url: string;
  /** The same for WebSockets. */
  readonly ws: string;
  readonly port: number;
  /** All that it has printed so far. */
  output(): string;
  /**
   * Ends it and resolves with the exit code: by SIGTERM for its first process, as a service manager does, or by SIGINT for
   * all of them, as a terminal does. It may be called twice.
   */
  stop(signal?: 'SIGINT' | 'SIGTERM'): Promise<number | null>;
}

/**
 * Runs an example as its README prints it: the first `sh` block there, from the root of the workspace, on a free port.
 * Resolves when it has printed its URL.
 *
 * @param env - In place of what the block sets, and besides.
 * @throws (rejects with) Error when it ends instead; the message has what it printed.
 */
export async function startExample(
  name: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Example> {
  const readme = readFileSync(join(root, 'examples', name, 'README.md'), 'utf8');
  const words = BLOCK.exec(readme)?.[1]?.trim().split(/\s+/) ?? [];
  const program = words.findIndex((word) => !ASSIGNMENT.test(word));
  const [command, ...args] = words.slice(program);
  if (command === undefined) throw new Error(`examples/${name}/README.md: no command to run`);
  const printed = Object.fromEntries(
    words.slice(0, program).map((word) => ASSIGNMENT.exec(word)!.slice(1)),
  );
  const child = spawn(command, args, {
    cwd: root,
    env: { ...withoutNpm(process.env), ...printed, PORT: '0', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, as in a terminal.
    detached: true,
  });
  const exited = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const url = await firstUrl(child, () => output);
  return {
    url,
    ws: url.replace(/^http/, 'ws'),
    port: Number(new URL(url).port),
    output: () => output,
    async stop(signal = 'SIGTERM') {
      const over = child.exitCode !== null || child.signalCode !== null;
      if (!over) process.kill(signal === 'SIGINT' ? -child.pid! : child.pid!, signal);
      await exited;
      return child.exitCode;
    },
  };
}

/** As in a terminal: npm and pnpm hand their settings of this folder, the shell for scripts for example, to all below. */
function withoutNpm(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^npm_/i.test(name)));
}

function firstUrl(child: ChildProcess, output: () => string): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout!.on('data', () => {
      const found = /\b(?:http|ws)s?:\/\/\S+(?=\s)/.exec(output())?.[0];
      if (found !== undefined) resolve(found.replace(/\/$/, ''));
    });
    child.once('error', reject);
    child.once('close', () => reject(new Error(`it ended instead of serving\n${output()}`)));
  });
}
