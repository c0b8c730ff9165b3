import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { ChatEvent, ChatRequest } from '../protocol.ts';

type EventOf<T extends ChatEvent['t']> = Extract<ChatEvent, { t: T }>;

/** A visitor of the chat, with the client of `ws`. */
export class Visitor {
  readonly socket: WebSocket;
  /** Code and reason of the end. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #events: ChatEvent[] = [];
  #wake: () => void = () => {};

  private constructor(url: string) {
    this.socket = new WebSocket(`${url}chat`);
    this.socket.on('message', (data: Buffer) => {
      this.#events.push(JSON.parse(data.toString()));
      this.#wake();
    });
    this.closed = once(this.socket, 'close').then(([code, reason]) => ({
      code,
      reason: String(reason),
    }));
  }

  /** Connects without sending a name. */
  static async arrive(url: string): Promise<Visitor> {
    const visitor = new Visitor(url);
    await once(visitor.socket, 'open');
    return visitor;
  }

  static async join(url: string, name: string): Promise<[Visitor, EventOf<'welcome'>]> {
    const visitor = await Visitor.arrive(url);
    visitor.send({ t: 'name', name });
    return [visitor, await visitor.next('welcome')];
  }

  send(request: ChatRequest): void {
    this.socket.send(JSON.stringify(request));
  }

  say(text: string, key = 'k1'): void {
    this.send({ t: 'say', key, text });
  }

  /** Resolves with the next event of this type. Drops the events before it. */
  async next<T extends ChatEvent['t']>(t: T): Promise<EventOf<T>> {
    for (;;) {
      const event = this.#events.shift();
      if (event === undefined) await new Promise<void>((wake) => (this.#wake = wake));
      else if (event.t === t) return event as EventOf<T>;
    }
  }
}
