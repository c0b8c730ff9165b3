import { CloseCode } from '@ws/conn';
import { checkOptionNames, duration, kind } from '@ws/conn/internal';
import { checkClose, checkRoomName, checkText, jsonOf, MAX_QUESTION_NAME } from '../arguments.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import type { CloseTarget, Question } from '../backplane/words.ts';
import { HubClosedError } from '../errors.ts';
import { MAX_SESSION_BYTES } from '../presence/presence.ts';
import type { JSONValue } from '../presence/room-presence.ts';
import type { AskOptions, Everywhere } from './everywhere.ts';
import { askHere, closeHere, MAX_ANSWER_BYTES, type NodeAnswer } from './local-acts.ts';
import type { Replies } from './questions.ts';

/** Default of the wait for the answers of other nodes, in ms. */
const ANSWER_MS = 5_000;
const NO_REPLIES: Replies<never> = { answers: [], silent: [] };

type Result<Name extends 'count' | 'close' | 'ask'> = ReturnType<Everywhere[Name]>;

/** The calls of {@link Everywhere}, which has their docstrings. */
export class EverywhereCalls {
  readonly #hub: LocalHub;

  constructor(hub: LocalHub) {
    this.#hub = hub;
  }

  async count(room: string): Result<'count'> {
    checkRoomName(room);
    const { answers, silent } = await this.#send<number>({ act: 'count', room }, ANSWER_MS);
    const own = this.#hub.membersOf(room).size;
    return { sessions: sum(answers) + own, nodes: answers.length + 1, silent: [...silent] };
  }

  async close(
    target: CloseTarget,
    code: number = CloseCode.NormalClosure,
    reason = '',
  ): Result<'close'> {
    const copy = this.#checkTarget(target);
    checkClose('everywhere.close', code, reason);
    const [own, { answers, silent }] = await Promise.all([
      closeHere(this.#hub, copy, code, reason),
      this.#send<number>({ act: 'close', ...copy, code, reason }, ANSWER_MS),
    ]);
    return { sessions: own + sum(answers), silent: [...silent] };
  }

  async ask(name: string, data: unknown, options: AskOptions = {}): Result<'ask'> {
    checkText('everywhere.ask', name, 1, MAX_QUESTION_NAME);
    checkOptionNames('everywhere.ask', options, ['timeout'], 'ignore');
    const timeout = duration('timeout', options.timeout, ANSWER_MS, false);
    const text = data === undefined ? undefined : jsonOf(data);
    if (text !== undefined) checkText('data', text, 1, MAX_ANSWER_BYTES);
    const question = { act: 'ask', name, data: text, timeout } as const;
    const own = askHere(this.#hub, question);
    const replies = await this.#send<NodeAnswer>(question, timeout);
    return this.#collect(replies, await own);
  }

  #collect(
    { answers: others, silent }: Replies<NodeAnswer>,
    own: NodeAnswer | undefined,
  ): Awaited<ReturnType<Everywhere['ask']>> {
    const { id } = this.#hub.settings;
    const answers = new Map<string, JSONValue>();
    const failed = new Map<string, string>();
    const name = this.#hub.link?.node ?? id;
    const all = own === undefined ? others : [...others, { node: id, name, value: own }];
    for (const { node, name, value } of all) {
      // Two nodes may have one id by mistake. The name is unique.
      const key = answers.has(node) || failed.has(node) ? name : node;
      if ('answer' in value) answers.set(key, JSON.parse(value.answer) as JSONValue);
      else failed.set(key, value.failed);
    }
    return { answers, failed, silent: own === undefined ? [id, ...silent] : [...silent] };
  }

  async #send<Value>(question: Question, timeout: number): Promise<Replies<Value>> {
    if (this.#hub.ended) throw new HubClosedError(`everywhere.${question.act}`);
    const asked = this.#hub.withLink((link) => link.others.questions.ask(question, timeout));
    return ((await asked) ?? NO_REPLIES) as Replies<Value>;
  }

  /**
   * Checks a target, and copies it.
   *
   * @throws TypeError, RangeError if `target` is neither a room nor a session.
   */
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
    if (room !== undefined) checkRoomName(room);
    else checkText('session', session, 0, MAX_SESSION_BYTES);
    return { room, session };
  }
}

function sum(answers: Replies<number>['answers']): number {
  return answers.reduce((total, { value }) => total + value, 0);
}
