import { Deferred } from '@ws/conn/internal';
import type { BackplaneSink } from '../backplane/backplane.ts';
import { Batches, type Send } from './batches.ts';
import type { Arguments, Question, Questions, Reply } from './wire.ts';

/** The hubs of this process on their way to the broker. */
export class Link {
  readonly #batches: Batches<Question>;
  readonly #sinks = new Map<number, BackplaneSink>();
  /** The calls without an answer. */
  readonly #calls = new Map<number, Deferred<unknown>>();
  #lastHub = 0;
  #lastCall = 0;

  constructor(send: Send<Question>) {
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

  /** @param bytes - Of the message in the question. */
  ask<Name extends keyof Questions>(
    hub: number,
    name: Name,
    args: Arguments<Name>,
    bytes = 0,
  ): ReturnType<Questions[Name]> {
    const call = ++this.#lastCall;
    const answer = new Deferred<unknown>();
    this.#calls.set(call, answer);
    this.#batches.add([name, hub, call, args] as Question, bytes, false);
    return answer.promise as ReturnType<Questions[Name]>;
  }

  /** Takes the replies of the broker. */
  take(replies: readonly Reply[]): void {
    for (const reply of replies) {
      switch (reply[0]) {
        case 'answer':
          this.#calls.get(reply[1])?.resolve(reply[2]);
          this.#calls.delete(reply[1]);
          break;
        case 'message': {
          const [channel, bytes, position] = reply[2];
          // Otherwise it keeps the memory of its whole batch.
          this.#sinks.get(reply[1])?.message(channel, bytes.slice(), position);
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
