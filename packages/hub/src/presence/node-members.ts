import { idOf } from '../backplane/envelope.ts';
import { parseInfo, type Shown, type Word } from '../backplane/words.ts';
import type { RoomPresence } from './room-presence.ts';

/** The arrived parts of a state: of the words `state` with one version. */
interface Parts {
  readonly version: number;
  /** Index of the next part. */
  next: number;
  readonly on: Shown[];
  /** Whether members above the bound of the room were dropped. */
  isCut: boolean;
}

/** The members of another node in a room, from the words of that node. */
export class NodeMembers {
  /** Whether this node has all changes up to the last version that the other node has named. */
  isKnown = false;
  /** Whether the bound of the room left members out. */
  isCut = false;
  /** Whether this node has asked for all members. The next beat may ask again. */
  isAsked = false;
  #version = 0;
  #parts: Parts | undefined;
  readonly #name: string;
  readonly #id: string;
  readonly #room: RoomPresence;

  /** @param name - The name of the other node. */
  constructor(name: string, room: RoomPresence) {
    this.#name = name;
    this.#id = idOf(name);
    this.#room = room;
  }

  /** Whether this node knows all members. */
  get isWhole(): boolean {
    return this.isKnown && !this.isCut;
  }

  /** @returns False if this node lacks members or changes after the word. */
  applyWord(word: Word<'change' | 'state' | 'version'>): boolean {
    if (word.word === 'change') return this.#applyChange(word);
    if (word.word === 'state') return this.#applyState(word);
    return this.#compare(word.version, word.size);
  }

  #applyChange({ from, version, on, off, size }: Word<'change'>): boolean {
    if (version <= this.#version) return true;
    if (from === 0) this.#room.deleteOwner(this.#name);
    else if (from !== this.#version) return this.#markIncomplete();
    for (const session of off) this.#room.delete(this.#name, session);
    this.#add(on);
    this.#reach(version);
    this.isCut &&= size !== this.#size;
    return true;
  }

  #applyState({ version, part, parts, on }: Word<'state'>): boolean {
    if (version < this.#version || (version === this.#version && this.isWhole)) return true;
    if (part === 0) this.#parts = { version, next: 0, on: [], isCut: false };
    const arrived = this.#parts;
    if (arrived?.version !== version || arrived.next !== part) return this.#markIncomplete();
    arrived.next++;
    if (arrived.on.length < this.#room.maxMembers) arrived.on.push(...on);
    else if (on.length > 0) arrived.isCut = true;
    if (arrived.next < parts) return true;
    this.#parts = undefined;
    this.isCut = arrived.isCut;
    this.#replace(arrived.on);
    this.#reach(version);
    return true;
  }

  /**
   * Compares the other node's last version with the version that this node has.
   *
   * @param size - Number of the members, if the word has it.
   * @returns False if members or changes are missing.
   */
  #compare(version: number, size: number | undefined): boolean {
    if (version < this.#version) return true;
    this.isCut &&= size !== this.#size;
    const isCurrent = version === this.#version && (size ?? this.#size) === this.#size;
    if (!isCurrent && !this.isCut) return this.#markIncomplete();
    this.isKnown = version === this.#version;
    return this.isKnown;
  }

  get #size(): number {
    return this.#room.membersOf(this.#name).size;
  }

  /**
   * The other node has answered with its version of the room.
   *
   * @param version - Version of the room; 0 if the other node has no members there.
   * @param at - The other node's last version in any room, at the time of the answer.
   * @returns False if changes are missing.
   */
  applyVersion(version: number, at: number): boolean {
    if (version > 0 || this.#version > at) return this.#compare(version, undefined);
    this.#room.deleteOwner(this.#name);
    this.#reach(this.#version);
    return true;
  }

  /** This node now has all changes up to `version`. */
  #reach(version: number): void {
    this.#version = version;
    this.isKnown = true;
    this.isAsked = false;
  }

  #markIncomplete(): boolean {
    this.isKnown = false;
    return false;
  }

  /** Makes `on` the only members of the other node. */
  #replace(on: readonly Shown[]): void {
    const sessions = new Set(on.map(([session]) => session));
    for (const session of this.#room.membersOf(this.#name).keys()) {
      if (!sessions.has(session)) this.#room.delete(this.#name, session);
    }
    this.#add(on);
  }

  #add(on: readonly Shown[]): void {
    for (const [session, info] of on) {
      const present = { node: this.#id, session, info: parseInfo(info) };
      if (!this.#room.set(this.#name, present)) this.isCut = true;
    }
  }
}
