import { Fifo } from '../memory/fifo.ts';
import { asyncContexts } from './async-contexts.ts';

let channel: InstanceType<NonNullable<typeof MessageChannel>> | undefined;
/** The callbacks that the channel calls. */
const posted: (() => void)[] = [];

function post(callback: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(callback);
  else if (typeof MessageChannel === 'function') {
    if (channel === undefined) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => posted.shift()?.();
      channel.port1.unref?.();
    }
    posted.push(callback);
    channel.port2.postMessage(null);
  } else setTimeout(callback, 0);
}

/**
 * Calls `callback` in a later turn of the event loop, by the best function that the runtime has at the
 * time of the call. `callback` has the root context. Browsers do not throttle a MessageChannel in
 * background tabs.
 */
export function inLaterTurn(callback: () => void): void {
  asyncContexts.inRoot(post, callback);
}

/**
 * The rule for fake timers. Test tools replace the runtime's timers, and drop the callbacks of fake
 * timers that they remove. Code that waits for a callback calls {@link check} whenever it gets more
 * work, and gives the callback to the runtime again when the timers were replaced. A callback that
 * comes twice finds nothing to do.
 */
export class RuntimeTimers {
  readonly #onReplaced: () => void;
  #current: unknown = setTimeout;

  /** @param onReplaced - Gives all waiting callbacks to the runtime again. */
  constructor(onReplaced: () => void) {
    this.#onReplaced = onReplaced;
  }

  check(): void {
    if (this.#current === setTimeout) return;
    this.#current = setTimeout;
    this.#onReplaced();
  }
}

/** The callbacks of a platform's `yield`. They run in later turns of the event loop, one in each. */
export class YieldQueue {
  readonly #post: (run: () => void) => void;
  readonly #runtime: RuntimeTimers;
  readonly #waiting = new Fifo<() => void>();

  /** @param post - Calls `run` in a later turn. It looks up the function of the runtime. */
  constructor(post: (run: () => void) => void) {
    this.#post = post;
    this.#runtime = new RuntimeTimers(() => this.#postAgain());
  }

  add(callback: () => void): void {
    this.#runtime.check();
    this.#waiting.add(callback);
    this.#post(this.#run);
  }

  #postAgain(): void {
    for (let i = 0; i < this.#waiting.length; i++) this.#post(this.#run);
  }

  /** Runs each callback in its own turn, so that microtasks run between two callbacks. */
  readonly #run = (): void => this.#waiting.shift()?.();
}
