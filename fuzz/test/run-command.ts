import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Result of a child process. */
export interface Exit {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program of `fuzz/` in a child process. `env` extends the environment. */
export function runCommand(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Exit> {
  const path = fileURLToPath(new URL(`../${file}`, import.meta.url));
  const all = ['--conditions=@ws/source', '--import', 'tsx', path, ...args];
  return new Promise((resolve) => {
    execFile(process.execPath, all, { env: { ...process.env, ...env } }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}
