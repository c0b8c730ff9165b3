import { idOf } from '../backplane/envelope.ts';
import { parseInfo, type Shown, type Word } from '../backplane/words.ts';
import type { RoomPresence } from './room-presence.ts';

/** The parts of a state that have arrived. */
interface Parts {
  readonly version: number;
  next: number;
  readonly on: Shown[];
  /** Members above the bound of the room were dropped. */
  isCut: boolean;
}

/** The members of another node in a room, as far as this node has heard. */
export class NodeMembers {
  /** Whether no change is missing up to the last version that was heard. */
  isKnown = false;
  /** Whether the bound of the room left members out. */
  isCut = false;
  /** The node was asked for all members in the last 5 s. */
  isAsked = false;
  #version = 0;
  #parts: Parts | undefined;
  readonly #name: string;
  readonly #id: string;
  readonly #room: RoomPresence;

  /** @param name - Of the node. */
  constructor(name: string, room: RoomPresence) {
    this.#name = name;
    this.#id = idOf(name);
    this.#room = room;
  }

  get isWhole(): boolean {
    return this.isKnown && !this.isCut;
  }

  /** @returns False if members or changes are missing. */
  hear(word: Word<'change' | 'state' | 'version'>): boolean {
    if (word.word === 'change') return this.#change(word);
    if (word.word === 'state') return this.#state(word);
    return this.#isAt(word.version, word.size);
  }

  #change({ from, version, on, off, size }: Word<'change'>): boolean {
    if (version <= this.#version) return true;
    if (from === 0) this.#room.deleteOwner(this.#name);
    else if (from !== this.#version) return this.#lack();
    for (const session of off) this.#room.delete(this.#name, session);
    this.#add(on);
    this.#is(version);
    this.isCut &&= size !== this.#size;
    return true;
  }

  #state({ version, part, parts, on }: Word<'state'>): boolean {
    if (version < this.#version || (version === this.#version && this.isWhole)) return true;
    if (part === 0) this.#parts = { version, next: 0, on: [], isCut: false };
    const found = this.#parts;
    if (found?.version !== version || found.next !== part) return this.#lack();
    found.next++;
    if (found.on.length < this.#room.most) found.on.push(...on);
    else if (on.length > 0) found.isCut = true;
    if (found.next < parts) return true;
    this.#parts = undefined;
    this.isCut = found.isCut;
    this.#replace(found.on);
    this.#is(version);
    return true;
  }

  /**
   * The last version of the node.
   *
   * @param size - Number of its members, if the word has it.
   */
  #isAt(version: number, size: number | undefined): boolean {
    if (version < this.#version) return true;
    this.isCut &&= size !== this.#size;
    const isSame = version === this.#version && (size ?? this.#size) === this.#size;
    if (!isSame && !this.isCut) return this.#lack();
    this.isKnown = version === this.#version;
    return this.isKnown;
  }

  get #size(): number {
    return this.#room.membersOf(this.#name).size;
  }

  /**
   * The version of the node when its last version in any room was `at`; 0 without members.
   *
   * @returns False if changes are missing.
   */
  hearOf(version: number, at: number): boolean {
    if (version > 0 || this.#version > at) return this.#isAt(version, undefined);
    this.#room.deleteOwner(this.#name);
    this.#is(this.#version);
    return true;
  }

  #is(version: number): void {
    this.#version = version;
    this.isKnown = true;
    this.isAsked = false;
  }

  #lack(): boolean {
    this.isKnown = false;
    return false;
  }

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
