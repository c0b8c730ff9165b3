import { afterEach, beforeEach, expect } from 'vitest';
import { runCleanups } from './cleanups.ts';
import { turn } from './fake-platform.ts';

/** Turns of the event loop that a closing socket may take to disappear. */
const TURNS = 2_000;

/** Checks that this process has no open TCP socket and, with `servers`, no listening one. */
export async function expectNoSockets(servers = false): Promise<void> {
  const open = (): string[] =>
    process.getActiveResourcesInfo().filter((name) => {
      // A TLS socket has a TCP socket.
      return name === 'TCPSocketWrap' || (servers && name === 'TCPServerWrap');
    });
  for (let i = 0; i < TURNS && open().length > 0; i++) await turn();
  expect(open()).toEqual([]);
}

/**
 * Runs the cleanups of `whenOver` after every test of the current `describe`. The test fails if it leaves a socket or a
 * server open, or causes an uncaught error.
 */
export function nothingLeft(): void {
  const uncaught: unknown[] = [];
  const trap = (error: unknown): void => void uncaught.push(error);
  beforeEach(() => {
    process.on('uncaughtException', trap).on('unhandledRejection', trap);
  });
  afterEach(async () => {
    await runCleanups();
    await turn();
    process.off('uncaughtException', trap).off('unhandledRejection', trap);
    expect(uncaught.splice(0)).toEqual([]);
    await expectNoSockets(true);
  });
}
