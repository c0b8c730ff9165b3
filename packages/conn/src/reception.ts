import type { CloseInfo } from './closing.ts';
import type { BorrowedMessage } from './message.ts';
import { Deferred } from './promises.ts';

/** What `receive` calls with each message. */
export type MessageHandler = (message: BorrowedMessage) => void | PromiseLike<void>;

const never = (): void => {};

/**
 * A pending `receive` or `discardReads`, and the promise that its caller has: all that an idle connection keeps of it. The
 * ends by which a promise is settled cost more than the promise, and many look at none of this one: they are made when
 * somebody looks, or there is something to tell.
 */
export class Reception extends Promise<CloseInfo> {
  /** What `then` and its like give is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  /** Undefined: every message is dropped. */
  readonly handler: MessageHandler | undefined;
  /** What the handler is lent, made with the first message. */
  borrowed: BorrowedMessage | undefined;
  #outcome: Deferred<CloseInfo> | undefined;

  constructor(handler: MessageHandler | undefined) {
    super(never);
    this.handler = handler;
  }

  /** By which it was begun. */
  get name(): string {
    return this.handler === undefined ? 'discardReads' : 'receive';
  }

  /** Everything that looks at a promise of another class than Promise comes by here: `await`, `catch`, `Promise.all`. */
  // oxlint-disable-next-line unicorn/no-thenable -- it is a promise
  override then<Result = CloseInfo, Caught = never>(
    onfulfilled?: ((info: CloseInfo) => Result | PromiseLike<Result>) | null,
    onrejected?: ((reason: unknown) => Caught | PromiseLike<Caught>) | null,
  ): Promise<Result | Caught> {
    this.#outcome ??= new Deferred();
    return this.#outcome.promise.then(onfulfilled, onrejected);
  }

  resolve(info: Promise<CloseInfo>): void {
    this.#outcome ??= new Deferred();
    this.#outcome.resolve(info);
  }

  reject(error: unknown): void {
    this.#outcome ??= new Deferred();
    this.#outcome.reject(error);
  }
}
