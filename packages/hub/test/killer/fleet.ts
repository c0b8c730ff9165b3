import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Position } from '@ws/hub';
import type { Random } from '@ws/tests';
import type { Relay } from '../nats/relay.ts';
import { Client } from './client.ts';
import type { Log } from './history-checker.ts';
import { type FromNode, PUBLISH_MS, ROOMS, type ToNode } from './protocol.ts';

const NODE = fileURLToPath(new URL('node.ts', import.meta.url));
const NAMES = Object.keys(ROOMS);
/** Pause after clients have joined a room again, in ms. */
const REJOIN_MS = 10 * PUBLISH_MS;

/** A process of the fleet. A process that starts in the place of a killed one has another `run`. */
interface Running {
  readonly run: string;
  readonly process: ChildProcess;
  port: number;
  state: string;
  /** Number of its own outages. */
  downs: number;
}

/**
 * A gap that a node has reported, with the numbers of the fault, of the outage, of the node's own
 * outages, and of its new subscriptions to the room before it.
 */
interface Gap {
  readonly run: string;
  readonly room: string;
  readonly fault: number;
  readonly outage: number;
  readonly downs: number;
  readonly rejoins: number;
}

/** Three processes with hubs on one engine, and their clients. Records all that they report. */
export class Fleet {
  readonly gaps: Gap[] = [];
  readonly logs: Log[] = [];
  /** By room, node and number: the publications that have resolved. */
  readonly accepted = new Map<string, Map<string, Map<number, Position | undefined>>>();
  /** Number of the latest fault. */
  fault = 0;
  /**
   * Number of the latest outage: a time in which at least one node is down. On a busy machine an
   * engine that does not answer in time causes outages without a fault.
   */
  outage = 0;
  readonly #engine: string;
  readonly #relays: readonly Relay[];
  readonly #running: Running[] = [];
  readonly #changed = new EventEmitter();
  #runs = 0;
  readonly #clients: Client[] = [];
  /** By node and room: how often all clients have left and joined again. */
  readonly rejoins = new Map<string, number>();
  #rejoined: Promise<void> | undefined;
  #finishing = false;

  constructor(engine: string, relays: readonly Relay[]) {
    this.#engine = engine;
    this.#relays = relays;
    for (const room of NAMES) this.accepted.set(room, new Map());
  }

