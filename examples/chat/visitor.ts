import { BackplaneError, type Hub, OverflowError, RoomRefusedError, type Session } from '@ws/hub';
import { CloseCode } from '@ws/node-server';
import { Allowance } from './allowance.ts';
import {
  BadRequest,
  type ChatEvent,
  type ChatRequest,
  cleanName,
  cleanText,
  DEFAULT_ROOM,
  MAX_NAME,
  MAX_TEXT,
  type Person,
  parseRequest,
  parseSaid,
  type Said,
} from './protocol.ts';
import { MAX_HISTORY, messagesOf, peopleOf } from './room-names.ts';

/** Requests: burst, and per second. */
const REQUESTS = [20, 5] as const;
/** Refusals: burst, and per second. A visitor who causes more is disconnected. */
const REFUSALS = [50, 1] as const;

interface Member extends Person {
  readonly room: string;
}

let nextId = 1;

/** The state of one session in the chat. */
export class Visitor {
  readonly #hub: Hub<Visitor>;
  readonly #session: Session<Visitor>;
  readonly #requests = new Allowance(...REQUESTS);
  readonly #refusals = new Allowance(...REFUSALS);
  /** Undefined until the visitor has sent a name. */
  #member: Member | undefined;

  constructor(hub: Hub<Visitor>, session: Session<Visitor>) {
    this.#hub = hub;
    this.#session = session;
  }

  get person(): Person | undefined {
    return this.#member && { id: this.#member.id, name: this.#member.name };
  }

  async handle(json: string): Promise<void> {
    try {
      await this.#act(parseRequest(json));
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      this.hangUp(CloseCode.PolicyViolation, error.message);
    }
  }

  hangUp(code: number, reason: string): void {
    this.leave();
    void this.#session.close(code, reason);
  }

  /** Leaves the room, and tells the others. */
  leave(): void {
    if (this.#member === undefined) return;
    const { room, id } = this.#member;
    this.#member = undefined;
    this.#session.leave(messagesOf(room));
    this.#session.leave(peopleOf(room));
    if (!this.#hub.closed) this.#publishToPeople(room, { t: 'left', id });
  }

  #act(request: ChatRequest): void | Promise<void> {
    const key = request.t === 'say' ? request.key : undefined;
    if (!this.#requests.take()) return this.#refuse('too fast; wait a moment', key);
    switch (request.t) {
      case 'ping':
        return this.#send({ t: 'pong', n: request.n });
      case 'name':
        return this.#name(cleanName(request.name), request.room ?? DEFAULT_ROOM);
      case 'say':
        return this.#say(request.key, cleanText(request.text));
    }
  }

  #name(name: string, room: string): void | Promise<void> {
    if (name === '') return this.#refuse(`a name has 1 to ${MAX_NAME} characters`);
    if (this.#member === undefined) return this.#enter(name, room);
    const { id, room: current } = this.#member;
    const person = { id, name: this.#free(name, current) };
    this.#member = { ...person, room: current };
    this.#publishToPeople(current, { t: 'renamed', person });
  }

  /** Joins before it reads the history, so that no message is missing between them. */
  async #enter(name: string, room: string): Promise<void> {
    try {
      await this.#session.join(messagesOf(room));
      await this.#session.join(peopleOf(room));
    } catch (error) {
      if (!(error instanceof RoomRefusedError)) throw error;
      this.#session.leave(messagesOf(room));
      return this.#refuse('there are too many rooms');
    }
    const person = { id: nextId++, name: this.#free(name, room) };
    this.#member = { ...person, room };
    this.#publishToPeople(room, { t: 'joined', person });
    const history = await this.#history(room);
    // The session may have ended meanwhile.
    if (this.#session.state === 'closed') return;
    const people = this.#people(room);
    this.#send({ t: 'welcome', you: person.id, room, node: this.#hub.id, people, history });
  }

  async #history(room: string): Promise<Said[]> {
    try {
      const { messages } = await this.#hub.room(messagesOf(room)).history({ limit: MAX_HISTORY });
      return messages
        .map(({ message }) => (message.isText ? parseSaid(message.text()) : undefined))
        .filter((said) => said !== undefined);
    } catch (error) {
      if (error instanceof BackplaneError) return [];
      throw error;
    }
  }

  async #say(key: string, text: string): Promise<void> {
    if (this.#member === undefined) throw new BadRequest('send a name first');
    if (text === '' || text.length > MAX_TEXT) {
      return this.#refuse(`a message has 1 to ${MAX_TEXT} characters`, key);
    }
    const { room, name } = this.#member;
    const said: Said = { t: 'said', key, name, text, at: Date.now() };
    try {
      await this.#hub.room(messagesOf(room)).publish(JSON.stringify(said));
    } catch (error) {
      if (!(error instanceof BackplaneError || error instanceof OverflowError)) throw error;
      this.#refuse('the chat is overloaded; try again', key);
    }
  }

  #refuse(reason: string, key?: string): void {
    if (!this.#refusals.take()) throw new BadRequest('too many requests');
    this.#send({ t: 'refused', reason, ...(key === undefined ? {} : { key }) });
  }

  #send(event: ChatEvent): void {
    if (this.#session.state === 'open') this.#session.send(JSON.stringify(event));
  }

  /** Sends an event to the people of this node. The visitor does not get its own `joined`. */
  #publishToPeople(room: string, event: ChatEvent): void {
    const except = event.t === 'joined' ? this.#session : undefined;
    void this.#hub.room(peopleOf(room)).publish(JSON.stringify(event), { except, local: true });
  }

  #people(room: string): Person[] {
    const { members } = this.#hub.room(peopleOf(room));
    return [...members].map(({ data }) => data.person).filter((person) => person !== undefined);
  }

  /** `name`, or `name 2` and so on: the first that no other member has, ignoring case. */
  #free(name: string, room: string): string {
    const others = this.#people(room).filter(({ id }) => id !== this.#member?.id);
    const taken = new Set(others.map((other) => other.name.toLowerCase()));
    let free = name;
    for (let n = 2; taken.has(free.toLowerCase()); n++) {
      const number = ` ${n}`;
      free = cleanName(name.slice(0, MAX_NAME - number.length)) + number;
    }
    return free;
  }
}
