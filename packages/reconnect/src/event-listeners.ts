import type { CloseInfo, Report } from '@ws/conn';
import { asyncContexts, kind, onRejection } from '@ws/conn/internal';

/** The listeners of {@link LiveConn.on}. */
export interface ListenersOf<C> {
  readonly open: (conn: C) => unknown;
  readonly close: (info: CloseInfo) => unknown;
}

/** The listeners of the events `open` and `close`. */
export class EventListeners<C> {
  readonly #report: Report;
  readonly #entries = { open: new Set<unknown>(), close: new Set<unknown>() };

  /** @param report - Called with the errors of listeners. */
  constructor(report: Report) {
    this.#report = report;
  }

  /** @returns A function that removes the listener. */
  add<Event extends keyof ListenersOf<C>>(
    event: Event,
    listener: ListenersOf<C>[Event],
  ): () => void {
    // A new object for each call, because the same function may be added twice.
    const entry = { listener: asyncContexts.bind(listener) };
    const entries = this.#entries[event];
    entries.add(entry);
    return () => void entries.delete(entry);
  }

  emit<Event extends keyof ListenersOf<C>>(
    event: Event,
    argument: Parameters<ListenersOf<C>[Event]>[0],
  ): void {
    const failed = (error: unknown): void => this.#report(error, { where: `on ${event}` });
    // A copy: a listener that another listener adds waits for the next event.
    const entries = [...this.#entries[event]];
    for (const entry of entries) {
      const { listener } = entry as { listener: (argument: unknown) => unknown };
      try {
        onRejection(listener(argument), failed);
      } catch (error) {
        failed(error);
      }
    }
  }
}

/** @throws TypeError for another event, or when `listener` is not a function. */
export function checkListener(event: unknown, listener: unknown): void {
  if (event !== 'open' && event !== 'close') {
    throw new TypeError(
      `on: expected 'open' or 'close', got ${String(event)}; read with receive(handler) or for await, and await closed`,
    );
  }
  if (typeof listener !== 'function') {
    throw new TypeError(`on: expected a function, got ${kind(listener)}`);
  }
}
