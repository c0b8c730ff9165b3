import { Deferred } from '@ws/conn/internal';
import type { BackplaneSink } from '../backplane/backplane.ts';
import { Batches, type Send } from './batches.ts';
import type { Reply, Request } from './wire.ts';

/** The hubs of this process on their way to the broker. */
export class Link {
  readonly #batches: Batches<Request>;
  readonly #sinks = new Map<number, BackplaneSink>();
  /** The calls without an answer. */
  readonly #calls = new Map<number, Deferred<unknown>>();
  #lastHub = 0;
  #lastCall = 0;

  constructor(send: Send<Request>) {
    this.#batches = new Batches(send, (error) => this.ended(error));
  }

  /** @returns The number of the hub. */
  add(sink: BackplaneSink): number {
    this.#sinks.set(++this.#lastHub, sink);
    return this.#lastHub;
  }

  remove(hub: number): void {
    this.#sinks.delete(hub);
  }

  /** @param bytes - Of the message in the request. */
  call(request: (call: number) => Request, bytes = 0): Promise<unknown> {
    const call = ++this.#lastCall;
    const answer = new Deferred<unknown>();
    this.#calls.set(call, answer);
    this.#batches.add(request(call), bytes, false);
    return answer.promise;
  }

  /** Takes the replies of the broker. */
  take(replies: readonly Reply[]): void {
    for (const reply of replies) {
      switch (reply[0]) {
        case 'answer': {
          const [, call, value] = reply;
          this.#calls.get(call)?.resolve(value);
          this.#calls.delete(call);
          break;
        }
        case 'message': {
          const [, hub, channel, view, epoch, offset] = reply;
          const position = epoch === undefined ? undefined : { epoch, offset };
          // The view keeps the memory of its whole batch.
          this.#sinks.get(hub)?.message(channel, view.slice(), position);
          break;
        }
        case 'gap':
          this.#sinks.get(reply[1])?.gap();
      }
    }
  }

  /** The primary has ended. */
  ended(error: Error): void {
    for (const sink of this.#sinks.values()) sink.down(error);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
  }
}
