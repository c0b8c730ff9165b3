import { BackpressureError } from '@ws/conn';
import { Fifo } from '@ws/conn/internal';

/** A call that may wait. */
export type Unsent = {
  readonly definition: { readonly name: string };
  readonly isRequest: boolean;
  readonly number: number;
  readonly text: string;
};

/** Bounds of the calls that wait to be sent: their number, and the characters of their text. */
const MAX_WAITING = 10_000;
const MAX_WAITING_SIZE = 1024 * 1024;

type Entry<Call> = ReturnType<Fifo<Call>['add']>;

/**
 * The calls that wait to be sent. A request waits for earlier calls, and for a place among the open
 * requests. An event waits for earlier events, and for a connection only.
 */
export class WaitingCalls<Call extends Unsent & { waiting: Entry<Call> | undefined }> {
  #requests = new Fifo<Call>();
  readonly #events = new Fifo<Call>();
  #size = 0;

  get length(): number {
    return this.#requests.length + this.#events.length;
  }

  /** Whether a call of this kind would be the first one to be sent. */
  isNext(isRequest: boolean): boolean {
    return this.#events.length === 0 && (!isRequest || this.#requests.length === 0);
  }

  /** @throws BackpressureError when too many calls wait. */
  add(call: Call): void {
    const { length } = this;
    if (length >= MAX_WAITING || this.#size + call.text.length > MAX_WAITING_SIZE) {
      const what = `${length} calls with ${this.#size} characters wait`;
      throw new BackpressureError(`${call.definition.name}: ${what}; await earlier calls first`);
    }
    this.#append(call, this.#fifoOf(call));
  }

  /** Adds sent requests again, before the other calls. They may exceed the bounds. */
  addFirst(calls: readonly Call[]): void {
    if (calls.length === 0) return;
    const later = this.#requests;
    this.#requests = new Fifo();
    for (const call of calls) this.#append(call, this.#requests);
    for (let call = later.shift(); call !== undefined; call = later.shift()) {
      call.waiting = this.#requests.add(call);
    }
  }

  #append(call: Call, fifo: Fifo<Call>): void {
    call.waiting = fifo.add(call);
    this.#size += call.text.length;
  }

  /** The call that is sent next. */
  next(mayRequest: boolean): Call | undefined {
    const event = this.#events.peek();
    const request = mayRequest ? this.#requests.peek() : undefined;
    if (event === undefined || request === undefined) return event ?? request;
    return event.number < request.number ? event : request;
  }

  /** Removes a call, if it waits. */
  remove(call: Call): boolean {
    if (call.waiting === undefined) return false;
    this.#fifoOf(call).remove(call.waiting);
    call.waiting = undefined;
    this.#size -= call.text.length;
    return true;
  }

  #fifoOf({ isRequest }: Call): Fifo<Call> {
    return isRequest ? this.#requests : this.#events;
  }
}
