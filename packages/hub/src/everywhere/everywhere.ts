import { CloseCode, formatCloseMessage } from '@ws/conn';
import { checkOptionNames, duration, kind, onRejection } from '@ws/conn/internal';
import { checkText, jsonOf } from '../arguments.ts';
import type { Question } from '../backplane/words.ts';
import { HubClosedError } from '../errors.ts';
import { MAX_SESSION_BYTES } from '../presence/presence.ts';
import type { JSONValue } from '../presence/room-presence.ts';
import type { Sessions } from '../sessions/sessions.ts';
import {
  type CloseTarget,
  type LocalActs,
  MAX_ANSWER_BYTES,
  MAX_QUESTION_NAME,
  type NodeAnswer,
} from './local-acts.ts';
import type { Replies } from './questions.ts';

/** How long the nodes have for an answer, in ms. */
const ANSWER_MS = 5_000;
const NO_REPLIES: Replies<never> = { of: [], silent: [] };

/** The options of {@link Everywhere.ask}. */
export interface AskOptions {
  /** Ms after which a node without an answer counts as silent. Default: 5,000. */
  readonly timeout?: number | undefined;
}

/**
 * Acts on all nodes of a backplane, this one too. Without a backplane it is the only one. A call in the
 * first 5 s of a hub first waits until it knows the other nodes.
 *
 * `silent` has the ids of nodes that live and have not answered in time: 5 s by default. A node that
 * has not been heard for 15 s is none. All methods reject with a {@link HubClosedError} when the hub
 * closes, and with a {@link BackplaneError} if the engine does not start within 10 s. A rejection that
 * is not awaited is not reported as unhandled: the event `error` reports it.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { Hub } from '@ws/hub';
 *
 * const hub = new Hub();
 * const [, server] = connPair();
 * await hub.add(server, { id: 'ada' }).join('lobby');
 * const { sessions } = await hub.everywhere.count('lobby');
 * console.log(sessions); // 1
 * await hub.everywhere.close({ session: 'ada' }, 4401, 'logged out');
 * ```
 */
export class Everywhere<Data = unknown> {
  readonly #hub: Sessions<Data>;

