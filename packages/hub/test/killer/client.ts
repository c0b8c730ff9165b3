import { type EventEmitter, once } from 'node:events';
import { WebSocket } from 'ws';
import type { Log } from './history-checker.ts';

/** A client of a node, in some of its rooms. It has a log for each time that it is in a room. */
export class Client {
  readonly run: string;
  readonly rooms: readonly string[];
  readonly #name: string;
  readonly #socket: WebSocket;
  readonly #logs: Log[];
  readonly #current = new Map<string, Log>();
  readonly #changed: EventEmitter;
  #ended = false;

  /**
   * @param logs - Gets the logs of the client.
   * @param changed - Emits `change` after each event of the client.
   */
  constructor(
    address: { readonly run: string; readonly port: number },
    number: number,
    rooms: readonly string[],
    logs: Log[],
    changed: EventEmitter,
  ) {
    this.run = address.run;
    this.rooms = rooms;
    this.#name = `client ${number} of ${address.run}`;
    this.#logs = logs;
    this.#changed = changed;
    for (const room of rooms) this.#enter(room);
    this.#socket = new WebSocket(`ws://127.0.0.1:${address.port}/?${rooms.join(',')}`);
    this.#socket.on('message', (data: Buffer) => this.#receive(data.toString()));
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => this.#end());
  }

  async open(): Promise<void> {
    await once(this.#socket, 'open');
  }

  /** Asks the node to leave a room, or to join it again. The node answers in the order of the room. */
  ask(action: '-' | '+', room: string): void {
    this.#socket.send(action + room);
  }

  /** Whether the node has answered {@link ask}, or the connection has ended. */
  isIn(room: string): boolean | undefined {
    return this.#ended ? undefined : this.#current.has(room);
  }

  #receive(text: string): void {
    const [room, from, number] = text.split(' ') as [string, string, string?];
    const log = this.#current.get(room);
    if (from === 'joined') this.#enter(room);
    else if (log === undefined) throw new Error(`${this.#name}: ${text} after it has left`);
    else if (from === 'left') this.#leave(room, log);
    else log.events.push(number === undefined ? 'gap' : { run: from, number: +number });
    this.#changed.emit('change');
  }

  #enter(room: string): void {
    const name = `${room} ${this.#name}`;
    const log: Log = { name, events: [], startedAt: new Map(), ended: false };
    this.#current.set(room, log);
    this.#logs.push(log);
  }

  #leave(room: string, log: Log): void {
    log.ended = true;
    this.#current.delete(room);
  }

  #end(): void {
    this.#ended = true;
    for (const log of this.#current.values()) log.ended = true;
    this.#changed.emit('change');
  }
}
