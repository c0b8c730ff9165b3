import { once } from 'node:events';
import { WebSocket } from 'ws';

type Event = {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
};

/** A visitor of the chat, with the client of `ws`: it speaks JSON-RPC by hand. */
export class Visitor {
  readonly socket: WebSocket;
  /** Code and reason of the end. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #events: Event[] = [];
  #wake: () => void = () => {};
  #id = 0;

  private constructor(url: string, name: string) {
    this.socket = new WebSocket(`${url}chat?name=${name}`);
    this.socket.on('message', (data: Buffer) => {
      this.#events.push(JSON.parse(data.toString()));
      this.#wake();
    });
    this.closed = once(this.socket, 'close').then(([code, reason]) => ({
      code,
      reason: String(reason),
    }));
  }

  /** Connects without joining a room. */
  static async arrive(url: string, name = 'Guest'): Promise<Visitor> {
    const visitor = new Visitor(url, name);
    await once(visitor.socket, 'open');
    return visitor;
  }

  /** Joins the lobby. */
  static async join(url: string, name: string): Promise<Visitor> {
    const visitor = await Visitor.arrive(url, name);
    visitor.ask('room.join', { room: 'chat/lobby', since: { epoch: '', offset: 0 } });
    // Before the answer, the missed messages and the members.
    await visitor.#until((event) => event.method === 'room.members', false);
    return visitor;
  }

  /** @returns The id of the request. */
  ask(method: string, params: unknown): number {
    this.socket.send(JSON.stringify({ jsonrpc: '2.0', id: ++this.#id, method, params }));
    return this.#id;
  }

  say(text: string, key = 'k1'): number {
    const id = crypto.randomUUID();
    return this.ask('room.publish', {
      room: 'chat/lobby',
      id,
      data: { key, text, at: 1 },
    });
  }

  /** Resolves with the parameters of the next event of this name. Drops those before it. */
  async next(method: string): Promise<Record<string, unknown>> {
    return (await this.#until((event) => event.method === method, true)).params!;
  }

  /** Resolves with the answer to a request. */
  answer(id: number | string | null): Promise<Event> {
    return this.#until((event) => event.method === undefined && event.id === id, false);
  }

  async #until(isIt: (event: Event) => boolean, drops: boolean): Promise<Event> {
    for (;;) {
      const at = this.#events.findIndex(isIt);
      if (at >= 0) return this.#events.splice(drops ? 0 : at, drops ? at + 1 : 1).at(-1)!;
      await new Promise<void>((wake) => (this.#wake = wake));
    }
  }
}
