import { CloseCode, type Conn } from '@ws/node-server';
import { Allowance } from './allowance.ts';
import {
  BadRequest,
  type ChatEvent,
  type ChatRequest,
  cleanName,
  cleanText,
  MAX_NAME,
  MAX_REQUEST,
  MAX_TEXT,
  parseRequest,
} from './protocol.ts';
import type { Room } from './room.ts';

/** Buffered bytes above which a slow visitor is disconnected. */
const MAX_WAITING = 1024 * 1024;
/** Requests: burst, and per second. */
const REQUESTS = [20, 5] as const;
/** Refusals: burst, and per second. A visitor who causes more is disconnected. */
const REFUSALS = [50, 1] as const;

/** Runs one connection of the chat, from its first message to its end. */
export async function visit(conn: Conn, room: Room): Promise<void> {
  const visitor = new Visitor(conn, room);
  conn.setReadLimit(MAX_REQUEST);
  try {
    await conn.receive((message) => {
      if (!message.isText) visitor.hangUp(CloseCode.UnsupportedData, 'text only');
      else visitor.hear(message.text());
    });
  } finally {
    visitor.leave();
  }
}

class Visitor {
  readonly #conn: Conn;
  readonly #room: Room;
  readonly #requests = new Allowance(...REQUESTS);
  readonly #refusals = new Allowance(...REFUSALS);
  /** Set when the visitor has sent a name. */
  #id: number | undefined;

  constructor(conn: Conn, room: Room) {
    this.#conn = conn;
    this.#room = room;
  }

  hear(json: string): void {
    try {
      this.#act(parseRequest(json));
    } catch (error) {
      if (!(error instanceof BadRequest)) throw error;
      this.hangUp(CloseCode.PolicyViolation, error.message);
    }
  }

  hangUp(code: number, reason: string): void {
    this.leave();
    void this.#conn.close(code, reason);
  }

  leave(): void {
    if (this.#id !== undefined) this.#room.leave(this.#id);
    this.#id = undefined;
  }

  #act(request: ChatRequest): void {
    const key = request.t === 'say' ? request.key : undefined;
    if (!this.#requests.take()) return this.#refuse('too fast; wait a moment', key);
    switch (request.t) {
      case 'ping':
        return this.#tell({ t: 'pong', n: request.n });
      case 'name':
        return this.#name(cleanName(request.name));
      case 'say':
        return this.#say(request.key, cleanText(request.text));
    }
  }

  #name(name: string): void {
    if (name === '') return this.#refuse(`a name has 1 to ${MAX_NAME} characters`);
    if (this.#id === undefined) this.#id = this.#room.join(name, (event) => this.#send(event));
    else this.#room.rename(this.#id, name);
  }

  #say(key: string, text: string): void {
    if (this.#id === undefined) throw new BadRequest('send a name first');
    if (text === '' || text.length > MAX_TEXT) {
      return this.#refuse(`a message has 1 to ${MAX_TEXT} characters`, key);
    }
    this.#room.say(this.#id, key, text);
  }

  #refuse(reason: string, key?: string): void {
    if (!this.#refusals.take()) throw new BadRequest('too many requests');
    this.#tell({ t: 'refused', reason, ...(key === undefined ? {} : { key }) });
  }

  #tell(event: ChatEvent): void {
    this.#send(JSON.stringify(event));
  }

  #send(event: string): void {
    if (this.#conn.bufferedAmount > MAX_WAITING) this.#conn.terminate();
    else void this.#conn.send(event);
  }
}
