import { BackpressureError, portablePlatform } from '@ws/conn';
import { ErrorCode, RpcError } from '../rpc-error.ts';

/** Bounds of the time in ms before a failed request is sent again. */
const LEAST_DELAY_MS = 1_000;
const MOST_DELAY_MS = 30_000;

/** Delays before a request is repeated. Each is longer than the last one. */
export class Delays {
  #ms = LEAST_DELAY_MS;

  /**
   * Calls `done` after a random time between half of the delay and the full delay, so that many
   * clients do not send at the same time. The next delay is twice as long.
   *
   * @returns A function that stops the wait.
   */
  wait(done: () => void): () => void {
    const ms = this.#ms * (1 - Math.random() / 2);
    this.#ms = Math.min(2 * this.#ms, MOST_DELAY_MS);
    return portablePlatform.setTimer(ms, done);
  }
}

/** Whether a request may succeed when it is sent again. */
export function maySucceedLater(error: unknown): boolean {
  if (error instanceof RpcError) return error.code === ErrorCode.Busy;
  return error instanceof BackpressureError;
}
