import { expect, vi } from 'vitest';
import { type BrowserConn, type BrowserConnOptions, fromWebSocket } from '../src/index.ts';
import { type FakeWebSocket, openSocket } from './fake-web-socket.ts';

/** An open connection over a fake socket. */
export function connected(options?: BrowserConnOptions): {
  conn: BrowserConn;
  socket: FakeWebSocket;
} {
  const socket = openSocket();
  return { conn: fromWebSocket(socket, options), socket };
}

/** The error of a promise that rejects. */
export function rejection(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  return promise.then(
    () => expect.fail('resolved'),
    (error: Error) => error,
  );
}

/** Whether `promise` is still pending after all microtasks. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let pending = true;
  const settled = (): void => {
    pending = false;
  };
  promise.then(settled, settled);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  return pending;
}

/** Replaces the global that gets the errors of the application. */
export function stubReportError(): ReturnType<typeof vi.fn> {
  const report = vi.fn();
  vi.stubGlobal('reportError', report);
  return report;
}
