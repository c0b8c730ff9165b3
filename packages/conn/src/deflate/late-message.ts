import { copyOf } from '../copy.ts';
import { type KeptBytes, lostBytes, ownBytes } from '../kept-bytes.ts';
import type { DataType } from '../message.ts';
import type { Outbox } from '../outbox.ts';
import type { PreparedMessage } from '../prepared-message.ts';
import { Deferred, handled } from '../promises.ts';
import type { Deflation } from './deflation.ts';

/** A large message that is accepted and compressed on another thread; whatever was accepted later waits behind it. */
export class LateMessage {
  readonly size: number;
  /** Its write. */
  readonly promise: Promise<void>;
  /** The promise that its writer has, when it had to wait for its turn. */
  turn: Promise<unknown> | undefined;
  readonly #type: DataType;
  readonly #outbox: Outbox;
  readonly #deflation: Deflation;
  readonly #written = new Deferred<void>();
  #kept: KeptBytes;
  #cancel: (() => void) | undefined;
  #over = false;

  /** @param kept - Its bytes, to be freed once they are copied or sent. */
  constructor(type: DataType, kept: KeptBytes, outbox: Outbox, deflation: Deflation) {
    this.#type = type;
    this.#kept = kept;
    this.#outbox = outbox;
    this.#deflation = deflation;
    this.size = kept.end - kept.start;
    this.promise = handled(this.#written.promise);
  }

  /**
   * Has it compressed, for `prepared` when it is one; `next` is called when it is sent, or cannot be.
   *
   * @throws what the platform throws when it cannot begin: `next` is not called then.
   */
  begin(prepared: PreparedMessage | undefined, next: () => void): void {
    const done = (form: Uint8Array | undefined): void => {
      if (this.#over) return;
      this.#send(form);
      next();
    };
    if (prepared !== undefined) {
      this.#cancel = prepared.formLater(this.#deflation, done);
      return;
    }
    const { engines, level, windowBits, history } = this.#deflation;
    const job = { begin: () => this.#own(), level, windowBits, history };
    this.#cancel = engines.source.deflateLater(job, done);
  }

  /** It is not to wait any longer. */
  sendPlain(): void {
    this.#cancel?.();
    this.#send(undefined);
  }

  /** It is not to be sent. */
  drop(reason: unknown): void {
    this.#over = true;
    this.#cancel?.();
    this.#kept.free();
    this.#written.reject(reason);
  }

  /** Bytes that nobody else has: a thread that reads what their owner gives away meanwhile would read freed memory. */
  #own(): Uint8Array | undefined {
    const kept = this.#kept;
    if (this.#over) return undefined;
    if (kept.ours) return kept.bytes;
    if (kept.end > kept.bytes.byteLength) return undefined;
    const bytes = copyOf(kept.bytes, kept.start, kept.end);
    this.#kept = ownBytes(bytes);
    kept.free();
    return bytes;
  }

  #send(form: Uint8Array | undefined): void {
    this.#over = true;
    const kept = this.#kept;
    try {
      this.#written.resolve(this.#sent(form, kept));
    } catch (error) {
      this.#deflation.forget();
      this.#written.reject(error);
    } finally {
      kept.free();
    }
  }

  #sent(form: Uint8Array | undefined, { bytes, start, end }: KeptBytes): Promise<void> {
    const { size } = this;
    if (end > bytes.byteLength) throw lostBytes();
    if (form === undefined || form.length === 0 || form.length >= size) {
      return this.#outbox.message(this.#type, bytes, start, end, true);
    }
    this.#deflation.passed(bytes, start, end);
    return this.#outbox.compressed(this.#type, form, 0, form.length, size);
  }
}
