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

/** Waits for the socket with this number, from 0. */
export async function socketAt(sockets: FakeWebSocket[], i: number): Promise<FakeWebSocket> {
  await vi.waitFor(() => expect(sockets.length).toBeGreaterThan(i), {
    interval: 0,
    timeout: 60_000,
  });
  return sockets[i]!;
}

/** Lets `ms` pass on a fake clock. */
export const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

/** Waits for the socket with this number, and opens it. */
export async function openAt(sockets: FakeWebSocket[], i: number): Promise<FakeWebSocket> {
  const socket = await socketAt(sockets, i);
  socket.open();
  await pass(0);
  return socket;
}

/** The globals of a page that sends events. It is hidden at first. */
export function stubPage(): {
  online(): void;
  emit(type: string, event?: object): void;
  visible(state: string): void;
  listeners(): number;
} {
  const page = new Map<string, Set<(event: object) => void>>();
  const add = (type: string, listener: (event: object) => void): void => {
    page.set(type, (page.get(type) ?? new Set()).add(listener));
  };
  const remove = (type: string, listener: (event: object) => void): void =>
    void page.get(type)?.delete(listener);
  const emit = (type: string, event: object = { persisted: true }): void =>
    [...(page.get(type) ?? [])].forEach((call) => call(event));
  const document = {
    visibilityState: 'hidden',
    hidden: true,
    addEventListener: add,
    removeEventListener: remove,
  };
  vi.stubGlobal('addEventListener', add);
  vi.stubGlobal('removeEventListener', remove);
  vi.stubGlobal('document', document);
  return {
    online: () => emit('online'),
    emit,
    visible(state) {
      document.visibilityState = state;
      document.hidden = state !== 'visible';
      emit('visibilitychange');
    },
    listeners: () => [...page.values()].reduce((sum, { size }) => sum + size, 0),
  };
}
