import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Log } from './history-checker.ts';

/**
 * A stopped node answers late. A connection gets no answer at all if Node's primary hands it to a
 * worker that is killed at that moment.
 */
export const HANDSHAKE = { handshakeTimeout: 8_000 };

/** A client of a node, in some of its rooms. It has a log for each time that it is in a room. */
export class Client {
  readonly run: string;
  readonly rooms: readonly string[];
  /** The connection has ended. */
  ended = false;
  /** The client does not read now. */
  slow = false;
  readonly #name: string;
  readonly #socket: WebSocket;
  readonly #logs: Log[];
  readonly #current = new Map<string, Log>();

  /** @param logs - Gets the logs of the client. */
  constructor(
    address: { readonly run: string; readonly port: number },
    number: number,
    rooms: readonly string[],
    logs: Log[],
  ) {
    this.run = address.run;
    this.rooms = rooms;
    this.#name = `client ${number} of ${address.run}`;
    this.#logs = logs;
    this.#socket = new WebSocket(`ws://127.0.0.1:${address.port}/?${rooms.join(',')}`, HANDSHAKE);
    // A node may begin to publish before.
    this.#socket.on('open', () => {
      for (const room of rooms) this.#enter(room);
    });
    this.#socket.on('message', (data: Buffer) => this.#receive(data));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#end());
  }

  /** Rejects when the node is away. */
  async open(): Promise<void> {
    await once(this.#socket, 'open');
  }

  /** Asks the node to leave a room, or to join it again. The node answers in the order of the room. */
  ask(action: '-' | '+', room: string): void {
    this.#socket.send(action + room);
  }

  /** Whether the node has answered {@link ask}, or the connection has ended. */
  isIn(room: string): boolean | undefined {
    return this.ended ? undefined : this.#current.has(room);
  }

  /** Ends the connection without a close frame. */
  tear(): void {
    this.#socket.terminate();
  }

  /** Reads nothing for `ms`. */
  async pause(ms: number): Promise<void> {
    this.slow = true;
    this.#socket.pause();
    await new Promise((resolve) => setTimeout(resolve, ms));
    this.#socket.resume();
    this.slow = false;
  }

  #receive(data: Buffer): void {
    // A large message ends with zeros.
    const end = data.indexOf(0);
    const text = data.toString('latin1', 0, end < 0 ? data.length : end);
    const [room, from, number] = text.split(' ') as [string, string, string?];
    const log = this.#current.get(room);
    if (from === 'joined') this.#enter(room);
    else if (log === undefined) throw new Error(`${this.#name}: ${text} after it has left`);
    else if (from === 'left') this.#leave(room, log);
    else log.events.push(from === 'gap' ? { gap: +number! } : { run: from, number: +number! });
  }

  #enter(room: string): void {
    const name = `${room} ${this.#name}`;
    const { run } = this;
    const log: Log = { name, run, events: [], startedAt: new Map(), ended: false };
    this.#current.set(room, log);
    this.#logs.push(log);
  }

  #leave(room: string, log: Log): void {
    log.ended = true;
    this.#current.delete(room);
  }

  #end(): void {
    this.ended = true;
    for (const log of this.#current.values()) log.ended = true;
  }
}
