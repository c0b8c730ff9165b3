import type { PreparedMessage } from '@ws/conn';
import { Deferred, Fifo } from '@ws/conn/internal';

/** The messages that wait for a slow session. */
export interface Waiting {
  readonly messages: number;
  readonly bytes: number;
}

interface WaitingMessage {
  readonly message: PreparedMessage;
  readonly key: string | undefined;
  readonly onDrop: (() => void) | undefined;
  /** Whether the history of its room has the message. */
  readonly isKept: boolean;
}

type Entry = ReturnType<Fifo<WaitingMessage>['add']>;

/** The queue of a slow session. Sessions share the bytes of their messages. */
export class WaitingMessages implements Waiting {
  bytes = 0;
  /** Number and bytes of those messages that the history of their room has. */
  readonly kept = { messages: 0, bytes: 0 };
  #messages = new Fifo<WaitingMessage>();
  /** The messages that have a key. */
  readonly #byKey = new Map<string, Entry>();
  /** Resolves when no message waits; undefined before {@link untilEmpty} is called. */
  #empty: Deferred<void> | undefined;

  get messages(): number {
    return this.#messages.length;
  }

  /** Resolves when no message waits. */
  untilEmpty(): Promise<void> {
    this.#empty ??= new Deferred();
    return this.#empty.promise;
  }

  /**
   * Appends a message. A message without a key cannot be replaced.
   *
   * @param key - No waiting message has this key: see {@link remove}.
   * @param onDrop - {@link dropFirst} returns this function when it drops the message.
   */
  add(message: PreparedMessage, key: string | undefined, onDrop?: () => void): void {
    const entry = this.#messages.add({ message, key, onDrop, isKept: false });
    if (key !== undefined) this.#byKey.set(key, entry);
    this.bytes += message.bytes.length;
  }

  /** Appends a message that the history of its room has. It is never dropped for another one. */
  addKept(message: PreparedMessage): void {
    this.#messages.add({ message, key: undefined, onDrop: undefined, isKept: true });
    this.bytes += message.bytes.length;
    this.kept.messages++;
    this.kept.bytes += message.bytes.length;
  }

  /**
   * Drops the message without a history that has waited longest. Returns its `onDrop`, for the caller to
   * call.
   */
  dropFirst(): (() => void) | undefined {
    let entry = this.#messages.first;
    while (entry?.value.isKept === true) entry = entry.next;
    if (entry === undefined) return undefined;
    this.#messages.remove(entry);
    this.#removed(entry.value);
    return entry.value.onDrop;
  }

  /** Removes the message of a key. Returns whether there was one. */
  remove(key: string): boolean {
    const entry = this.#byKey.get(key);
    if (entry === undefined || !this.#messages.remove(entry)) return false;
    this.#removed(entry.value);
    return true;
  }

  /** The message that has waited longest. */
  first(): PreparedMessage | undefined {
    return this.#messages.peek()?.message;
  }

  /** Removes the message that has waited longest. */
  shift(): void {
    const first = this.#messages.shift();
    if (first !== undefined) this.#removed(first);
  }

  #removed({ message, key, isKept }: WaitingMessage): void {
    if (key !== undefined) this.#byKey.delete(key);
    this.bytes -= message.bytes.length;
    if (isKept) {
      this.kept.messages--;
      this.kept.bytes -= message.bytes.length;
    }
    if (this.#messages.length === 0) this.#settleEmpty();
  }

  /** Removes all messages and returns their number. */
  clear(): number {
    const { length } = this.#messages;
    this.#messages = new Fifo();
    this.#byKey.clear();
    this.bytes = this.kept.messages = this.kept.bytes = 0;
    this.#settleEmpty();
    return length;
  }

  #settleEmpty(): void {
    this.#empty?.resolve();
    this.#empty = undefined;
  }
}
