import { Socket } from 'node:net';
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

/** The open sockets, in words: the counts alone do not tell which one is left. */
function openSockets(): string {
  const { _getActiveHandles } = process as unknown as { _getActiveHandles: () => unknown[] };
  const sockets = _getActiveHandles.call(process).filter((handle) => handle instanceof Socket);
  return sockets
    .map((socket) => {
      const { localPort, remotePort, readyState, destroyed, writableEnded, writableFinished } =
        socket;
      const ends = { destroyed, writableEnded, writableFinished };
      return `${socket.constructor.name} ${localPort} to ${remotePort}, ${readyState}, ${JSON.stringify(ends)}`;
    })
    .join('; ');
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
  if (left().length > 0) expect(left(), openSockets()).toEqual([]);
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
