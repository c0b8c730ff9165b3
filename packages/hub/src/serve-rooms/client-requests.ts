import { portablePlatform, TimeoutError } from '@ws/conn';
import {
  addAbortListener,
  Deferred,
  isThenable,
  markHandled,
  removeAbortListener,
} from '@ws/conn/internal';
import type { HandlerContext } from '@ws/rpc';
import { Limit } from '../backplane/limit.ts';

/** Questions of a client that wait for the application at a time. */
const MAX_ASKED = 16;
/** Questions of a client that the application has not answered in time. */
const MAX_LATE = 256;

/** A request of a client, as its handler gets it. */
export type Asked = Pick<HandlerContext<unknown>, 'signal'>;
type Signal = Asked['signal'];

/** A question to the application. */
interface Question {
  readonly answer: Promise<unknown>;
  /** Number of the last request when its time was up. */
  lateAt: number | undefined;
}

/** A join while the client gets missed messages. */
export interface Joining {
  readonly ended: Deferred<void>;
  /** The client has left the room. */
  isLeft: boolean;
}

/** A request in its turn. */
export interface Turn {
  readonly requests: ClientRequests;
  readonly number: number;
  readonly asked: Asked;
  /** Lets the next request of the room begin. */
  readonly giveBack: () => void;
}

/** The requests of one client, in order for each room. No room waits for another one. */
export class ClientRequests {
  readonly joining: Map<string, Joining> = new Map();
  /** The turn of the last request of each room. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #questions = new Map<string, Question>();
  readonly #places = new Limit(MAX_ASKED);
  #late = 0;
  #last = 0;
  readonly #settled: () => void;

  /** @param settled - Called when a request has ended. The object may be idle then. */
  constructor(settled: () => void) {
    this.#settled = settled;
  }

  get isIdle(): boolean {
    return this.#turns.size === 0 && this.#questions.size === 0 && this.joining.size === 0;
  }

  /**
   * Runs a request after the earlier ones of its room.
   *
   * @throws (rejects) the error of `run`; the reason of the signal, if it aborts before.
   */
  async inTurn<T>(room: string, asked: Asked, run: (turn: Turn) => T | Promise<T>): Promise<T> {
    const before = this.#turns.get(room);
    const ended = new Deferred<void>();
    const { promise } = ended;
    this.#turns.set(room, promise);
    const giveBack = (): void => {
      ended.resolve();
      if (this.#turns.get(room) === promise) this.#turns.delete(room);
    };
    const number = ++this.#last;
    try {
      if (before !== undefined) await unlessAborted(before, asked.signal);
      return await run({ requests: this, number, asked, giveBack });
    } finally {
      const end = (): void => {
        giveBack();
        this.#settled();
      };
      if (before === undefined) end();
      else void before.then(end);
    }
  }

  /**
   * Asks the application. While a question is not answered, the same question is not asked again.
   *
   * @param key - Of the question.
   * @returns The answer: at once, when it is no promise.
   * @throws (rejects) TimeoutError after `ms`; the error of the application; the reason of the signal.
   */
  async ask(
    key: string,
    { number, asked }: Turn,
    ms: number,
    call: () => unknown,
  ): Promise<unknown> {
    return this.#places.run(async () => {
      const open = this.#questions.get(key);
      // The request was already waiting when the time was up.
      const isLate = open?.lateAt !== undefined && number <= open.lateAt;
      if (isLate || (open === undefined && this.#late >= MAX_LATE)) throw lateError(key, ms);
      const answer = open === undefined ? call() : open.answer;
      if (!isThenable(answer)) return answer;
      const question = open ?? this.#opened(key, answer);
      return this.#inTime(key, question, asked.signal, ms);
    }, asked.signal);
  }

  #opened(key: string, given: PromiseLike<unknown>): Question {
    const answer = markHandled(Promise.resolve(given));
    const question: Question = { answer, lateAt: undefined };
    this.#questions.set(key, question);
    const close = (): void => {
      this.#questions.delete(key);
      if (question.lateAt !== undefined) this.#late--;
      this.#settled();
    };
    answer.then(close, close);
    return question;
  }

  async #inTime(key: string, question: Question, signal: Signal, ms: number): Promise<unknown> {
    const late = new Deferred<never>();
    const cancel = portablePlatform.setTimer(ms, () => {
      if (question.lateAt === undefined) this.#late++;
      question.lateAt = this.#last;
      late.reject(lateError(key, ms));
    });
    try {
      return await unlessAborted(Promise.race([question.answer, late.promise]), signal);
    } finally {
      cancel();
    }
  }
}

function lateError(key: string, ms: number): TimeoutError {
  return new TimeoutError(`no answer of ${key} within ${ms} ms (option timeout)`);
}

/** @throws (rejects) the reason of `signal`, when it aborts before. */
export async function unlessAborted<T>(promise: Promise<T>, signal: Signal): Promise<T> {
  void markHandled(promise);
  if (signal.aborted) throw signal.reason;
  const aborted = new Deferred<never>();
  const abort = (): void => aborted.reject(signal.reason);
  addAbortListener(signal, abort);
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    removeAbortListener(signal, abort);
  }
}
