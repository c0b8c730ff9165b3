import { MESSAGE, NEED_MORE, OWNED, STEP } from '@ws/codec';
import { Message } from '../message.ts';
import { PullRead } from '../read/pull-read.ts';
import { rejected, resolvedAt } from '../time/promises.ts';
import type { Connection } from './connection.ts';
import type { Inbox } from './inbox.ts';
import { pauseOrResume } from './read-ahead.ts';
import type { ReadResult } from './read-side.ts';
import { CANCEL, READ, TAKEN } from './reader.ts';

// Pull reads: `readMessage`, `nextReader` and `for await`. Each read takes one message.

/**
 * Begins a read, unless another one is pending.
 *
 * @param name - The method that the caller used. `nextReader` gets a MessageReader.
 */
export function read<Result>(connection: Connection, name: string): Promise<Result> {
  const { inbox } = connection;
  const clash = inbox.clash(name);
  return clash === undefined ? readAlone(connection, name) : rejected(clash, inbox);
}

/**
 * Begins a read. A message that has already arrived settles the read at once.
 *
 * @param iterator - The iterator of `for await`, if any. The read then settles with an IteratorResult.
 */
function readAlone<Result>(
  connection: Connection,
  name: string,
  iterator?: object,
): Promise<Result> {
  const { inbox } = connection;
  const mayTake = connection.machine.input !== undefined && name !== 'nextReader';
  const next = mayTake ? takeNext(connection, name, iterator) : undefined;
  if (next instanceof Message) return settled(next, iterator);
  const pull = beginRead(connection, next ?? new PullRead(name, iterator));
  if (pull.taken !== undefined) return settled(pull.taken, iterator);
  // While the read-ahead holds messages back, reading has not ended.
  if (inbox.ended === undefined || inbox.held) {
    const promise = pull.wait() as Promise<Result>;
    if (inbox.readAhead !== undefined) pauseOrResume(connection);
    return promise;
  }
  const { ended } = inbox;
  if (iterator === undefined || !ended.normally) return rejected(ended.reason);
  return resolvedAt(ended, () => ({ done: true, value: undefined }) as Result);
}

/** The promise of a read that has its message. */
function settled<Result>(taken: ReadResult, iterator: object | undefined): Promise<Result> {
  // Two calls, each for one shape of value: V8 need not look for `then`.
  if (iterator === undefined) return Promise.resolve(taken as Result);
  return Promise.resolve({ done: false, value: taken } as Result);
}

/** Makes `pull` the pending read, and gives it a queued message or the next one of the input. */
function beginRead(connection: Connection, pull: PullRead<ReadResult>): PullRead<ReadResult> {
  const { inbox } = connection;
  if (pull.taken !== undefined) return pull;
  // `dropPieces` checks this too, but its argument would cost each read a string.
  if (inbox.pieces !== undefined) inbox.dropPieces(`${pull.name} began`);
  connection.control?.checkExpiry();
  inbox.pull = pull;
  inbox.on(READ);
  if (inbox.readAhead !== undefined || pull.streams) inbox.serve();
  if (inbox.ended !== undefined && !inbox.held && pull.taken === undefined) cancel(inbox);
  else {
    const { machine, ending } = connection;
    const unread = machine.input ?? inbox.readAhead ?? pull.taken;
    // Without any of these, a pass would only send the frames of this turn, which leave at its end.
    if ((unread ?? ending) !== undefined) inbox.run('reader');
  }
  return pull;
}

/** The pending read gets no message. */
function cancel(inbox: Inbox): void {
  inbox.pull = undefined;
  inbox.on(CANCEL);
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
      inbox.on(TAKEN);
      return new Message(decoder.type, decoder.data(), connection.platform);
    }
    if (event === NEED_MORE || event === STEP) return undefined;
    // `handle` may call the application, which must not see the shared PLACEHOLDER.
    inbox.pull = pull = new PullRead(name, iterator);
    inbox.on(READ);
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
  cancel(inbox);
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
    const { inbox } = this.#connection;
    const clash = inbox.clash('for await');
    if (clash !== undefined) {
      // A rejected `next` ends the loop, which does not call `return` then.
      this.#over();
      return rejected(clash, inbox);
    }
    if (!this.#isOpen) {
      this.#isOpen = true;
      inbox.readers++;
    }
    return readAlone(this.#connection, 'for await', this);
  }

  /** `break` leaves the connection open. A pending `next` resolves as done, without a message. */
  return(): Promise<IteratorResult<Message, undefined>> {
    const { inbox } = this.#connection;
    const { pull } = inbox;
    // A read without a promise is still within its call of `next`, which takes the message.
    if (pull?.iterator === this && pull.promise !== undefined) {
      cancel(inbox);
      pull.leave();
    }
    this.#over();
    return Promise.resolve({ done: true, value: undefined });
  }

  #over(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#connection.inbox.readerLeft();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
