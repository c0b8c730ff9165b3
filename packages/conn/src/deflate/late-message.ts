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
  readonly #type: DataType;
  readonly #bytes: Uint8Array;
  readonly #outbox: Outbox;
  readonly #deflation: Deflation;
  readonly #written = new Deferred<void>();
  #cancel: (() => void) | undefined;

  /** @param bytes - Nobody writes to them any more. */
  constructor(type: DataType, bytes: Uint8Array, outbox: Outbox, deflation: Deflation) {
    this.#type = type;
    this.#bytes = bytes;
    this.#outbox = outbox;
    this.#deflation = deflation;
    this.size = bytes.length;
    this.promise = handled(this.#written.promise);
  }

  /** Has it compressed, for `prepared` when it is one; `next` is called when it is sent. */
  begin(prepared: PreparedMessage | undefined, next: () => void): void {
    const done = (form: Uint8Array | undefined): void => {
      this.#cancel = undefined;
      this.#send(form);
      next();
    };
    if (prepared !== undefined) {
      this.#cancel = prepared.formLater(this.#deflation, done);
      return;
    }
    const { engines, level, windowBits, history } = this.#deflation;
    const job = { bytes: this.#bytes, level, windowBits, history };
    this.#cancel = engines.source.deflateLater(job, done);
  }

  /** It is not to wait any longer. */
  sendPlain(): void {
    this.#cancel?.();
    this.#send(undefined);
  }

  /** It is not to be sent. */
  drop(reason: unknown): void {
    this.#cancel?.();
    this.#written.reject(reason);
  }

  #send(form: Uint8Array | undefined): void {
    const { size } = this;
    if (form === undefined || form.length === 0 || form.length >= size) {
      this.#written.resolve(this.#outbox.message(this.#type, this.#bytes, 0, size));
      return;
    }
    this.#deflation.passed(this.#bytes, 0, size);
    this.#written.resolve(this.#outbox.compressed(this.#type, form, 0, form.length, size));
  }
}
