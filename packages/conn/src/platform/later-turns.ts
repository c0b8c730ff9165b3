import { Fifo } from '../memory/fifo.ts';
import { asyncContexts } from './async-contexts.ts';

let channel: InstanceType<NonNullable<typeof MessageChannel>> | undefined;
/** The callbacks of {@link post}. Each message of the channel runs one of them. */
const posted = /* @__PURE__ */ new Fifo<() => void>();

function post(callback: () => void): void {
  if (typeof setImmediate === 'function') setImmediate(callback);
  else if (typeof MessageChannel === 'function') {
    if (channel === undefined) {
      channel = new MessageChannel();
      channel.port1.onmessage = () => posted.shift()?.();
      channel.port1.unref?.();
    }
    posted.add(callback);
    channel.port2.postMessage(null);
  } else setTimeout(callback, 0);
}

/**
 * Calls `callback` in a later turn of the event loop, in the root context. Uses the best function
 * that the runtime has: browsers throttle timers in background tabs, but not a MessageChannel.
 */
export function inLaterTurn(callback: () => void): void {
  asyncContexts.inRoot(post, callback);
}

/**
 * Notices fake timers. A test tool that replaces or restores the runtime's timers drops waiting
 * callbacks. So their owner calls {@link check} whenever it gets new work, and schedules the callbacks
 * again: those of timers when `setTimeout` was replaced, and those of turns when `setImmediate` was.
 */
export class RuntimeTimers {
  readonly #onTimers: () => void;
  readonly #onTurns: () => void;
  #timeout: unknown = setTimeout;
  #immediate: unknown = typeof setImmediate === 'function' ? setImmediate : setTimeout;

  /**
   * @param onTimers - Schedules all waiting timers again.
   * @param onTurns - Schedules all waiting callbacks of later turns again.
   */
  constructor(onTimers: () => void, onTurns: () => void) {
    this.#onTimers = onTimers;
    this.#onTurns = onTurns;
  }

  /** Calls the functions whose timers were replaced since the last call. */
  check(): void {
    if (this.#timeout !== setTimeout) {
      this.#timeout = setTimeout;
      this.#onTimers();
    }
    const immediate = typeof setImmediate === 'function' ? setImmediate : setTimeout;
    if (this.#immediate !== immediate) {
      this.#immediate = immediate;
      this.#onTurns();
    }
  }
}

/** The callbacks of a platform's `yield`. Each callback runs in a separate later turn. */
export class YieldQueue {
  readonly #post: (run: () => void) => void;
  readonly #runtimeTimers: RuntimeTimers;
  readonly #waiting = new Fifo<() => void>();

  /** @param post - Calls `run` in a later turn. Uses the current timer functions, even fake ones. */
  constructor(post: (run: () => void) => void) {
    this.#post = post;
    this.#runtimeTimers = new RuntimeTimers(
      () => {},
      () => this.#postAgain(),
    );
  }

  add(callback: () => void): void {
    this.#runtimeTimers.check();
    this.#waiting.add(callback);
    this.#post(this.#run);
  }

  #postAgain(): void {
    for (let i = 0; i < this.#waiting.length; i++) this.#post(this.#run);
  }

  /** Runs one callback, so that microtasks run between two callbacks. */
  readonly #run = (): void => this.#waiting.shift()?.();
}
