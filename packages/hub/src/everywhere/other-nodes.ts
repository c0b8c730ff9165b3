import type { BackplaneLink } from '../backplane/backplane-link.ts';
import { loadedLink } from '../backplane/loaded-link.ts';
import type { LocalHub } from '../backplane/local-hub.ts';
import { decodeWord, isWhole, type Word } from '../backplane/words.ts';
import type { PresenceLink } from '../presence/presence-link.ts';
import { EverywhereCalls } from './everywhere-calls.ts';
import { type LiveNode, Nodes } from './nodes.ts';
import { Questions } from './questions.ts';

/** Ms for which the counters of an ended node are kept: its last messages may arrive late. */
const COUNTERS_MS = 60_000;

/** Passes the words of other nodes to presence, questions and the list of nodes. */
export class OtherNodes {
  readonly calls: EverywhereCalls;
  /** Undefined if no room has presence, and before the code is loaded. */
  presence: PresenceLink | undefined;
  readonly questions: Questions;
  readonly #link: BackplaneLink;
  readonly #hub: LocalHub;
  readonly #nodes: Nodes;

  constructor(link: BackplaneLink, hub: LocalHub) {
    this.#link = link;
    this.#hub = hub;
    this.#nodes = new Nodes(link, this, hub.versions);
    this.calls = new EverywhereCalls(hub);
    this.questions = new Questions(link, this.#nodes, hub);
    if (!hub.settings.hasPresence) return;
    if (loadedLink.PresenceLink !== undefined) this.#createPresence(loadedLink.PresenceLink);
    else void this.#loadPresence();
  }

  /** The first word of a node has arrived. */
  appeared(node: LiveNode): void {
    this.presence?.appeared(node);
  }

  /** A node has ended, or has been silent for too long. */
  gone(node: LiveNode): void {
    this.presence?.gone(node);
    this.questions.gone(node);
    this.#forgetLater(node.name);
  }

  /** Called each 5 s. */
  beat(): void {
    this.presence?.beat();
    this.#link.beat();
  }

  /** Drops the counters of an ended node later. Otherwise each room keeps them for ever. */
  #forgetLater(name: string): void {
    this.#link.platform.setTimer(COUNTERS_MS, () => {
      // During an outage no words arrive: the node may live.
      if (this.#link.state !== 'up') this.#forgetLater(name);
      else if (!this.#nodes.live.has(name)) {
        for (const channel of this.#link.channels.values()) channel.forgetNode(name);
      }
    });
  }

  async #loadPresence(): Promise<void> {
    try {
      const { PresenceLink } = await import('../presence/presence-link.ts');
      if (!this.#link.closed) this.#createPresence(PresenceLink);
    } catch (error) {
      this.#hub.failed(undefined, error);
    }
  }

  #createPresence(Link: typeof PresenceLink): void {
    this.presence = new Link(this.#link, this.#nodes, this.#hub.presence);
  }

  /** Called when the channel of broadcasts is subscribed. */
  start(): void {
    this.#nodes.start();
  }

  /** The engine has returned. */
  up(): void {
    this.#nodes.sendBeat();
    this.presence?.up();
    this.questions.up();
  }

  stop(): void {
    this.#nodes.stop();
    this.presence?.stop();
    this.questions.stop();
  }

  /**
   * A word of another node has arrived.
   *
   * @param room - The room of the word's channel; undefined for the channel of broadcasts.
   * @param name - The name of the other node.
   * @throws TypeError, RangeError, SyntaxError for bytes that are no word.
   */
  receiveWord(room: string | undefined, name: string, bytes: Uint8Array): void {
    const word = decodeWord(bytes);
    if (word === undefined) return;
    if (word.word === 'end' && room === undefined) return this.#nodes.ended(name);
    const node = this.#nodes.markAlive(name, word.word === 'start');
    if (node === undefined) return;
    if (room !== undefined) return this.presence?.receiveWord(node, room, word);
    if (word.word === 'start' || word.word === 'beat') {
      if (isWhole(word.version)) this.#hub.versions.saw(word.version as number);
    }
    // A new node waits for a beat of each other node.
    if (word.word === 'start') this.#nodes.sendBeat();
    else if (word.word === 'need') this.#needed(node, word);
    else if (word.word === 'have') this.presence?.have(node, word);
    else if (word.word === 'question') this.questions.asked(node, word);
    else if (word.word === 'answer') this.questions.answered(node, word);
  }

  #needed(node: LiveNode, word: Word<'need'>): void {
    this.presence?.need(node, word);
    const { of, full, rooms } = word;
    if (this.#hub.settings.hasPresence || (of !== undefined && of !== this.#link.node)) return;
    const noMembers = rooms.map((room) => [room, 0] as const);
    void this.#link.say(undefined, { word: 'have', to: node.name, at: 0, full, rooms: noMembers });
  }
}
