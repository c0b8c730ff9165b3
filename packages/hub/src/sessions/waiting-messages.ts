import type { PreparedMessage } from '@ws/conn';
import { Deferred } from '@ws/conn/internal';

/** The messages that wait for a slow session. */
export interface Waiting {
  readonly messages: number;
  readonly bytes: number;
}

/** The queue of a slow session. Sessions share the bytes of their messages. */
export class WaitingMessages implements Waiting {
  bytes = 0;
  /** By key, in order. A message without a key has a number in place of a key. */
  readonly #messages = new Map<string | number, PreparedMessage>();
  #nextNumber = 0;
  /** The `onDrop` of each message that has one, see {@link add}. */
  #onDrop: Map<PreparedMessage, () => void> | undefined;
  /** Resolves when no message waits; undefined before {@link untilEmpty} is called. */
  #empty: Deferred<void> | undefined;

  get messages(): number {
    return this.#messages.size;
  }

  /** Resolves when no message waits. */
  untilEmpty(): Promise<void> {
    this.#empty ??= new Deferred();
    return this.#empty.promise;
  }

  /**
   * Appends a message. A message without a key cannot be replaced.
   *
   * @param onDrop - {@link dropFirst} returns this function when it drops the message.
   */
  add(message: PreparedMessage, key: string | undefined, onDrop?: () => void): void {
    this.#messages.set(key ?? this.#nextNumber++, message);
    if (onDrop !== undefined) this.#onDrop = (this.#onDrop ?? new Map()).set(message, onDrop);
    this.bytes += message.bytes.length;
  }

  /** Drops the message that has waited longest. Returns its `onDrop`, for the caller to call. */
  dropFirst(): (() => void) | undefined {
    const onDrop = this.#onDrop?.get(this.first()!);
    this.shift();
    return onDrop;
  }

  /** Removes the message of a key. Returns whether there was one. */
  remove(key: string | number): boolean {
    const message = this.#messages.get(key);
    if (message === undefined) return false;
    this.#messages.delete(key);
    this.#onDrop?.delete(message);
    this.bytes -= message.bytes.length;
    if (this.#messages.size === 0) this.#settleEmpty();
    return true;
  }

  /** The message that has waited longest. */
  first(): PreparedMessage | undefined {
    return this.#messages.values().next().value;
  }

  /** Removes the message that has waited longest. */
  shift(): void {
    const { value: key } = this.#messages.keys().next();
    if (key !== undefined) this.remove(key);
  }

  /** Removes all messages and returns their number. */
  clear(): number {
    const { size } = this.#messages;
    this.#messages.clear();
    this.#onDrop = undefined;
    this.bytes = 0;
    this.#settleEmpty();
    return size;
  }

  #settleEmpty(): void {
    this.#empty?.resolve();
    this.#empty = undefined;
  }
}
