import { MESSAGE, NEED_MORE, STEP } from '@ws/codec';
import { Message } from '../message.ts';
import type { ReadResult } from '../read/message-reader.ts';
import { PullRead, resultOf } from '../read/pull-read.ts';
import { rejected, resolvedAt } from '../time/promises.ts';
import type { Connection } from './connection.ts';
import { pauseOrResume } from './flow-control.ts';

// The reads of the application that take one message each.

/**
 * Begins a read. A message that has already arrived settles it at once.
 *
 * @param name - The method that the caller used. Only `nextReader` gets a MessageReader.
 * @param iterator - The iterator of `for await`: the read settles with a result of its `next`.
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
  if (next instanceof Message) return Promise.resolve(resultOf(next, iterator) as Result);
  const pull = begin(connection, next ?? new PullRead(name, iterator));
  if (pull.taken !== undefined) return Promise.resolve(resultOf(pull.taken, iterator) as Result);
  const { ended } = inbox;
  if (ended === undefined) return wait(connection, pull) as Promise<Result>;
  if (iterator === undefined || !ended.normally) return rejected(ended.reason);
  return resolvedAt(ended, () => ({ done: true, value: undefined }) as Result);
}

/** Gives `pull` a queued message, or parses one from the input that has arrived. */
function begin(connection: Connection, pull: PullRead<ReadResult>): PullRead<ReadResult> {
  const { inbox } = connection;
  if (pull.taken !== undefined) return pull;
  inbox.hasRead = true;
  // Checks first, because the argument creates a string. Reads rarely find pieces.
  if (inbox.pieces !== undefined) inbox.dropPieces(`${pull.name} began`);
  inbox.messageTaken = false;
  connection.rare?.checkExpiry();
  inbox.pull = pull;
  inbox.serve();
  if (inbox.ended !== undefined) inbox.pull = undefined;
  if (inbox.ended === undefined || pull.taken !== undefined) inbox.run('reader');
  return pull;
}

function wait(connection: Connection, pull: PullRead<ReadResult>): Promise<unknown> {
  const promise = pull.wait();
  pauseOrResume(connection);
  return promise;
}

/** The pending read while {@link takeNext} parses. */
const LOOP = /* @__PURE__ */ new PullRead<ReadResult>('a loop');

/**
 * The common read of a loop: takes the next message of a chunk, see {@link Inbox.straight}. Returns
 * undefined when {@link begin} has to look for a message. After any other event, it returns the
 * read with which `begin` continues.
 */
function takeNext(
  connection: Connection,
  name: string,
  iterator?: object,
): Message | PullRead<ReadResult> | undefined {
  const { inbox, machine } = connection;
  const decoder = inbox.ended === undefined ? inbox.straight : undefined;
  if (decoder === undefined) return undefined;
  let pull = LOOP;
  inbox.pull = pull;
  try {
    decoder.callerKeeps = true;
    decoder.streaming = false;
    const event = machine.next();
    if (event === MESSAGE) {
      inbox.messageTaken = inbox.hasRead = true;
      return new Message(decoder.type, decoder.data(), connection.platform);
    }
    if (event === NEED_MORE || event === STEP) return undefined;
    // `handle` may call the application. From here on the pending read is not the shared LOOP.
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
 * Cancels the pending read with this promise. Later messages are for the next read. False when the
 * read already has its message.
 */
export function giveUpRead(
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

/** The iterator of a `for await` loop over a connection. A class needs no closures. */
export class MessageIterator implements AsyncIterableIterator<Message, undefined> {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    return read(this.#connection, 'for await', this);
  }

  /** `break` leaves the connection open. A pending `next` resolves as done, without a message. */
  return(): Promise<IteratorResult<Message, undefined>> {
    const { inbox } = this.#connection;
    const { pull } = inbox;
    // A read without a promise is still within the call that began it. That call takes the message.
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
