import type { Readable } from 'node:stream';

/** Most bytes kept of a refusal's body. */
export const MAX_BODY = 1024;
/** Milliseconds to wait for a refusal's body. Many servers never end it. */
const BODY_WAIT = 500;
/** Events that end a body. A truncated body is still useful. */
const OVER = ['end', 'error', 'close'] as const;

/** Collects the first bytes of a refusal's body. */
export class RefusalBody {
  readonly #body: Readable;
  readonly #done: (bytes: Buffer) => void;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  readonly #wait: NodeJS.Timeout;

  /**
   * @param done - Called once with the bytes: at {@link MAX_BODY}, at the end of the body or after
   *   {@link BODY_WAIT}.
   */
  constructor(body: Readable, done: (bytes: Buffer) => void) {
    this.#body = body;
    this.#done = done;
    this.#wait = setTimeout(this.complete, BODY_WAIT);
    body.on('data', this.#onData);
    for (const event of OVER) body.on(event, this.complete);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length >= MAX_BODY) this.complete();
  };

  /** Passes the bytes received so far to `done`. */
  readonly complete = (): void => {
    this.stop();
    this.#done(Buffer.concat(this.#chunks, Math.min(this.#length, MAX_BODY)));
  };

  /** Removes our listeners; `done` is not called any more. */
  stop(): void {
    clearTimeout(this.#wait);
    this.#body.off('data', this.#onData);
    for (const event of OVER) this.#body.off(event, this.complete);
  }
}
