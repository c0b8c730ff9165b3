import { openSync, readSync } from 'node:fs';

/** Linux's account of the thread that opens it; its first figure is the time on a CPU, in nanoseconds. */
const ACCOUNT = '/proc/thread-self/schedstat';

const text = Buffer.alloc(64);
const account = openAccount();

/**
 * Milliseconds of CPU time that this thread has had, which is the same on a machine with other work. Compilers and
 * collectors have threads of their own and do not count; where the system does not tell threads apart, they do.
 */
export function threadTime(): number {
  // It is asked for in any case: it brings the account up to now.
  const { user, system } = process.cpuUsage();
  return account === undefined ? (user + system) / 1_000 : readAccount(account) / 1_000_000;
}

function openAccount(): number | undefined {
  try {
    const file = openSync(ACCOUNT, 'r');
    return readAccount(file) > 0 ? file : undefined;
  } catch {
    return undefined;
  }
}

function readAccount(file: number): number {
  const length = readSync(file, text, 0, text.length, 0);
  return Number.parseInt(text.toString('latin1', 0, length), 10);
}
