import type { Duplex } from 'node:stream';
import { isThenable } from '@ws/node-io/internal';
import type { HandshakeError } from '../errors.ts';
import type { AnyUpgraderOptions } from '../options.ts';
import type { AppRequest } from '../server-request.ts';

/** The pending calls of the option `error` of a server and its routes. */
export interface HookCalls {
  pending: number;
  /** Infinity for no bound. */
  readonly max: number;
}

/**
 * Calls the option `error` while fewer than `maxHandshakes` of its calls are pending. The limits do
 * not bound these calls: a request that a limit refuses has no reservation.
 */
export class ErrorHook {
  readonly #hook: AnyUpgraderOptions['error'];
  readonly #calls: HookCalls;

  constructor(hook: AnyUpgraderOptions['error'], calls: HookCalls) {
    this.#hook = hook;
    this.#calls = calls;
  }

  /** Whether there is a hook that may be called now. */
  get isAvailable(): boolean {
    return this.#hook !== undefined && this.#calls.pending < this.#calls.max;
  }

  /**
   * Calls the hook. The call is pending until its result settles, at most `timeout` ms.
   *
   * @param timeout - Infinity for no bound.
   * @throws the error of the hook.
   */
  call(req: AppRequest, socket: Duplex, refusal: HandshakeError, timeout: number): unknown {
    // Not as a method: `this` of the hook is undefined.
    const hook = this.#hook!;
    const result = hook(req, socket, refusal.status, refusal);
    if (!isThenable(result)) return result;
    // A thenable of the application may settle twice or throw. A promise does neither.
    const work = Promise.resolve(result);
    void this.#count(work, timeout);
    return work;
  }

  async #count(work: Promise<unknown>, timeout: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const timeUp = new Promise<void>((resolve) => {
      if (timeout !== Infinity) timer = setTimeout(resolve, timeout).unref();
    });
    this.#calls.pending++;
    await Promise.allSettled([Promise.race([work, timeUp])]);
    clearTimeout(timer);
    this.#calls.pending--;
  }
}
