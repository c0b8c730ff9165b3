import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import process from 'node:process';

/** Folders of Debian's daemons, which are on the PATH of root only. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The path of a program on the PATH or in a system folder, or undefined. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/**
 * Reports whether to skip a suite that needs these programs, and prints the missing ones. Never with
 * REQUIRE_PROGRAMS set: the suite then fails where it starts the program.
 *
 * @example
 * ```ts no-run
 * describe.skipIf(lacksDaemon('nginx'))('serve behind nginx', () => {});
 * ```
 */
export function lacksDaemon(...names: readonly string[]): boolean {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0 || process.env['REQUIRE_PROGRAMS']) return false;
  console.log(`skipped: ${missing.join(', ')} not found; .ci/run installs it`);
  return true;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
