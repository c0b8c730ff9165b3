import { Deferred } from '@ws/conn/internal';
import type { BackplaneLink } from '../backplane/backplane-link.ts';
import { idOf } from '../backplane/envelope.ts';
import { setAnswerTimer } from '../backplane/with-timeout.ts';
import type { OtherNodes } from './other-nodes.ts';

/** Interval of the beats of a node, in ms. */
export const BEAT_MS = 5_000;
/** Silence after which a node no longer counts, in ms. */
const LIFE_MS = 15_000;
/** Time after its last word in which a silent node may live beyond a split, in ms. */
const LOST_MS = 60_000;
/** Least wait for a node that is silent, in ms. */
const LEAST_MS = 250;
/** Bound of the other nodes. */
const MAX_NODES = 1_000;
/** Matches the name of a node, which ends with the random word of its run. */
const RUN = /[^]\/[0-9a-f]{16}$/;

/** Another node that lives. */
export interface LiveNode {
  /** The name of this run, which no other node has. */
  readonly name: string;
  readonly id: string;
  /** The number of the event of its start; undefined if this node missed the start. */
  readonly started: number | undefined;
  /** When it was heard last, by the platform's clock. */
  heardAt: number;
  /** Id of its last question. */
  question: number;
  /** Number of its questions with running listeners. */
  running: number;
}

/** The other nodes of the backplane, by their words. This node sends a beat each 5 s. */
export class Nodes {
  /** By name. The node that has been silent longest comes first. */
  readonly live: Map<string, LiveNode> = new Map();
  /** The nodes that fell silent, by name. They may live beyond a split. */
  readonly lost: Map<string, LiveNode> = new Map();
  readonly #link: BackplaneLink;
  readonly #others: OtherNodes;
  /** Resolves when all nodes had the time for a beat. */
  readonly round: Deferred<void> = new Deferred();
  /** Whether {@link round} has resolved. */
  hasRound = false;
  #isFull = false;
  #event = 0;
  #cancelBeat: (() => void) | undefined;
  #cancelExpiry: (() => void) | undefined;
  #stopped = false;

  constructor(link: BackplaneLink, others: OtherNodes) {
    this.#link = link;
    this.#others = others;
  }

  /** A number that grows with each event of a node. */
  nextEvent(): number {
    return ++this.#event;
  }

  /** Whether nodes beyond a split, or above the bound, may live that are not in `live`. */
  get lacksSome(): boolean {
    return this.#isFull || this.lost.size > 0;
  }

  /** Sends `start`, and later the beats. Called when the channel of broadcasts is subscribed. */
  start(): void {
    if (this.#stopped) return;
    void this.#link.say(undefined, { word: 'start' });
    this.#beatLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelBeat?.();
    this.#cancelExpiry?.();
  }

  #beatLater(): void {
    this.#cancelBeat = this.#link.platform.setTimer(BEAT_MS, () => {
      if (this.#stopped) return;
      this.#beatLater();
      this.say();
      this.hasRound = true;
      this.round.resolve();
      this.#forgetLost();
      this.#isFull &&= this.live.size >= MAX_NODES;
      this.#others.beat();
    });
  }

  #forgetLost(): void {
    // In an outage their silence says nothing.
    if (this.#link.state !== 'up') return;
    const now = this.#link.platform.now();
    for (const { name, heardAt } of this.lost.values()) {
      if (heardAt + LOST_MS <= now) this.lost.delete(name);
    }
  }

  /** Sends a beat. */
  say(): void {
    if (this.#cancelBeat === undefined || this.#stopped) return;
    void this.#link.say(undefined, { word: 'beat' });
  }

  /**
   * A word of another node has arrived.
   *
   * @param starts - It says that it starts.
   * @returns Undefined for a name that no hub has, and above the bound.
   */
  heard(name: string, starts: boolean): LiveNode | undefined {
    if (this.#stopped) return undefined;
    const known = this.live.get(name);
    if (known === undefined) return this.#appear(name, starts);
    known.heardAt = this.#link.platform.now();
    // To the end.
    this.live.delete(name);
    this.live.set(name, known);
    return known;
  }

  #appear(name: string, starts: boolean): LiveNode | undefined {
    if (!RUN.test(name)) return undefined;
    if (this.live.size >= MAX_NODES) {
      this.#isFull = true;
      return undefined;
    }
    const id = idOf(name);
    for (const lost of this.lost.keys()) if (idOf(lost) === id) this.lost.delete(lost);
    // The process was started again with its id.
    for (const node of starts ? this.live.values() : []) if (node.id === id) this.#remove(node);
    const node: LiveNode = {
      name,
      id,
      started: starts ? this.nextEvent() : undefined,
      heardAt: this.#link.platform.now(),
      question: 0,
      running: 0,
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

  /** Whether a later run of the same hub lives. */
  #hasStartedAgain({ id }: LiveNode): boolean {
    return [...this.live.values()].some((node) => node.id === id);
  }

  #lose(node: LiveNode): void {
    if (this.lost.size < MAX_NODES) this.lost.set(node.name, node);
  }

  /** Waits for the node that has been silent longest. */
  #expireLater(): void {
    this.#cancelExpiry = undefined;
    const [first] = this.live.values();
    if (first === undefined || this.#stopped) return;
    const { platform } = this.#link;
    const ms = Math.max(first.heardAt + LIFE_MS - platform.now(), LEAST_MS);
    // A process that was stopped first reads what has arrived meanwhile.
    this.#cancelExpiry = setAnswerTimer(platform, ms, () => {
      const now = platform.now();
      for (const node of this.live.values()) {
        if (node.heardAt + LIFE_MS > now) break;
        this.#remove(node);
        if (!this.#hasStartedAgain(node)) this.#lose(node);
      }
      this.#expireLater();
    });
  }
}
