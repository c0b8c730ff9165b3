import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { LOADER } from '@ws/tests/loader';

const server = fileURLToPath(new URL('../server.ts', import.meta.url));

/** The demo in its own process. */
export interface Program {
  /** Address of the page, with a slash at the end. */
  readonly url: string;
  /** The same for WebSockets. */
  readonly ws: string;
  readonly port: string;
  readonly running: boolean;
  /** Stops the process, or lets it continue. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void;
  /** Sends a signal and resolves with the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts the demo as `pnpm start` does; resolves when it listens. */
export async function startProgram(port = '0', env: NodeJS.ProcessEnv = {}): Promise<Program> {
  const child = launch({ PORT: port, ...env });
  const exited = once(child, 'exit');
  const first = await Promise.race([once(child.stdout!, 'data'), exited]);
  const url = /http:\/\/\S+/.exec(String(first[0]))?.[0];
  if (url === undefined) throw new Error(`the demo did not start: ${String(first[0])}`);
  return {
    url,
    ws: url.replace('http', 'ws'),
    port: new URL(url).port,
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    signal: (signal) => void child.kill(signal),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await exited;
      return child.exitCode;
    },
  };
}

/** Runs a demo that cannot start. @returns Its output and its exit code. */
export async function failProgram(env: NodeJS.ProcessEnv): Promise<{ says: string; code: number }> {
  const child = launch(env, 'pipe');
  const [says, [code]] = await Promise.all([text(child.stderr!), once(child, 'exit')]);
  return { says: says.trim(), code };
}

function launch(env: NodeJS.ProcessEnv, stderr: 'inherit' | 'pipe' = 'inherit'): ChildProcess {
  return spawn(process.execPath, [...LOADER, server], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', stderr],
  });
}
