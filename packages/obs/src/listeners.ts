import { BackpressureError } from '@ws/conn';
import { markHandled, onRejection } from '@ws/conn/internal';
import { expectType } from './options.ts';

/** An event of an iterator. */
export interface NamedEvent {
  readonly type: string;
  readonly data: unknown;
}

/** Events that wait for the body of a loop. */
const MAX_EVENTS = 1_000;

type Call = (data: unknown) => unknown;

/** The listeners of each event. An error of one does not reach the others. */
export class Listeners {
  readonly #failed: (error: unknown, where: string) => void;
  /** A listener is an object, so that the same function can listen twice. */
  readonly #byEvent = new Map<string, Set<readonly [Call]>>();
  /** Ends the iterations. */
  readonly #finishers = new Set<(error?: Error) => void>();
  #end: { readonly error: Error | undefined } | undefined;

  /** @param failed - Gets the errors of listeners. */
  constructor(failed: (error: unknown, where: string) => void) {
    this.#failed = failed;
  }

  /** @returns Removes the listener. */
  on(event: string, call: Call): () => void {
    expectType(`on ${event}`, 'function', call);
    const listeners = this.#byEvent.get(event) ?? new Set();
    const listener = [call] as const;
    this.#byEvent.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Does nothing after {@link end}. */
  emit(event: string, data: unknown): void {
    if (this.#end !== undefined) return;
    const failed = (error: unknown): void => this.#failed(error, `listener of ${event}`);
    const listeners = this.#byEvent.get(event);
    // A copy: a listener that another one adds gets the next event.
    for (const listener of new Set(listeners)) {
      try {
        // Another listener may have removed it.
        if (listeners!.has(listener)) onRejection(listener[0](data), failed);
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
    let events: NamedEvent[] = [];
    let isOver = false;
    let failure: Error | undefined;
    let wake = (): void => {};
    const finish = (error?: Error): void => {
      isOver = true;
      failure = error;
      this.#finishers.delete(finish);
      for (const remove of removers) remove();
      wake();
    };
    const removers = [...new Set(names)].map((type) =>
      this.on(type, (data) => {
        if (events.push({ type, data }) > MAX_EVENTS) {
          events = [];
          finish(
            new BackpressureError(`more than ${MAX_EVENTS} events wait for the loop over events()`),
          );
        }
        wake();
      }),
    );
    async function* iteration(): AsyncGenerator<NamedEvent, undefined> {
      for (;;) {
        const event = events.shift();
        if (event !== undefined) yield event;
        else if (failure !== undefined) throw failure;
        else if (isOver) return;
        else {
          await new Promise<void>((resolve) => (wake = resolve));
        }
      }
    }
    const iterator = iteration();
    this.#finishers.add(finish);
    if (this.#end !== undefined) finish(this.#end.error);
    return {
      next: () => markHandled(iterator.next()),
      return() {
        events = [];
        finish();
        return iterator.return(undefined);
      },
    };
  }

  /** Ends the iterations, after the events that wait. Later calls have no effect. */
  end(error: Error | undefined): void {
    this.#end ??= { error };
    for (const finish of this.#finishers) finish(error);
  }
}
