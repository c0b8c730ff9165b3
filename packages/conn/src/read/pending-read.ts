import { CloseCode } from '@ws/codec';
import { CloseError } from '../errors.ts';
import type { Message } from '../message.ts';
import { Deferred } from '../time/promises.ts';
import type { MessageReader } from './message-reader.ts';

export type ReadResult = Message | MessageReader;

/** A read that waits for its message. */
export interface PendingRead {
  /** Name of the method that started the read, for error messages. */
  readonly name: string;
  /** Whether the read takes its message as a stream. */
  readonly streams: boolean;
  readonly promise: Promise<unknown>;
  give(taken: ReadResult): void;
  /** Reading has ended with `error`; `normally`: an iteration is done. */
  finish(error: unknown, normally: boolean): void;
  reject(reason: unknown): void;
}

/** A pending `readMessage` or `nextReader`. */
export class PendingMessage extends Deferred<ReadResult> implements PendingRead {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }

  get streams(): boolean {
    return this.name === 'nextReader';
  }

  give(taken: ReadResult): void {
    this.resolve(taken);
  }

  finish(error: unknown): void {
    this.reject(error);
  }
}

/**
 * A pending `next` of an iterator. The iterator returns this promise itself, so no second promise
 * is created.
 */
export class PendingResult
  extends Deferred<IteratorResult<Message, undefined>>
  implements PendingRead
{
  readonly iterator: object;

  constructor(iterator: object) {
    super();
    this.iterator = iterator;
  }

  get name(): string {
    return 'for await';
  }

  get streams(): boolean {
    return false;
  }

  give(taken: ReadResult): void {
    this.resolve({ done: false, value: taken as Message });
  }

  finish(error: unknown, normally: boolean): void {
    if (normally) this.resolve({ done: true, value: undefined });
    else this.reject(error);
  }
}

/** Whether reading ended normally: `receive` resolves and iteration is done. */
export function isNormalEnd(error: unknown): boolean {
  if (!(error instanceof CloseError)) return false;
  return (
    error.closeCode === CloseCode.NormalClosure ||
    error.closeCode === CloseCode.GoingAway ||
    error.closeCode === CloseCode.NoStatusReceived
  );
}
