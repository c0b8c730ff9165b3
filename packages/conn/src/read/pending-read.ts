import { CloseCode } from '@ws/codec';
import { CloseError } from './errors.ts';
import type { Message } from './message.ts';
import type { MessageReader } from './message-reader.ts';
import { Deferred } from './promises.ts';

/** What a read can give. */
export type Taken = Message | MessageReader;

/** A read that waits. */
export interface PendingRead {
  /** By which it was begun. */
  readonly name: string;
  /** Whether it takes its message as a stream. */
  readonly streams: boolean;
  readonly promise: Promise<unknown>;
  give(taken: Taken): void;
  /** There is nothing more to be given. */
  end(error: unknown): void;
  reject(reason: unknown): void;
}

/** Of `readMessage` or `nextReader`. */
export class PendingMessage extends Deferred<Taken> implements PendingRead {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }

  get streams(): boolean {
    return this.name === 'nextReader';
  }

  give(taken: Taken): void {
    this.resolve(taken);
  }

  end(error: unknown): void {
    this.reject(error);
  }
}

/** Of an iterator: it waits for the result itself, so that none but this one promise is made. */
export class PendingResult
  extends Deferred<IteratorResult<Message, undefined>>
  implements PendingRead
{
  get name(): string {
    return 'for await';
  }

  get streams(): boolean {
    return false;
  }

  give(taken: Taken): void {
    this.resolve({ done: false, value: taken as Message });
  }

  end(error: unknown): void {
    if (endsWell(error)) this.resolve({ done: true, value: undefined });
    else this.reject(error);
  }
}

/** Whether reading ended as it is meant to end: `receive` resolves and iteration is done. */
export function endsWell(error: unknown): boolean {
  if (!(error instanceof CloseError)) return false;
  return (
    error.closeCode === CloseCode.NormalClosure ||
    error.closeCode === CloseCode.GoingAway ||
    error.closeCode === CloseCode.NoStatusReceived
  );
}
