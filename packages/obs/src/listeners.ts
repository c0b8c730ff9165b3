import { BackpressureError, handled, onRejection } from '@ws/conn/parts';
import { expectFunction } from './expect.ts';

/** An event of an iterator. */
export interface NamedEvent {
  readonly type: string;
  readonly data: unknown;
}

/** Events that wait for the body of a loop. */
const MAX_EVENTS = 1_000;

type Call = (data: unknown) => unknown;
type End = { readonly error?: Error | undefined };

/** The listeners of each event. An error of one does not reach the others. */
export class Listeners {
  readonly #failed: (error: unknown, event: string) => void;
  /**
   * The arrays never change: a loop over one calls no listener that was added meanwhile. A listener
   * is an object, so that the same function can listen twice.
   */
  readonly #byEvent = new Map<string, readonly (readonly [Call])[]>();
  /** Ends the iterations. */
  readonly #finishers = new Set<(end: End) => void>();
  #end: End | undefined;

  /** @param failed - Gets the errors of listeners. */
  constructor(failed: (error: unknown, event: string) => void) {
    this.#failed = failed;
  }

  /** @returns Removes the listener. */
  on(event: string, call: Call): () => void {
    expectFunction(`on ${event}`, call);
    const listener = [call] as const;
    const others = (): (readonly [Call])[] =>
      (this.#byEvent.get(event) ?? []).filter((each) => each !== listener);
    this.#byEvent.set(event, [...others(), listener]);
    return () => void this.#byEvent.set(event, others());
  }

  emit(event: string, data: unknown): void {
    for (const [call] of this.#byEvent.get(event) ?? []) {
      const failed = (error: unknown): void => this.#failed(error, event);
      try {
        onRejection(call(data), failed);
      } catch (error) {
        failed(error);
      }
    }
  }

  /**
   * Iterates over the events with these names from now on. When too many events wait, the iteration
   * listens no longer and its next `next()` rejects with a BackpressureError.
   */
  iterate(names: readonly string[]): AsyncIterator<NamedEvent, undefined> {
    const events: NamedEvent[] = [];
    let end: End | undefined;
    let wake = (): void => {};
    let woken: Promise<void>;
    const change = (): void => {
      wake();
      woken = new Promise((resolve) => {
        wake = resolve;
      });
    };
    const finish = (how: End): void => {
      end ??= how;
      this.#finishers.delete(finish);
      for (const remove of removers) remove();
      change();
    };
    const removers = names.map((type) =>
      this.on(type, (data) => {
        change();
        if (events.push({ type, data }) <= MAX_EVENTS) return;
        events.length = 0;
        const text = `more than ${MAX_EVENTS} events wait for the loop over events()`;
        finish({ error: new BackpressureError(text) });
      }),
    );
    const next = async (): Promise<IteratorResult<NamedEvent, undefined>> => {
      for (;;) {
        const value = events.shift();
        if (value !== undefined) return { value, done: false };
        if (end !== undefined) {
          const { error } = end;
          end = {};
          if (error !== undefined) throw error;
          return { value: undefined, done: true };
        }
        await woken;
      }
    };
    this.#finishers.add(finish);
    change();
    if (this.#end !== undefined) finish(this.#end);
    return {
      next: () => handled(next()),
      return() {
        events.length = 0;
        end = {};
        finish(end);
        return next();
      },
    };
  }

  /** Ends the iterations, after the events that wait. */
  end(error: Error | undefined): void {
    this.#end = { error };
    for (const finish of this.#finishers) finish(this.#end);
  }
}