  /** @internal */
  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  /**
   * Counts the members of a room.
   *
   * @returns `sessions`: of the nodes that have answered; `nodes`: their number.
   * @throws (rejects) TypeError, RangeError for an invalid name.
   */
  count(
    room: string,
  ): Promise<{ readonly sessions: number; readonly nodes: number; readonly silent: string[] }> {
    return this.#reported(async () => {
      this.#hub.rooms.room(room);
      const { of, silent } = await this.#send<number>({ act: 'count', room }, ANSWER_MS);
      const own = this.#acts.count(room);
      return { sessions: sum(of) + own, nodes: of.length + 1, silent: [...silent] };
    });
  }

  /**
   * Closes the sessions in a room, or the sessions with an id, as `Session.close` does.
   *
   * @param code - Default: 1000.
   * @returns `sessions`: number of open sessions that were closed. It does not wait for their ends.
   * @throws (rejects) TypeError, RangeError for another target than one, an invalid name, code or
   *   reason.
   */
  close(
    target: { readonly room: string } | { readonly session: string },
    code: number = CloseCode.NormalClosure,
    reason = '',
  ): Promise<{ readonly sessions: number; readonly silent: string[] }> {
    return this.#reported(async () => {
      const checked = this.#checkTarget(target);
      formatCloseMessage(code, reason);
      const [own, { of, silent }] = await Promise.all([
        this.#acts.close(checked, code, reason),
        this.#send<number>({ act: 'close', ...checked, code, reason }, ANSWER_MS),
      ]);
      return { sessions: own + sum(of), silent: [...silent] };
    });
  }

  /**
   * Asks the listener of `hub.onAsk` with this name on each node.
   *
   * @param data - JSON, at most 64 KiB. The listener gets a copy.
   * @returns The maps have the ids of the nodes as keys. `failed`: the class of the error of each
   *   listener that has failed; `no listener` for a node without one.
   * @throws (rejects) TypeError, RangeError for an invalid name, data or option; {@link OverflowError}
   *   while 1,000 calls wait for answers.
   */
  ask(
    name: string,
    data?: unknown,
    options: AskOptions = {},
  ): Promise<{
    readonly answers: Map<string, JSONValue>;
    readonly failed: Map<string, string>;
    readonly silent: string[];
  }> {
    return this.#reported(() => this.#ask(name, data, options));
  }

  async #ask(name: string, data: unknown, options: AskOptions): ReturnType<Everywhere['ask']> {
    checkText('everywhere.ask', name, 1, MAX_QUESTION_NAME);
    checkOptionNames('everywhere.ask', options, ['timeout'], 'ignore');
    const timeout = duration('timeout', options.timeout, ANSWER_MS, false);
    const text = data === undefined ? undefined : jsonOf(data);
    if (text !== undefined) checkText('data', text, 1, MAX_ANSWER_BYTES);
    const own = this.#within(timeout, this.#acts.ask(name, text));
    const { of, silent } = await this.#send<NodeAnswer>(
      { act: 'ask', name, data: text, timeout },
      timeout,
    );
    return this.#collect(of, silent, await own);
  }

  #collect(
    of: Replies<NodeAnswer>['of'],
    silent: readonly string[],
    own: NodeAnswer | undefined,
  ): Awaited<ReturnType<Everywhere['ask']>> {
    const { id } = this.#hub.settings;
    const answers = new Map<string, JSONValue>();
    const failed = new Map<string, string>();
    const all = own === undefined ? of : [...of, { node: id, name: id, value: own }];
    for (const { node, name, value } of all) {
      // Two nodes may have one id by mistake: the name has one run of a node.
      const key = answers.has(node) || failed.has(node) ? name : node;
      if ('answer' in value) answers.set(key, JSON.parse(value.answer) as JSONValue);
      else failed.set(key, value.failed);
    }
    return { answers, failed, silent: own === undefined ? [id, ...silent] : [...silent] };
  }

  /** The application may not await the result. */
  #reported<T>(call: () => Promise<T>): Promise<T> {
    const result = call();
    onRejection(result, (error) => this.#hub.refused(error, 'calls of everywhere failed'));
    return result;
  }

  get #acts(): LocalActs<Data> {
    return this.#hub.acts;
  }

  async #send<Value>(question: Question, timeout: number): Promise<Replies<Value>> {
    if (this.#hub.ended) throw new HubClosedError(`everywhere.${question.act}`);
    const replies = this.#hub.withLink((link) => link.others.questions.ask(question, timeout));
    return ((await replies) ?? NO_REPLIES) as Replies<Value>;
  }

  /** Resolves to undefined after `ms`. */
  async #within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
    let cancel = (): void => {};
    const late = new Promise<undefined>((resolve) => {
      cancel = this.#hub.platform.setTimer(ms, () => resolve(undefined));
    });
    const first = await Promise.race([promise, late]);
    cancel();
    return first;
  }

  /** @throws TypeError, RangeError for another target than a room or a session. */
  #checkTarget(target: CloseTarget): CloseTarget {
    if (typeof target !== 'object' || target === null) {
      throw new TypeError(
        `everywhere.close: expected { room } or { session }, got ${kind(target)}`,
      );
    }
    checkOptionNames('everywhere.close', target, ['room', 'session'], 'ignore');
    const { room, session } = target;
    if ((room === undefined) === (session === undefined)) {
      throw new TypeError('everywhere.close: expected one of { room } and { session }');
    }
    if (room !== undefined) this.#hub.rooms.room(room);
    else checkText('session', session, 0, MAX_SESSION_BYTES);
    return { room, session };
  }
}

function sum(replies: Replies<number>['of']): number {
  return replies.reduce((total, { value }) => total + value, 0);
}
