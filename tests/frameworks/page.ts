import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { selfSigned } from '@ws/tests';
import { type Example, startProgram } from '@ws/tests/examples';
import { LOADER } from '@ws/tests/loader';
import { afterAll } from 'vitest';

const PAGE = join(import.meta.dirname, '../../docs/frameworks.md');
const BLOCK = /^```[jt]s\n\/\/ (\S+)\n([^]*?)^```/gm;

/** The programs of docs/frameworks.md, by the path in their first line. */
export const programs: ReadonlyMap<string, string> = new Map(
  [...readFileSync(PAGE, 'utf8').matchAll(BLOCK)].map(([, path, code]) => [path!, code!]),
);

/**
 * Writes all programs, with port 0, into a new folder where Node finds their packages. The folder
 * is removed after the tests of the file.
 */
export function writePrograms(): string {
  const out = join(import.meta.dirname, '.out');
  mkdirSync(out, { recursive: true });
  const folder = mkdtempSync(join(out, 'programs-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  for (const [path, code] of programs) {
    write(join(folder, path), code.replaceAll(/(?<=port: |listen\()8080/g, '0'));
  }
  return folder;
}

/** Writes a file, and its folder. */
export function write(path: string, content: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** Starts a program of the folder, with a certificate beside it. */
export async function startPage(
  folder: string,
  path: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Example> {
  const { key, cert } = await selfSigned();
  write(join(folder, 'key.pem'), key);
  write(join(folder, 'cert.pem'), cert);
  return startProgram([...LOADER, path], folder, env);
}
