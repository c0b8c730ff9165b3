import { type ChatEvent, cleanName, MAX_NAME, type Person, type Said } from './protocol.ts';

/** How many messages a new member gets. */
const MAX_HISTORY = 50;

/** Sends an event, as JSON, to a member. Does not throw. */
export type Listener = (event: string) => void;

interface Member extends Person {
  readonly listener: Listener;
}

/** The members and the latest messages. Does not know connections. */
export class Room {
  readonly #members = new Map<number, Member>();
  readonly #history: Said[] = [];
  #nextId = 1;

  get people(): readonly Person[] {
    return [...this.#members.values()].map(({ id, name }) => ({ id, name }));
  }

  /**
   * Adds a member, who gets the members and the latest messages. The others get `joined`.
   *
   * @param name - A result of `cleanName`. It gets a number if another member has it.
   * @returns The member's id.
   */
  join(name: string, listener: Listener): number {
    const id = this.#nextId++;
    const person = { id, name: this.#free(name, id) };
    this.#tell({ t: 'joined', person });
    this.#members.set(id, { ...person, listener });
    listener(
      JSON.stringify({
        t: 'welcome',
        you: id,
        people: this.people,
        history: this.#history,
      } satisfies ChatEvent),
    );
    return id;
  }

  rename(id: number, name: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    const person = { id, name: this.#free(name, id) };
    this.#members.set(id, { ...person, listener: member.listener });
    this.#tell({ t: 'renamed', person });
  }

  /** Sends a message to everyone, the speaker included. */
  say(id: number, key: string, text: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    const said: Said = { t: 'said', key, name: member.name, text, at: Date.now() };
    this.#history.push(said);
    if (this.#history.length > MAX_HISTORY) this.#history.shift();
    this.#tell(said);
  }

  leave(id: number): void {
    if (this.#members.delete(id)) this.#tell({ t: 'left', id });
  }

  #tell(event: ChatEvent): void {
    const json = JSON.stringify(event);
    for (const { listener } of this.#members.values()) listener(json);
  }

  /** `name`, or `name 2` and so on: the first that no other member has, ignoring case. */
  #free(name: string, id: number): string {
    const taken = new Set<string>();
    for (const other of this.#members.values()) {
      if (other.id !== id) taken.add(other.name.toLowerCase());
    }
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) {
      const number = ` ${n}`;
      free = cleanName(name.slice(0, MAX_NAME - number.length)) + number;
    }
    return free;
  }
}
