import { portablePlatform, TimeoutError } from '@ws/conn';
import { addAbortListener, Deferred, isThenable, removeAbortListener } from '@ws/conn/internal';
import type { HandlerContext } from '@ws/rpc';
import { Limit } from '../backplane/limit.ts';
import { observe } from '../observe.ts';
import type { Decision } from '../rooms/joins.ts';

/** Bound of the questions to the application, at a time and for one client. */
const MAX_ASKED = 16;
/** Bound of the questions that have timed out and still have no answer, for one client. */
const MAX_LATE = 256;
/** Longest time in ms in which a question may get its answer. Then the next request asks anew. */
const ANSWER_MS = 60_000;

/** The part of a handler's context that this file uses. The signal aborts with the request. */
export type Context = Pick<HandlerContext<unknown>, 'signal'>;
type Signal = Context['signal'];

/** A question to the application, about a request of a client. */
interface Question {
  /** The requests that wait for the answer. */
  readonly waiting: Set<Deferred<unknown>>;
  readonly decision: Decision;
  /** Number of the last request when the question timed out; undefined before. */
  lateAt: number | undefined;
  /** Cancels the timer of {@link ANSWER_MS}. */
  cancelTimer: () => void;
  /** Ends the wait for the application's promise. */
  unobserve: () => void;
}

/** Registers the questions to the application, see `Joins.addDecision`. */
interface Decisions {
  add(room: string): Decision;
  remove(decision: Decision): void;
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
  readonly room: string;
  /** Lets the next request of the room begin before this one has ended. */
  readonly letNextRun: () => void;
  /** Set when the application is asked. */
  decision: Decision | undefined;
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
  /** The questions without an answer that have timed out, or for which no request waits. */
  readonly #late = new Set<Question>();
  #lastNumber = 0;
  readonly #decisions: Decisions;
  readonly #onSettled: () => void;

  /** @param onSettled - Called when a request or question has ended. The object may be idle then. */
  constructor(decisions: Decisions, onSettled: () => void) {
    this.#decisions = decisions;
    this.#onSettled = onSettled;
  }

  get isIdle(): boolean {
    const asksNone = this.#questions.size === 0 && this.#late.size === 0;
    return asksNone && this.#lastOf.size === 0 && this.joining.size === 0;
  }

  /** Called when the client has gone: ends its questions. */
  sessionEnded(): void {
    for (const question of [...this.#questions.values(), ...this.#late]) {
      question.unobserve();
      question.cancelTimer();
    }
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
    const request: Request = {
      requests: this,
      number,
      ctx,
      room,
      letNextRun,
      decision: undefined,
    };
    try {
      if (before !== undefined) await unlessAborted(before, ctx.signal);
      return await run(request);
    } finally {
      if (request.decision !== undefined) this.#decisions.remove(request.decision);
      const settle = (): void => {
        letNextRun();
        this.#onSettled();
      };
      if (before === undefined) settle();
      else void before.then(settle);
    }
  }

  /**
   * Asks the application by `call`. While a question has no answer, the same question shares it, for
   * {@link ANSWER_MS} at most, and until the application has revoked it.
   *
   * @param key - Names the question, also in the error.
   * @param ms - Longest time for the answer.
   * @returns The answer of the application, in an array: the result of an async function is asked for its
   *   `then`, which throws for some answers.
   * @throws (rejects) TimeoutError after `ms`; the error of the application; the reason of the signal.
   */
  async ask(key: string, request: Request, ms: number, call: () => unknown): Promise<[unknown]> {
    const { number, ctx, room } = request;
    return this.#places.run(async () => {
      const known = this.#questions.get(key);
      if (known?.decision.isRevoked === true) this.#forget(key, known, ms);
      const open = this.#questions.get(key);
      // The question timed out while this request was already waiting.
      const isLate = open?.lateAt !== undefined && number <= open.lateAt;
      if (isLate || (open === undefined && this.#late.size >= MAX_LATE)) throw lateError(key, ms);
      request.decision ??= this.#decisions.add(room);
      if (open !== undefined) return [await this.#inTime(key, open, ctx.signal, ms)];
      const answer = call();
      if (!isThenable(answer)) return [answer];
      return [await this.#inTime(key, this.#add(key, request, answer, ms), ctx.signal, ms)];
    }, ctx.signal);
  }

  #add(
    key: string,
    { room, decision: asked }: Request,
    answer: PromiseLike<unknown>,
    ms: number,
  ): Question {
    const decision = this.#decisions.add(room);
    // The application may have taken it back within its function.
    decision.isRevoked = asked!.isRevoked;
    const question: Question = {
      waiting: new Set(),
      decision,
      lateAt: undefined,
      // Also for a question whose request was canceled.
      cancelTimer: portablePlatform.setTimer(Math.max(ANSWER_MS, ms), () => {
        this.#forget(key, question, ms);
      }),
      unobserve: () => {},
    };
    this.#questions.set(key, question);
    const answered = (settle: (waiting: Deferred<unknown>) => void): void => {
      question.cancelTimer();
      this.#late.delete(question);
      if (this.#questions.get(key) === question) this.#questions.delete(key);
      this.#decisions.remove(decision);
      for (const waiting of question.waiting) settle(waiting);
      this.#onSettled();
    };
    question.unobserve = observe(
      answer,
      (value) => answered((waiting) => waiting.resolve(value)),
      (error) => answered((waiting) => waiting.reject(error)),
    );
    return question;
  }

  /** Lets the next request ask anew. The place of the question stays taken, and its answer is dropped. */
  #forget(key: string, question: Question, ms: number): void {
    question.cancelTimer();
    this.#questions.delete(key);
    this.#late.add(question);
    this.#decisions.remove(question.decision);
    for (const waiting of question.waiting) waiting.reject(lateError(key, ms));
    question.waiting.clear();
  }

  async #inTime(key: string, question: Question, signal: Signal, ms: number): Promise<unknown> {
    const answer = new Deferred<unknown>();
    question.waiting.add(answer);
    const cancel = portablePlatform.setTimer(ms, () => {
      question.lateAt = this.#lastNumber;
      this.#late.add(question);
      answer.reject(lateError(key, ms));
    });
    try {
      return await unlessAborted(answer.promise, signal);
    } finally {
      cancel();
      question.waiting.delete(answer);
      const isOpen = this.#questions.get(key) === question;
      // The request was canceled: its place is free, but the application still works.
      if (isOpen && question.waiting.size === 0) this.#late.add(question);
    }
  }
}

function lateError(key: string, ms: number): TimeoutError {
  return new TimeoutError(`no answer of ${key} within ${ms} ms (option timeout)`);
}

/** @throws (rejects) the reason of `signal`, when it aborts before. */
export async function unlessAborted<T>(promise: Promise<T>, signal: Signal): Promise<T> {
  const settled = new Deferred<T>();
  const release = observe(
    promise,
    (value) => settled.resolve(value),
    (error) => settled.reject(error),
  );
  const abort = (): void => settled.reject(signal.reason);
  if (signal.aborted) abort();
  else addAbortListener(signal, abort);
  try {
    return await settled.promise;
  } finally {
    release();
    removeAbortListener(signal, abort);
  }
}
