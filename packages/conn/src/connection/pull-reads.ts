import { MESSAGE, NEED_MORE, OWNED, STEP } from '@ws/codec';
import { Message } from '../message.ts';
import type { ReadResult } from '../read/message-reader.ts';
import { PullRead, resultOf } from '../read/pull-read.ts';
import { rejected, resolvedAt } from '../time/promises.ts';
import type { Connection } from './connection.ts';
import { pauseOrResume } from './flow-control.ts';

// Pull reads: `readMessage`, `nextReader` and `for await`. Each read takes one message.

/**
 * Begins a read. A message that has already arrived settles the read at once.
 *
 * @param name - The method that the caller used. `nextReader` gets a MessageReader.
 * @param iterator - The iterator of `for await`, if any. The read then settles with an IteratorResult.
 */
export function read<Result>(
  connection: Connection,
  name: string,
  iterator?: object,
): Promise<Result> {
  const { inbox } = connection;
  const clash = inbox.clash(name);
  if (clash !== undefined) return rejected(clash, inbox);
  const next = name === 'nextReader' ? undefined : takeNext(connection, name, iterator);
  if (next instanceof Message) {
    // Two calls, each for one shape of value: V8 need not look for `then`.
    if (iterator === undefined) return Promise.resolve(next as Result);
    return Promise.resolve({ done: false, value: next } as Result);
  }
  const pull = beginRead(connection, next ?? new PullRead(name, iterator));
  if (pull.taken !== undefined) return Promise.resolve(resultOf(pull.taken, iterator) as Result);
  if (!inbox.atEnd) return waitFor(connection, pull) as Promise<Result>;
  const ended = inbox.ended!;
  if (iterator === undefined || !ended.normally) return rejected(ended.reason);
  return resolvedAt(ended, () => ({ done: true, value: undefined }) as Result);
}

/** Makes `pull` the pending read, and gives it a queued message or the next one of the input. */
function beginRead(connection: Connection, pull: PullRead<ReadResult>): PullRead<ReadResult> {
  const { inbox } = connection;
  if (pull.taken !== undefined) return pull;
  inbox.hasRead = true;
  // `dropPieces` checks this too, but its argument would cost each read a string.
  if (inbox.pieces !== undefined) inbox.dropPieces(`${pull.name} began`);
  inbox.mayAnswer = false;
  connection.rare?.checkExpiry();
  inbox.pull = pull;
  inbox.serve();
  const { atEnd } = inbox;
  if (atEnd) inbox.pull = undefined;
  if (!atEnd || pull.taken !== undefined) inbox.run('reader');
  return pull;
}

function waitFor(connection: Connection, pull: PullRead<ReadResult>): Promise<unknown> {
  const promise = pull.wait();
  pauseOrResume(connection);
  return promise;
}

/** The pending read while {@link takeNext} parses. All connections share it: a read creates no object. */
const PLACEHOLDER = /* @__PURE__ */ new PullRead<ReadResult>('a loop');

/**
 * The usual read in a loop: takes the next message of a chunk, see {@link Inbox.decoderForPull}.
 *
 * @returns The message. Undefined if there is none: {@link beginRead} then looks for one. After another
 *   event, the pending read, with which `beginRead` continues.
 */
function takeNext(
  connection: Connection,
  name: string,
  iterator?: object,
): Message | PullRead<ReadResult> | undefined {
  const { inbox, machine } = connection;
  const decoder = inbox.ended === undefined ? inbox.decoderForPull : undefined;
  if (decoder === undefined) return undefined;
  let pull = PLACEHOLDER;
  inbox.pull = pull;
  try {
    decoder.memory = OWNED;
    decoder.streaming = false;
    const event = machine.next();
    if (event === MESSAGE) {
      inbox.mayAnswer = inbox.hasRead = true;
      return new Message(decoder.type, decoder.data(), connection.platform);
    }
    if (event === NEED_MORE || event === STEP) return undefined;
    // `handle` may call the application, which must not see the shared PLACEHOLDER.
    inbox.pull = pull = new PullRead(name, iterator);
    inbox.handle(event, decoder);
    return pull;
  } catch (error) {
    connection.readingFailed(error);
    return undefined;
  } finally {
    if (inbox.pull === pull) inbox.pull = undefined;
  }
}

/**
 * Rejects the pending read that has returned `promise`. Later messages are for the next read.
 *
 * @returns False when the read already has its message.
 */
export function cancelRead(
  { inbox }: Connection,
  promise: Promise<unknown>,
  reason: unknown,
): boolean {
  const { pull } = inbox;
  if (pull?.promise !== promise) return false;
  inbox.pull = undefined;
  pull.reject(reason);
  return true;
}

/** The iterator of a `for await` loop over a connection. A class, because it needs no closures. */
export class MessageIterator implements AsyncIterableIterator<Message, undefined> {
  readonly #connection: Connection;
  /** Whether the loop has begun, and was not left. */
  #isOpen = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#connection.inbox.loops++;
    }
    return read(this.#connection, 'for await', this);
  }

  /** `break` leaves the connection open. A pending `next` resolves as done, without a message. */
  return(): Promise<IteratorResult<Message, undefined>> {
    const { inbox } = this.#connection;
    const { pull } = inbox;
    if (this.#isOpen) inbox.loops--;
    this.#isOpen = false;
    // A read without a promise is still within its call of `next`, which takes the message.
    if (pull?.iterator === this && pull.promise !== undefined) {
      inbox.pull = undefined;
      pull.leave();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
