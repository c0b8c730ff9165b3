import type { BackplaneLink } from '../backplane/backplane-link.ts';
import { idOf } from '../backplane/envelope.ts';
import type { Versions } from '../backplane/local-hub.ts';
import { setAnswerTimer } from '../backplane/with-timeout.ts';
import type { OtherNodes } from './other-nodes.ts';

/** Interval of the beats of a node, in ms. */
export const BEAT_MS = 5_000;
/** Ms without a word after which a node no longer counts. */
const LIFE_MS = 15_000;
/** Ms from the last word of a lost node until this node forgets it. */
const LOST_MS = 60_000;
/** Shortest wait for the next node to expire, in ms. */
const LEAST_MS = 250;
/** Bound of the other nodes. */
const MAX_NODES = 1_000;
/** Matches the name of a node: its id, and random digits that are new at each start. */
const NODE_NAME = /[^]\/[0-9a-f]{16}$/;

/** Another node that lives. */
export interface LiveNode {
  /** Unique: the node has a new name after a restart. */
  readonly name: string;
  readonly id: string;
  /** Number of its start, from {@link Nodes.nextEvent}; undefined if its word `start` did not arrive. */
  readonly started: number | undefined;
  /** Time of the node's last word, in ms of the platform's clock. */
  lastWordAt: number;
  /** Id of the node's last question. */
  lastQuestion: number;
  /** Number of the node's questions whose listeners run here. */
  runningQuestions: number;
}

/** Knows the other nodes of the backplane by their words, and sends the beats of this node. */
export class Nodes {
  /** By name. The node with the oldest last word comes first. */
  readonly live: Map<string, LiveNode> = new Map();
  /** The nodes that fell silent, by name. A lost node may still live, cut off by a split network. */
  readonly lost: Map<string, LiveNode> = new Map();
  readonly #link: BackplaneLink;
  readonly #others: OtherNodes;
  readonly #versions: Versions;
  /** Whether {@link BEAT_MS} have passed: by then each other node has sent a beat. */
  haveAllAppeared = false;
  /** Called when {@link haveAllAppeared} is true, or the hub closes. */
  readonly appearedCalls: Set<() => void> = new Set();
  #isFull = false;
  #event = 0;
  #cancelBeat: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #stopped = false;

  constructor(link: BackplaneLink, others: OtherNodes, versions: Versions) {
    this.#versions = versions;
    this.#link = link;
    this.#others = others;
  }

  /** Numbers an event of this node. Numbers tell which of two events came first. */
  nextEvent(): number {
    return ++this.#event;
  }

  /** Whether a node that is not in `live` may live: cut off by a split network, or above the bound. */
  get lacksSome(): boolean {
    return this.#isFull || this.lost.size > 0;
  }

  /** Sends `start`, and later the beats. Called when the channel of broadcasts is subscribed. */
  start(): void {
    if (this.#stopped) return;
    void this.#link.say(undefined, { word: 'start', version: this.#versions.version });
    this.#beatLater();
  }

  #callAppeared(): void {
    for (const done of this.appearedCalls) done();
    this.appearedCalls.clear();
  }

  stop(): void {
    this.#stopped = true;
    this.#callAppeared();
    this.#cancelBeat?.();
    this.#cancelExpiry?.();
  }

  #beatLater(): void {
    this.#cancelBeat = this.#link.platform.setTimer(BEAT_MS, () => {
      if (this.#stopped) return;
      this.#beatLater();
      this.sendBeat();
      this.haveAllAppeared = true;
      this.#callAppeared();
      this.#forgetLost();
      this.#isFull &&= this.live.size >= MAX_NODES;
      this.#others.beat();
    });
  }

  #forgetLost(): void {
    // During an outage no words arrive.
    if (this.#link.state !== 'up') return;
    const now = this.#link.platform.now();
    for (const { name, lastWordAt } of this.lost.values()) {
      if (lastWordAt + LOST_MS <= now) this.lost.delete(name);
    }
  }

  /** Says that this node lives, if the beats have begun. */
  sendBeat(): void {
    if (this.#cancelBeat === undefined || this.#stopped) return;
    void this.#link.say(undefined, { word: 'beat', version: this.#versions.version });
  }

  /**
   * A word of another node has arrived, so the node lives.
   *
   * @param isStart - Whether the word is `start`.
   * @returns Undefined for an invalid name, for a new node above the bound, and after {@link stop}.
   */
  markAlive(name: string, isStart: boolean): LiveNode | undefined {
    if (this.#stopped) return undefined;
    const known = this.live.get(name);
    if (known === undefined) return this.#appear(name, isStart);
    known.lastWordAt = this.#link.platform.now();
    // Moves the node to the end of the Map.
    this.live.delete(name);
    this.live.set(name, known);
    return known;
  }

  #appear(name: string, isStart: boolean): LiveNode | undefined {
    if (!NODE_NAME.test(name)) return undefined;
    if (this.live.size >= MAX_NODES) {
      this.#isFull = true;
      return undefined;
    }
    const id = idOf(name);
    for (const lost of this.lost.keys()) if (idOf(lost) === id) this.lost.delete(lost);
    // A restarted node has the same id and a new name: the node with the old name has ended.
    for (const node of isStart ? this.live.values() : []) if (node.id === id) this.#remove(node);
    const node: LiveNode = {
      name,
      id,
      started: isStart ? this.nextEvent() : undefined,
      lastWordAt: this.#link.platform.now(),
      lastQuestion: 0,
      runningQuestions: 0,
    };
    this.live.set(name, node);
    if (this.#cancelExpiry === undefined) this.#expireLater();
    this.#others.appeared(node);
    return node;
  }

  /** A node says that it ends. */
  ended(name: string): void {
    this.lost.delete(name);
    const node = this.live.get(name);
    if (node !== undefined) this.#remove(node);
  }

  #remove(node: LiveNode): void {
    this.live.delete(node.name);
    this.#others.gone(node);
  }

  /** Waits until the first node of `live` expires. */
  #expireLater(): void {
    this.#cancelExpiry = undefined;
    const [first] = this.live.values();
    if (first === undefined || this.#stopped) return;
    const { platform } = this.#link;
    const ms = Math.max(first.lastWordAt + LIFE_MS - platform.now(), LEAST_MS);
    // With an answer timer, a process that was suspended first reads the words that have arrived.
    this.#cancelExpiry = setAnswerTimer(platform, ms, () => {
      const now = platform.now();
      for (const node of this.live.values()) {
        if (node.lastWordAt + LIFE_MS > now) break;
        this.#remove(node);
        const hasStartedAgain = [...this.live.values()].some(({ id }) => id === node.id);
        if (!hasStartedAgain && this.lost.size < MAX_NODES) this.lost.set(node.name, node);
      }
      this.#expireLater();
    });
  }
}
