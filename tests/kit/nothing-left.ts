import { afterEach, beforeEach, expect } from 'vitest';
import { turn } from '../fake-host.ts';

const cleanups: (() => unknown)[] = [];
/** Turns that what is closing may take to be gone, once the test has seen it close. */
const TURNS = 2_000;

/** Runs `cleanup` when the test is over, the last one first. */
export function whenOver(cleanup: () => unknown): void {
  cleanups.push(cleanup);
}

/** Checks that no TCP socket of this process is open any more, nor, when `servers` says so, one that listens. */
export async function expectNoSockets(servers = false): Promise<void> {
  const open = (): string[] =>
    process.getActiveResourcesInfo().filter((name) => {
      // TLS stands on TCP.
      return name === 'TCPSocketWrap' || (servers && name === 'TCPServerWrap');
    });
  for (let i = 0; i < TURNS && open().length > 0; i++) await turn();
  expect(open()).toEqual([]);
}

/**
 * Every test of the `describe` at hand runs its {@link whenOver}s, and fails when then a socket or a server is open, or
 * when anything was uncaught while it ran.
 */
export function nothingLeft(): void {
  const uncaught: unknown[] = [];
  const trap = (error: unknown): void => void uncaught.push(error);
  beforeEach(() => {
    process.on('uncaughtException', trap).on('unhandledRejection', trap);
  });
  afterEach(async () => {
    for (let cleanup = cleanups.pop(); cleanup !== undefined; cleanup = cleanups.pop()) {
      await cleanup();
    }
    await turn();
    process.off('uncaughtException', trap).off('unhandledRejection', trap);
    expect(uncaught.splice(0)).toEqual([]);
    await expectNoSockets(true);
  });
}
