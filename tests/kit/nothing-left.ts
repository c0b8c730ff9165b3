import { afterEach, beforeEach, expect } from 'vitest';
import { runCleanups } from './cleanups.ts';
import { turn } from './fake-platform.ts';
import { nothingUnhandled } from './nothing-unhandled.ts';

/** Milliseconds, and turns of the event loop, that a closing socket may take to disappear. */
const TIME = 3_000;
const TURNS = 2_000;

/** Handles that were there before the test: Node leaves one when `tls.connect` throws, until it is collected. */
let before: string[] = [];

function count(names: readonly string[], kind: string): number {
  return names.filter((name) => name === kind).length;
}

/** Checks that no TCP socket of the test is open and, with `servers`, none that listens. */
export async function expectNoSockets(servers = false): Promise<void> {
  // A TLS socket has a TCP socket.
  const kinds = servers ? ['TCPSocketWrap', 'TCPServerWrap'] : ['TCPSocketWrap'];
  const left = (): string[] => {
    const now = process.getActiveResourcesInfo();
    return kinds.filter((kind) => count(now, kind) > count(before, kind));
  };
  const end = performance.now() + TIME;
  for (let i = 0; left().length > 0 && (i < TURNS || performance.now() < end); i++) await turn();
  expect(left()).toEqual([]);
}

/**
 * Runs the cleanups of `whenOver` after every test of the current `describe`. The test fails if it leaves a socket or a
 * server open, or causes an uncaught error.
 */
export function nothingLeft(): void {
  // Its check runs after the cleanups: vitest runs the last `afterEach` first.
  nothingUnhandled();
  beforeEach(() => {
    before = process.getActiveResourcesInfo();
  });
  afterEach(async () => {
    await runCleanups();
    await expectNoSockets(true);
  });
}
