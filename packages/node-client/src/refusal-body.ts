import type { Readable } from 'node:stream';

/** Bytes of a refusal's body that are kept. */
export const MAX_BODY = 1024;
/** A refusal's body that comes later than this is not waited for: many servers leave it open. Milliseconds. */
const BODY_WAIT = 500;
/** What ends a body. One that breaks off is still what there is to know of a refusal. */
const OVER = ['end', 'error', 'close'] as const;

/** Collects the first bytes of a refusal's body. */
export class RefusalBody {
  readonly #body: Readable;
  readonly #done: (bytes: Buffer) => void;
  readonly #chunks: Buffer[] = [];
  #length = 0;
  readonly #wait: NodeJS.Timeout;

  /** @param done - Is called with them once: when they are enough, or the body has ended or has taken too long. */
  constructor(body: Readable, done: (bytes: Buffer) => void) {
    this.#body = body;
    this.#done = done;
    this.#wait = setTimeout(this.finish, BODY_WAIT);
    body.on('data', this.#onData);
    for (const event of OVER) body.on(event, this.finish);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length >= MAX_BODY) this.finish();
  };

  /** Gives what there is. */
  readonly finish = (): void => {
    this.stop();
    this.#done(Buffer.concat(this.#chunks, Math.min(this.#length, MAX_BODY)));
  };

  /** Nothing of ours stays on the body, and nothing is given. */
  stop(): void {
    clearTimeout(this.#wait);
    this.#body.off('data', this.#onData);
    for (const event of OVER) this.#body.off(event, this.finish);
  }
}
