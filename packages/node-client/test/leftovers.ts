import { getEventListeners } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { prepareReadBuffer } from '@ws/node-io/internal';
import { expect, onTestFinished, vi } from 'vitest';
import { type DialAddress, Dialer, type DialerOptions, type DialOptions } from '../src/index.ts';
import { closing } from './servers.ts';

/**
 * The names of our own listeners. node:net and node:tls leave some of theirs on streams
 * that they destroy.
 */
const OURS = new Set([
  '#onError',
  'release',
  '#onData',
  '#onEnd',
  'onOpen',
  'onClose',
  'onError',
  'onData',
  'onStreamData',
  'onEnd',
  'onReadable',
  'finish',
]);

/** The listeners on a stream that are ours, by event. */
export function listeners(stream: Duplex): Record<string, string[]> {
  const left: Record<string, string[]> = {};
  for (const event of stream.eventNames()) {
    const names = stream.listeners(event).map((listener) => listener.name);
    const ours = names.filter((name) => OURS.has(name));
    if (ours.length > 0) left[String(event)] = ours;
  }
  return left;
}

/** Running timers. */
export function timers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
}

/**
 * Until the end of the test, notes each timer that the code of this package sets, with its stack,
 * until it fires or is cleared. A count of all timers would contain those of connections of earlier
 * tests and files, which share the worker: on a busy machine they are set again during a dial.
 */
function watchTimers(): Map<unknown, string> {
  const pending = new Map<unknown, string>();
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  globalThis.setTimeout = new Proxy(set, {
    apply(_, self: unknown, [callback, ...rest]: [() => void, ...unknown[]]) {
      const fire = (): void => {
        pending.delete(timer);
        callback();
      };
      const timer: unknown = Reflect.apply(set, self, [fire, ...rest]);
      const { stack = '' } = new Error(`a timer of ${String(rest[0])} ms`);
      if (stack.includes('/node-client/src/')) pending.set(timer, stack);
      return timer;
    },
  });
  globalThis.clearTimeout = new Proxy(clear, {
    apply(_, self: unknown, [timer]: [unknown]) {
      pending.delete(timer);
      Reflect.apply(clear, self, [timer]);
    },
  });
  onTestFinished(() => void Object.assign(globalThis, { setTimeout: set, clearTimeout: clear }));
  return pending;
}

/** Timers of JavaScript fire by `vi.advanceTimersByTime` only, until the end of the test. */
export function stopTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
}

/**
 * Dials, expects a failure, and checks that it leaves no stream, no
 * listener, no timer.
 *
 * @returns What it failed with.
 */
export async function inVain(
  url: string,
  options: DialerOptions = {},
  dialOptions: DialOptions = {},
): Promise<unknown> {
  const streams: { stream: Duplex; close: Promise<void> }[] = [];
  const netDial = (address: DialAddress): Duplex => {
    const stream = connect(address);
    streams.push({ stream, close: closing(stream) });
    return stream;
  };
  const dialer = new Dialer({ netDial, ...options });
  const signal = dialOptions.signal ?? new AbortController().signal;
  // Its self-test has a timer and sockets.
  await prepareReadBuffer();
  const pending = watchTimers();
  const error = await dialer.dial(url, { ...dialOptions, signal }).then(
    (conn) => {
      conn.terminate();
      throw new Error('the dial did not fail');
    },
    (reason: unknown) => reason,
  );
  expect([...pending.values()]).toEqual([]);
  expect(getEventListeners(signal, 'abort')).toEqual([]);
  for (const { stream, close } of streams) {
    expect(stream.destroyed).toBe(true);
    await close;
    expect(listeners(stream)).toEqual({});
  }
  return error;
}
