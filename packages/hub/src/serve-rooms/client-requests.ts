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

/** Bound of the questions to the application, at a time and for one client. */
const MAX_ASKED = 16;
/** Bound of the questions that have timed out and still have no answer, for one client. */
const MAX_LATE = 256;

/** The part of a handler's context that this file uses. The signal aborts with the request. */
export type Context = Pick<HandlerContext<unknown>, 'signal'>;
type Signal = Context['signal'];

/** A question to the application, about a request of a client. */
interface Question {
  readonly answer: Promise<unknown>;
  /** Number of the last request when the question timed out; undefined before. */
  lateAt: number | undefined;
}

/** A running join. */
export interface Joining {
  readonly ended: Deferred<void>;
  /** Whether the client has left the room. */
  isLeft: boolean;
}

/** A running request. */
export interface Request {
  readonly requests: ClientRequests;
  /** Grows with each request of the client. */
  readonly number: number;
  readonly ctx: Context;
  /** Lets the next request of the room begin before this one has ended. */
  readonly letNextRun: () => void;
}

type Run<T> = (request: Request) => T | Promise<T>;

/** Runs the requests of one client: those of a room in order, those of different rooms in parallel. */
export class ClientRequests {
  /** The running join of each room. */
  readonly joining: Map<string, Joining> = new Map();
  /** By room: a promise of the last request, which resolves when the next request may begin. */
  readonly #lastOf = new Map<string, Promise<void>>();
  readonly #questions = new Map<string, Question>();
  readonly #places = new Limit(MAX_ASKED);
  /** Number of questions that have timed out and still have no answer. */
  #lateCount = 0;
  #lastNumber = 0;
  readonly #onSettled: () => void;

  /** @param onSettled - Called when a request or question has ended. The object may be idle then. */
  constructor(onSettled: () => void) {
    this.#onSettled = onSettled;
  }

  get isIdle(): boolean {
    return this.#lastOf.size === 0 && this.#questions.size === 0 && this.joining.size === 0;
  }

  /**
   * Runs a request after the earlier ones of its room.
   *
   * @throws (rejects) the error of `run`; the reason of the signal, if it aborts before.
   */
  async inOrder<T>(room: string, ctx: Context, run: Run<T>): Promise<T> {
    const before = this.#lastOf.get(room);
    const ended = new Deferred<void>();
    const { promise } = ended;
    this.#lastOf.set(room, promise);
    const letNextRun = (): void => {
      ended.resolve();
      if (this.#lastOf.get(room) === promise) this.#lastOf.delete(room);
    };
    const number = ++this.#lastNumber;
    try {
      if (before !== undefined) await unlessAborted(before, ctx.signal);
      return await run({ requests: this, number, ctx, letNextRun });
    } finally {
      const settle = (): void => {
        letNextRun();
        this.#onSettled();
      };
      if (before === undefined) settle();
      else void before.then(settle);
    }
  }

  /**
   * Asks the application by `call`. While a question has no answer, the same question shares it.
   *
   * @param key - Names the question, also in the error.
   * @param ms - Longest time for the answer.
   * @returns The answer of the application.
   * @throws (rejects) TimeoutError after `ms`; the error of the application; the reason of the signal.
   */
  async ask(
    key: string,
    { number, ctx }: Request,
    ms: number,
    call: () => unknown,
  ): Promise<unknown> {
    return this.#places.run(async () => {
      const open = this.#questions.get(key);
      // The question timed out while this request was already waiting.
      const isLate = open?.lateAt !== undefined && number <= open.lateAt;
      if (isLate || (open === undefined && this.#lateCount >= MAX_LATE)) throw lateError(key, ms);
      const answer = open === undefined ? call() : open.answer;
      if (!isThenable(answer)) return answer;
      const question = open ?? this.#add(key, answer);
      return this.#inTime(key, question, ctx.signal, ms);
    }, ctx.signal);
  }

  #add(key: string, given: PromiseLike<unknown>): Question {
    const answer = markHandled(Promise.resolve(given));
    const question: Question = { answer, lateAt: undefined };
    this.#questions.set(key, question);
    const onAnswer = (): void => {
      this.#questions.delete(key);
      if (question.lateAt !== undefined) this.#lateCount--;
      this.#onSettled();
    };
    answer.then(onAnswer, onAnswer);
    return question;
  }

  async #inTime(key: string, question: Question, signal: Signal, ms: number): Promise<unknown> {
    const late = new Deferred<never>();
    const cancel = portablePlatform.setTimer(ms, () => {
      if (question.lateAt === undefined) this.#lateCount++;
      question.lateAt = this.#lastNumber;
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
