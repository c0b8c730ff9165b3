import { type TimeoutError, untraced } from '../errors.ts';
import type { ConnState } from '../platform/observer.ts';
import { Deadline, untilOf } from '../time/deadline.ts';
import { lossError } from './end-errors.ts';
import type { Reading } from './read-ahead.ts';

/** The part of a connection that its read terms use. */
export type ReadTermsOwner = Reading & {
  readonly state: ConnState;
  readonly inbox: Reading['inbox'] & {
    dropAll(): void;
    finishReading(cause: unknown, isEnd: boolean): void;
    run(upTo: 'reader'): void;
  };
};

/** What the application has set for the reads of one connection, and what its readers keep or have lost. */
export class ReadTerms {
  /** The longest message in bytes, if it differs from the settings. */
  limit: number | undefined;
  /** Name of the function that made the stream which reads. Other reads reject. */
  owner: string | undefined;
  messagesDropped = 0;
  /** The dropped messages that the application may have wanted. */
  messagesLost = 0;
  /** Bytes of messages that their reader keeps for later, see `ConnInternals.countKept`. */
  keptBytes = 0;
  /** The part of {@link keptBytes} that its reader keeps also after the end of the connection. */
  lastingBytes = 0;
  /** Bytes of all messages that have left {@link keptBytes}. */
  freedBytes = 0;
  readonly #connection: ReadTermsOwner;
  #deadline: Deadline | undefined;

  constructor(connection: ReadTermsOwner) {
    this.#connection = connection;
  }

  /** Sets the longest message in bytes. The limit also applies to a message that has partly arrived. */
  setLimit(bytes: number): void {
    const decoder = this.#connection.machine.input;
    this.limit = bytes;
    if (decoder !== undefined) decoder.readLimit = bytes;
  }

  countDropped(messages: number, lost: boolean): void {
    this.messagesDropped += messages;
    if (lost) this.messagesLost += messages;
  }

  /** The error of a reader that has lost messages. Such a reader never ends normally. */
  get loss(): TimeoutError | undefined {
    const lost = this.messagesLost;
    return lost === 0 ? undefined : untraced(() => lossError(lost));
  }

  setDeadline(at: Date | number | null): void {
    const connection = this.#connection;
    if (connection.state === 'closed') return void untilOf(at);
    this.#deadline ??= new Deadline(connection.platform, 'read', (error) => {
      connection.inbox.dropAll();
      connection.inbox.finishReading(error, false);
      // The input after the dropped messages may contain control frames.
      connection.inbox.run('reader');
    });
    this.#deadline.set(at);
  }

  stopTimer(): void {
    this.#deadline?.clear();
  }
}
