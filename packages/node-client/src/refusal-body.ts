import type { ResponseHead } from '@ws/codec';
import { ResponseBody } from './response-body.ts';

/** Most bytes kept of a refusal's body. */
export const MAX_BODY = 1024;
/** Most milliseconds to wait for a refusal's body. Many servers never end it. */
const MAX_WAIT = 500;

/** Collects the first bytes of a refusal's body. */
export class RefusalBody {
  readonly #body: ResponseBody;
  readonly #done: (bytes: Buffer) => void;
  readonly #pieces: Buffer[] = [];
  readonly #wait: NodeJS.Timeout;

  /**
   * @param remaining - Milliseconds until the timeout of the dial.
   * @param done - Called once with the bytes: above {@link MAX_BODY}, at the end of the body, after
   *   {@link MAX_WAIT} or after half of `remaining`. A timeout of the dial would hide the status.
   */
  constructor(head: ResponseHead, remaining: number, done: (bytes: Buffer) => void) {
    this.#body = new ResponseBody(head, MAX_BODY, (bytes) => this.#pieces.push(Buffer.from(bytes)));
    this.#done = done;
    this.#wait = setTimeout(this.complete, Math.min(MAX_WAIT, remaining / 2));
  }

  /** Takes the next bytes after the head, perhaps none. */
  push(bytes: Uint8Array): void {
    this.#body.push(bytes);
    if (this.#body.ended) this.complete();
  }

  /** Passes the bytes received so far to `done`. */
  readonly complete = (): void => {
    this.stop();
    this.#done(Buffer.concat(this.#pieces));
  };

  /** Removes the timer; `done` is not called by it any more. */
  stop(): void {
    clearTimeout(this.#wait);
  }
}