  /** Starts all nodes and `clients` clients of them. */
  async start(clients: number, random: Random): Promise<void> {
    await Promise.all(this.#relays.map((_, index) => this.#launch(index)));
    await this.allUp();
    await this.#connectAll(clients, (i) => i % this.#relays.length);
    for (const index of this.#relays.keys()) this.#publish(index);
    this.#rejoined = this.#rejoin(random);
  }

  /** Kills a node. Its clients connect again when it has restarted. */
  async killNode(index: number): Promise<void> {
    const { process: child, run } = this.#running[index]!;
    const clients = this.#clients.filter((client) => client.run === run).length;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await this.#launch(index);
    await this.allUp();
    await this.#connectAll(clients, () => index);
    this.#publish(index);
  }

  /** Resolves when the node `index` has noticed an outage. */
  async isDown(index: number): Promise<void> {
    await this.#until(() => this.#running[index]!.state === 'down');
  }

  async allUp(): Promise<void> {
    await this.#until(() => this.#running.every(({ state }) => state === 'up'));
  }

  /** Resolves when each node has had `count` publications accepted since the call, in each room. */
  async more(count: number): Promise<void> {
    const published = ({ run }: Running): number[] =>
      NAMES.map((room) => this.#acceptedOf(room, run).size);
    const before = this.#running.map(published);
    await this.#until(() =>
      this.#running.every((node, i) =>
        published(node).every((size, room) => size >= before[i]![room]! + count),
      ),
    );
  }

  /** Stops the publishers, and waits until their last messages have reached all clients. */
  async finish(): Promise<void> {
    this.#finishing = true;
    await this.#rejoined;
    // Each client then has the messages of all nodes.
    await this.#until(() =>
      this.logs.every((log) => log.ended || this.#running.every(({ run }) => hasFrom(log, run))),
    );
    await this.more(2);
    for (const { process: child } of this.#running) child.send('stop' satisfies ToNode);
    const has = (log: Log, room: string, run: string): boolean => {
      const last = Math.max(...this.#acceptedOf(room, run).keys());
      return log.events.some(
        (event) => event !== 'gap' && event.run === run && event.number >= last,
      );
    };
    await this.#until(() =>
      this.#running.every(({ run }) =>
        this.logs.every((log) => log.ended || has(log, roomOf(log), run)),
      ),
    );
  }

  close(): void {
    for (const { process: child } of this.#running) child.kill('SIGKILL');
  }

  async #launch(index: number): Promise<void> {
    const run = `node${index}-${++this.#runs}`;
    const args = ['--conditions=@ws/source', '--import', 'tsx', NODE];
    const child = spawn(
      process.execPath,
      [...args, this.#engine, String(this.#relays[index]!.port), run],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    const running: Running = { run, process: child, port: 0, state: 'starting', downs: 0 };
    this.#running[index] = running;
    child.on('message', (event: FromNode) => this.#report(running, event));
    await this.#until(() => running.port > 0);
  }

  #report(node: Running, event: FromNode): void {
    const { run, downs } = node;
    const { fault, outage } = this;
    if (event.type === 'listening') node.port = event.port;
    else if (event.type === 'state') this.#becomes(node, event.state);
    else if (event.type === 'gap') {
      const rejoins = this.rejoins.get(`${run} ${event.room}`) ?? 0;
      this.gaps.push({ run, room: event.room, fault, outage, downs, rejoins });
    } else this.#acceptedOf(event.room, run).set(event.number, event.position);
    this.#changed.emit('change');
  }

  #becomes(node: Running, state: string): void {
    if (state === 'down' && this.#running.every((other) => other.state !== 'down')) this.outage++;
    if (state === 'down') node.downs++;
    node.state = state;
  }

  #acceptedOf(room: string, run: string): Map<number, Position | undefined> {
    const ofRoom = this.accepted.get(room)!;
    if (!ofRoom.has(run)) ofRoom.set(run, new Map());
    return ofRoom.get(run)!;
  }

  /** Connects clients side by side, each to the node of its number. */
  async #connectAll(count: number, nodeOf: (number: number) => number): Promise<void> {
    const opening = Array.from({ length: count }, (_, i) => this.#connect(nodeOf(i), i));
    this.#clients.push(...(await Promise.all(opening)));
  }

  /** Connects a client, which joins two of the rooms. */
  async #connect(index: number, number: number): Promise<Client> {
    const rooms = [NAMES[number % 4]!, NAMES[(number + 1 + (Math.floor(number / 4) % 3)) % 4]!];
    const client = new Client(this.#running[index]!, number, rooms, this.logs, this.#changed);
    await client.open();
    return client;
  }

  /**
   * Until {@link finish}, clients of a random node leave a room and join it again: all of them, so
   * that the node ends its subscription, or half of them.
   */
  async #rejoin(random: Random): Promise<void> {
    while (!this.#finishing) {
      const { run } = random.pick(this.#running);
      const room = random.pick(NAMES);
      const step = random.pick([1, 2]);
      const clients = this.#clients
        .filter((client) => client.run === run && client.rooms.includes(room))
        .filter((client, i) => i % step === 0 && client.isIn(room) === true);
      if (step === 1)
        this.rejoins.set(`${run} ${room}`, (this.rejoins.get(`${run} ${room}`) ?? 0) + 1);
      for (const client of clients) client.ask('-', room);
      await this.#until(() => clients.every((client) => client.isIn(room) !== true));
      await new Promise((resolve) => setTimeout(resolve, PUBLISH_MS));
      for (const client of clients) if (client.isIn(room) === false) client.ask('+', room);
      await this.#until(() => clients.every((client) => client.isIn(room) !== false));
      await new Promise((resolve) => setTimeout(resolve, REJOIN_MS));
    }
  }

  /** A client that has messages of another node gets all messages of a node that starts now. */
  #publish(index: number): void {
    const { run, process: child } = this.#running[index]!;
    for (const log of this.logs) {
      const own = log.name.endsWith(run);
      const others = log.events.some((event) => event !== 'gap' && !log.name.endsWith(event.run));
      if (own || others) log.startedAt.set(run, log.events.length);
    }
    child.send('publish' satisfies ToNode);
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await once(this.#changed, 'change');
  }
}

/** The room of a log. */
export function roomOf({ name }: Log): string {
  return name.split(' ', 1)[0]!;
}

function hasFrom({ events }: Log, run: string): boolean {
  return events.some((event) => event !== 'gap' && event.run === run);
}
