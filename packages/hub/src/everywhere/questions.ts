import { Deferred } from '@ws/conn/internal';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import { added, setAnswerTimer, waitFor } from '../backplane/with-timeout.ts';
import type { Ask, Question, Word } from '../backplane/words.ts';
import { HubClosedError, OverflowError } from '../errors.ts';
import { askHere, closeHere } from './local-acts.ts';
import { BEAT_MS, type LiveNode, type Nodes } from './nodes.ts';

/** Bound of the questions that wait for answers. */
const MAX_OPEN = 1_000;
/**
 * Bound of the running listeners for the questions of one other node. That node has at most
 * {@link MAX_OPEN} open questions, but a listener may run longer than its question is open.
 */
const MAX_RUNNING = 2 * MAX_OPEN;
/** A timeout below this has a plain timer, a longer one `setAnswerTimer`. In ms. */
const SHORT_MS = 1_000;
/** Ms that a call waits for the start of the engine, in addition to the first beats. */
const START_MS = 5_000;

/** The answers of the other nodes to a question. */
export interface Replies<Value> {
  readonly answers: readonly {
    /** Id of the node. */
    readonly node: string;
    /** Its name, which is new after a restart. */
    readonly name: string;
    readonly value: Value;
  }[];
  /** Ids of the nodes without an answer in time. */
  readonly silent: readonly string[];
}

type Value = Word<'answer'>['value'];

/** A question that waits for answers. */
interface OpenQuestion {
  readonly word: Word<'question'>;
  isSent: boolean;
  /** The nodes that have not answered, by name. */
  readonly awaited: Map<string, LiveNode>;
  readonly answers: Map<string, { readonly node: string; readonly value: Value }>;
  readonly result: Deferred<Replies<Value>>;
  readonly cancelTimer: () => void;
}

/** Asks the other nodes, and answers their questions. */
export class Questions {
  readonly #link: BackplaneLink;
  readonly #nodes: Nodes;
  readonly #hub: LocalHub;
  readonly #open = new Map<number, OpenQuestion>();
  /** Number of calls that wait until the other nodes are known. */
  #waiting = 0;
  #lastId = 0;
  #stopped = false;

  constructor(link: BackplaneLink, nodes: Nodes, hub: LocalHub) {
    this.#link = link;
    this.#nodes = nodes;
    this.#hub = hub;
  }

  /** @throws (rejects) {@link HubClosedError}, {@link OverflowError}, {@link BackplaneError} */
  async ask(question: Question, timeout: number): Promise<Replies<Value>> {
    if (this.#open.size + this.#waiting >= MAX_OPEN) {
      throw new OverflowError(
        `${MAX_OPEN} calls of everywhere wait for answers already; await them`,
      );
    }
    if (!this.#nodes.haveAllAppeared && !this.#stopped) await this.#untilNodesKnown();
    if (this.#stopped) throw new HubClosedError('everywhere');
    const open = this.#create(question, timeout);
    if (this.#link.state === 'up') this.#send(open);
    this.#finishIfAnswered(open);
    return open.result.promise;
  }

  /** @throws (rejects) {@link BackplaneError} when the engine does not start. */
  async #untilNodesKnown(): Promise<void> {
    this.#waiting++;
    try {
      const begin = (done: () => void): (() => void) => added(this.#nodes.appearedCalls, done);
      const text = 'the backplane has not started, so no other node is known';
      await waitFor(this.#link.platform, BEAT_MS + START_MS, begin, { text });
    } finally {
      this.#waiting--;
    }
  }

  #create(question: Question, timeout: number): OpenQuestion {
    const id = ++this.#lastId;
    const { platform, state } = this.#link;
    const onTimeout = (): void => this.#finish(open);
    const open: OpenQuestion = {
      word: { word: 'question', id, question },
      isSent: false,
      // After an outage a lost node may answer.
      awaited: new Map([...this.#nodes.live, ...(state === 'up' ? [] : this.#nodes.lost)]),
      answers: new Map(),
      result: new Deferred(),
      cancelTimer:
        timeout < SHORT_MS
          ? platform.setTimer(timeout, onTimeout)
          : setAnswerTimer(platform, timeout, onTimeout),
    };
    this.#open.set(id, open);
    return open;
  }

  #send(open: OpenQuestion): void {
    open.isSent = true;
    void this.#link.say(undefined, open.word);
  }

  /** The engine has returned. Sends the questions that wait since the outage. */
  up(): void {
    for (const open of this.#open.values()) if (!open.isSent) this.#send(open);
  }

  /** A node has ended, or no longer counts. */
  gone({ name }: LiveNode): void {
    if (this.#link.state !== 'up') return;
    for (const open of this.#open.values()) {
      open.awaited.delete(name);
      this.#finishIfAnswered(open);
    }
  }

  answered({ name, id }: LiveNode, { id: question, value }: Word<'answer'>): void {
    const open = this.#open.get(question);
    if (open === undefined || open.answers.has(name)) return;
    const expectsNumber = open.word.question.act !== 'ask';
    if ((typeof value === 'number') !== expectsNumber) return;
    open.awaited.delete(name);
    open.answers.set(name, { node: id, value });
    this.#finishIfAnswered(open);
  }

  #finishIfAnswered(open: OpenQuestion): void {
    if (open.awaited.size === 0) this.#finish(open);
  }

  #finish(open: OpenQuestion): void {
    if (!this.#open.delete(open.word.id)) return;
    open.cancelTimer();
    const answers = Array.from(open.answers, ([name, answer]) => ({ name, ...answer }));
    const silent = new Set(Array.from(open.awaited.values(), ({ id }) => id));
    open.result.resolve({ answers, silent: [...silent] });
  }

  /** Rejects the open questions. */
  stop(): void {
    this.#stopped = true;
    const error = new HubClosedError('everywhere');
    for (const open of this.#open.values()) {
      open.cancelTimer();
      open.result.reject(error);
    }
    this.#open.clear();
  }

  /** Another node asks. If the id has not grown, the engine has delivered the question twice. */
  asked(node: LiveNode, { id, question }: Word<'question'>): void {
    if (id <= node.lastQuestion) return;
    node.lastQuestion = id;
    void this.#answer(node, id, question);
  }

  async #answer(node: LiveNode, id: number, question: Question): Promise<void> {
    const value = await this.#valueFor(node, question);
    if (value === undefined) return;
    void this.#link.say(undefined, { word: 'answer', to: node.name, id, value });
  }

  #valueFor(node: LiveNode, question: Question): Promise<Value | undefined> | Value {
    switch (question.act) {
      case 'count':
        return this.#hub.membersOf(question.room).size;
      case 'close':
        return closeHere(this.#hub, question, question.code, question.reason);
      case 'ask':
        return this.#askListener(node, question);
    }
  }

  /** Calls the listener of this node, which counts as running until it settles or the timeout passes. */
  async #askListener(node: LiveNode, question: Ask): Promise<Value | undefined> {
    if (node.runningQuestions >= MAX_RUNNING) return { failed: 'OverflowError' };
    node.runningQuestions++;
    const answer = await askHere(this.#hub, question);
    node.runningQuestions--;
    return answer;
  }
}
