import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { whenOver } from '@ws/tests';

const BIN = join(import.meta.dirname, '../bin/wsx.js');

/** The keys of a terminal. */
export const KEYS = { ctrlC: '\u0003', ctrlD: '\u0004', up: '\u001b[A', enter: '\r' } as const;

/** Text of a terminal without the sequences that move the cursor and set colours. */
export function plain(text: string): string {
  return text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
}

/** A program that runs in the test's own process group or on a pseudo-terminal. */
export interface Started {
  readonly child: ChildProcess;
  /** Everything that was printed, on a terminal as it was drawn. */
  readonly screen: () => string;
  readonly type: (keys: string) => void;
  /** Resolves when this text is printed after everything that earlier calls have found. */
  readonly until: (text: string) => Promise<void>;
  /** The exit code. */
  readonly code: Promise<number>;
}

/**
 * Runs `wsx` of the build on a pseudo-terminal, made by python3: it copies keys and output, and
 * ends with the exit code of the program.
 */
export function onTerminal(args: readonly string[], env: Record<string, string> = {}): Started {
  return run('python3', ['-c', PTY, process.execPath, BIN, ...args], env);
}

const PTY = `
import os, pty, sys
status = pty.spawn(sys.argv[1:])
sys.exit(os.waitstatus_to_exitcode(status) & 255)
`;

/** Runs `wsx` of the build in pipes. */
export function inPipes(
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): Started {
  return run(process.execPath, [BIN, ...args], env, cwd);
}

/** Starts a program. It ends with the test. */
export function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
  cwd?: string,
): Started {
  const child = spawn(program, args, {
    stdio: 'pipe',
    cwd,
    env: { ...process.env, TERM: 'xterm', NO_COLOR: '', ...env },
  });
  let screen = '';
  let seen = 0;
  let wake = (): void => {};
  let isOver = false;
  const take = (chunk: Buffer): void => {
    screen += chunk.toString();
    wake();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  child.stdin.on('error', () => {});
  const code = new Promise<number>((resolve) => {
    child.on('close', (status, signal) => {
      isOver = true;
      wake();
      resolve(status ?? (signal === null ? -1 : -2));
    });
  });
  whenOver(() => {
    child.kill('SIGKILL');
    return code;
  });
  return {
    child,
    code,
    screen: () => screen,
    type: (keys) => void child.stdin.write(keys),
    async until(text) {
      for (;;) {
        const at = plain(screen).indexOf(text, seen);
        if (at !== -1) {
          seen = at + text.length;
          return;
        }
        if (isOver) throw new Error(`ended without ${JSON.stringify(text)}: ${plain(screen)}`);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}
