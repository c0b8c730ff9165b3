import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import type { Position } from '@ws/hub';
import { Random } from '@ws/tests';
import { LOADER } from '@ws/tests/loader';
import type { Relay } from '../nats/relay.ts';
import { Client } from './client.ts';
import type { Log } from './history-checker.ts';
import { checkPresence, type Differences, type Seen } from './presence-checker.ts';
import { type FromNode, LARGE, NAMES, PUBLISH_MS, type ToNode } from './protocol.ts';
import { Reports } from './reports.ts';
import { Visitor } from './visitor.ts';
import { VISITED } from './visits.ts';

/** Pause after clients have joined a room again, in ms. */
const REJOIN_MS = 10 * PUBLISH_MS;
/** Time between two looks at the nodes and clients, in ms. */
const POLL_MS = 10;
/** Longest wait for anything, in ms. A node takes seconds to start on a busy machine. */
const PATIENCE_MS = 240_000;
/** Longest wait for a last message, in ms: the digests after it have come by then. */
const DIGESTS_MS = 20_000;
/** Presence is right so long after the last fault, in ms. */
const PRESENCE_MS = 20_000;
/** Longest wait for the last messages of visitors, in ms: on a busy machine they catch up slowly. */
const VISITS_MS = 180_000;
/** Time between two returns of visitors, in ms. */
const VISIT_MS = 50;
/** Each of so many visitors is in the room of large messages. */
const LARGE_VISITORS = 20;
/** Each of so many clients is in the rooms of large messages too. */
const LARGE_SHARE = 40;

/** The process of a node. */
export interface NodeProcess {
  once(event: 'exit', listener: () => void): unknown;
  once(event: 'message', listener: (text: string) => void): unknown;
  send(command: ToNode): unknown;
  kill(signal: NodeJS.Signals): unknown;
}

/** Starts a script of this folder. */
export type Launch = (script: string, args: readonly string[]) => NodeProcess;

/** Starts a script in a process of its own. */
export const launchAlone: Launch = (script, args) => {
  const file = fileURLToPath(new URL(script, import.meta.url));
  return spawn(process.execPath, [...LOADER, file, ...args], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
};

/** A process of the fleet. A process that starts in the place of a killed one has another `run`. */
interface Running {
  readonly run: string;
  readonly process: NodeProcess;
  readonly reports: Reports;
  port: number;
  /** The port of its second hub. */
  visits: number;
  state: string;
  /** Number of its own outages. */
  downs: number;
  /** Its clients connect. */
  accepts: boolean;
  /** All its publications have settled. */
  stopped: boolean;
}

/**
 * A gap that a node has reported, with the numbers of the step and of the node's own outages.
 */
interface Gap {
  readonly run: string;
  readonly room: string;
  /** Its number on its node. */
  readonly number: number;
  /** Time of the report by the clock of the machine, in ms. */
  readonly at: number;
  readonly step: number;
  readonly downs: number;
}

/** Three processes with hubs on one engine, and their clients. Records all that they report. */
export class Fleet {
  readonly gaps: Gap[] = [];
  readonly logs: Log[] = [];
  readonly notes: string[] = [];
  readonly visitors: Visitor[] = [];
  /** By room, node and number: the publications that have resolved. */
  readonly accepted = new Map<string, Map<string, Map<number, Position | undefined>>>();
  /** By room, node and number: the time of each publication that has settled. */
  readonly published = new Map<string, Map<string, Map<number, number>>>();
  /** Number of the latest step. */
  step = 0;
  /**
   * Number of the latest outage: a time in which at least one node is down. On a busy machine an
   * engine that does not answer in time causes outages without a fault.
   */
  outage = 0;
  readonly #engine: string;
  readonly #start: Launch;
  readonly #policy: string;
  readonly #relays: readonly Relay[];
  readonly #running: Running[] = [];
  /** All processes, also those that have ended. */
  readonly #all: Running[] = [];
  /** The folder of the files of reports. */
  readonly #folder = mkdtempSync(join(tmpdir(), 'ws-killer-'));
  readonly #reading = setInterval(() => this.#readReports(), POLL_MS);
  #runs = 0;
  #clients: Client[] = [];
  #clientNumber = 0;
  /** Number of clients of each node. */
  #share = 0;
  #disturbing: Promise<unknown> = Promise.resolve();
  /** Why the clients are no longer disturbed. */
  #failure: unknown;
  #finishing = false;
  readonly #startedAt = performance.now();
  /** The last answer of each node to `presence`. */
  readonly #seen = new Map<string, Seen>();
  #stepEndedAt = 0;

  /**
   * @param policy - The overflow policy for the visitors.
   * @param launch - Starts a node.
   */
  constructor(
    engine: string,
    relays: readonly Relay[],
    policy: string,
    launch: Launch = launchAlone,
  ) {
    this.#policy = policy;
    this.#start = launch;
    this.#engine = engine;
    this.#relays = relays;
    for (const room of [...NAMES, ...LARGE, ...VISITED]) {
      this.accepted.set(room, new Map());
      this.published.set(room, new Map());
    }
  }

  note(text: string): void {
    this.notes.push(`${this.#seconds()} ${text}`);
  }

  /** The time since the start, in s. */
  #seconds(): string {
    return ((performance.now() - this.#startedAt) / 1_000).toFixed(1);
  }

  /** Starts all nodes, `clients` clients of them, and visitors. */
  async start(clients: number, visitors: number, seed: number): Promise<void> {
    this.#share = Math.ceil(clients / this.#relays.length);
    await Promise.all(this.#relays.map((_, index) => this.#launch(index)));
    await this.allUp();
    await Promise.all(this.#relays.map((_, index) => this.#refill(index)));
    for (const index of this.#relays.keys()) this.#publish(index);
    this.#disturbing = Promise.all([
      this.#rejoin(new Random(seed)),
      this.#visit(new Random(seed), visitors),
      this.#disturb(new Random(seed)),
    ]);
    this.#disturbing.catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** The nodes that were killed. */
  get killed(): ReadonlySet<string> {
    const ended = this.#all.filter((node) => !this.#running.includes(node));
    return new Set(ended.map(({ run }) => run));
  }

  /** Kills a node. Its clients connect again when it has restarted. */
  async killNode(index: number): Promise<void> {
    const { process: child } = this.#running[index]!;
    const exited = new Promise<void>((resolve) => void child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
    await this.#restart([index]);
  }

  /** All nodes have ended. Their clients connect again when they have restarted. */
  restartAll(): Promise<void> {
    return this.#restart([...this.#running.keys()]);
  }

  async #restart(ended: readonly number[]): Promise<void> {
    await Promise.all(ended.map((index) => this.#launch(index)));
    await this.allUp();
    await Promise.all(ended.map((index) => this.#refill(index)));
    for (const index of ended) this.#publish(index);
  }

  /** Stops a node for `ms`. */
  async stopNode(index: number, ms: number): Promise<void> {
    const { process: child } = this.#running[index]!;
    child.kill('SIGSTOP');
    await sleep(ms);
    child.kill('SIGCONT');
  }

  /** Resolves when the node `index` has noticed an outage. */
  async isDown(index: number): Promise<void> {
    await this.#until(`node ${index} is down`, () => this.#running[index]!.state !== 'up');
  }

  async allUp(): Promise<void> {
    await this.#until('all nodes are up', () => this.#running.every(({ state }) => state === 'up'));
  }

  /** Resolves when each node has had `count` publications accepted since the call, in each room. */
  async more(count: number): Promise<void> {
    const published = ({ run }: Running): number[] =>
      NAMES.map((room) => this.#acceptedOf(room, run).size);
    const before = this.#running.map(published);
    await this.#until('all nodes publish', () =>
      this.#running.every((node, i) =>
        published(node).every((size, room) => size >= before[i]![room]! + count),
      ),
    );
  }

  /** Stops the publishers, and waits until their last messages have reached all clients. */
  async finish(): Promise<void> {
    this.#finishing = true;
    await this.#disturbing;
    this.note('finish');
    await this.more(2);
    for (const { process: child } of this.#running) child.send('stop' satisfies ToNode);
    await this.#until('all publications settle', () =>
      this.#running.every(({ stopped }) => stopped),
    );
    const has = (log: Log, run: string): boolean => {
      const last = Math.max(0, ...this.#acceptedOf(roomOf(log), run).keys());
      return log.events.some(
        (event) => !('gap' in event) && event.run === run && event.number >= last,
      );
    };
    const missing = new Set(this.logs);
    const hasAll = (visitor: Visitor): boolean =>
      this.#running.every(
        ({ run }) =>
          visitor.lastOf(run) >= Math.max(0, ...this.#acceptedOf(visitor.room, run).keys()),
      );
    const areComplete = (): boolean => {
      for (const log of missing) {
        if (log.ended || this.#running.every(({ run }) => has(log, run))) missing.delete(log);
      }
      return missing.size === 0;
    };
    // The checks report the rest.
    const end = performance.now() + DIGESTS_MS;
    while (!areComplete() && performance.now() < end) await sleep(10 * POLL_MS);
    const visitsEnd = performance.now() + VISITS_MS;
    while (!this.visitors.every(hasAll) && performance.now() < visitsEnd) {
      for (const visitor of this.visitors) {
        if (visitor.isAway) visitor.connect(this.#running[0]!);
      }
      await sleep(10 * POLL_MS);
    }
    this.note(`finished, ${missing.size} logs lack a last message`);
  }

  /** The faults of a step have ended. */
  stepEnded(): void {
    this.#stepEndedAt = performance.now();
  }

  /** Compares who is there, as the nodes know it, 20 s after the last fault. */
  async presence(): Promise<Differences> {
    await sleep(Math.max(this.#stepEndedAt + PRESENCE_MS - performance.now(), 0));
    let found: Differences;
    let tries = 0;
    do {
      // A client may have come or gone a moment before.
      if (tries > 0) await sleep(REJOIN_MS);
      this.#seen.clear();
      for (const { process: child } of this.#running) child.send('presence' satisfies ToNode);
      await this.#until('all nodes say who is there', () =>
        this.#running.every(({ run }) => this.#seen.has(run)),
      );
      found = checkPresence([...this.#seen.values()]);
    } while (found.ghosts.length + found.missing.length > 0 && ++tries < 5);
    return found;
  }

  close(): void {
    this.#finishing = true;
    for (const visitor of this.visitors) visitor.close();
    for (const { process: child } of this.#running) child.kill('SIGKILL');
    clearInterval(this.#reading);
    this.#readReports();
    for (const { reports } of this.#all) reports.close();
    rmSync(this.#folder, { recursive: true });
  }

  async #launch(index: number): Promise<void> {
    const run = `node${index}-${++this.#runs}`;
    const path = join(this.#folder, run);
    const reports = new Reports(path);
    const port = String(this.#relays[index]!.port);
    const running: Running = {
      run,
      process: this.#start('node.ts', [this.#engine, port, run, this.#policy, path]),
      reports,
      port: 0,
      visits: 0,
      state: 'starting',
      downs: 0,
      accepts: false,
      stopped: false,
    };
    this.#running[index] = running;
    this.#all.push(running);
    await this.#until(`${run} listens`, () => running.port > 0);
  }

  #readReports(): void {
    for (const node of this.#all) {
      for (const event of node.reports.read()) this.#report(node, event);
    }
  }

  #report(node: Running, event: FromNode): void {
    const { run, downs } = node;
    const { step } = this;
    if (event.type === 'listening') [node.port, node.visits] = [event.port, event.visits];
    else if (event.type === 'overflow') this.#overflowed(run, event.visit, event.dropped);
    else if (event.type === 'stopped') node.stopped = true;
    else if (event.type === 'presence') this.#seen.set(run, event.seen);
    else if (event.type === 'state') this.#becomes(node, event.state);
    else if (event.type === 'error') this.note(`${run}: ${event.text}`);
    else if (event.type === 'gap') {
      const { room, number, at } = event;
      this.gaps.push({ run, room, number, at, step, downs });
    } else {
      this.#ofRoom(this.published, event.room, run).set(event.number, event.at);
      if (event.type === 'accepted') {
        this.#acceptedOf(event.room, run).set(event.number, event.position);
      }
    }
  }

  /** @param visit - Numbers of the visitor and of its connection. */
  #overflowed(run: string, visit: string, dropped: number): void {
    const [number, connection] = visit.split('.').map(Number) as [number, number];
    const counts = this.visitors[number]!.dropped;
    const before = counts.get(connection)?.count ?? 0;
    counts.set(connection, { run, count: before + dropped });
  }

  #becomes(node: Running, state: string): void {
    this.note(`${node.run} is ${state}`);
    if (state === 'down' && this.#running.every((other) => other.state !== 'down')) this.outage++;
    if (state === 'down') node.downs++;
    node.state = state;
  }

  #acceptedOf(room: string, run: string): Map<number, Position | undefined> {
    return this.#ofRoom(this.accepted, room, run);
  }

  #ofRoom<T>(rooms: Map<string, Map<string, Map<number, T>>>, room: string, run: string) {
    const ofRoom = rooms.get(room)!;
    if (!ofRoom.has(run)) ofRoom.set(run, new Map());
    return ofRoom.get(run)!;
  }

  /** Connects the clients that a node lacks, side by side. A node that is killed meanwhile refuses. */
  async #refill(index: number): Promise<void> {
    const node = this.#running[index]!;
    this.#clients = this.#clients.filter((client) => !client.ended);
    const has = this.#clients.filter(({ run }) => run === node.run).length;
    const opening = Array.from({ length: this.#share - has }, async () => {
      const number = this.#clientNumber++;
      const client = new Client(node, number, roomsOf(number), this.logs);
      await client.open();
      this.#clients.push(client);
    });
    await Promise.allSettled(opening);
    node.accepts = true;
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
        .filter((client) => client.run === run && client.rooms.includes(room) && !client.slow)
        .filter((client, i) => i % step === 0 && client.isIn(room) === true);
      for (const client of clients) client.ask('-', room);
      await this.#until('clients leave', () =>
        clients.every((client) => client.isIn(room) !== true),
      );
      await sleep(PUBLISH_MS);
      for (const client of clients) if (client.isIn(room) === false) client.ask('+', room);
      await this.#until('clients join', () =>
        clients.every((client) => client.isIn(room) !== false),
      );
      await sleep(REJOIN_MS);
    }
  }

  /** Until {@link finish}, clients read slowly or lose their connection, and others replace them. */
  async #disturb(random: Random): Promise<void> {
    const pauses: Promise<void>[] = [];
    while (!this.#finishing) {
      // None is left when all nodes have ended.
      const client: Client | undefined = random.pick(this.#clients);
      const large = this.#clients.filter(({ rooms, ended }) => rooms.includes(LARGE[0]!) && !ended);
      const slow = random.pick(large);
      // The log of one client of each node shows what the rooms of large messages have lost.
      const steady = this.#running.map(({ run }) => large.find((other) => other.run === run));
      if (client && !client.ended && !client.slow && !steady.includes(client)) client.tear();
      if (slow !== undefined && !slow.slow && !steady.includes(slow)) {
        pauses.push(slow.pause(500 + random.below(6_000)));
      }
      for (const [index, { accepts }] of this.#running.entries()) {
        if (accepts) await this.#refill(index);
      }
      await sleep(100);
    }
    await Promise.all(pauses);
  }

  /** Until {@link finish}, visitors come, go, read nothing for a while, and return to another node. */
  async #visit(random: Random, count: number): Promise<void> {
    while (this.visitors.length < count) {
      const { length } = this.visitors;
      const room = VISITED[length % LARGE_VISITORS === 0 ? 1 : 0];
      this.visitors.push(new Visitor(length, room, () => this.#seconds()));
    }
    const connect = (visitor: Visitor): void => {
      // A node that was killed refuses.
      visitor.connect(random.pick(this.#running));
    };
    for (const visitor of this.visitors) connect(visitor);
    const pauses: Promise<void>[] = [];
    while (!this.#finishing && this.visitors.length > 0) {
      const visitor = random.pick(this.visitors);
      const isLarge = visitor.room === VISITED[1];
      if (random.once(isLarge ? 2 : 8)) pauses.push(visitor.pause(random.below(6_000)));
      else connect(visitor);
      for (const each of this.visitors) if (each.isAway && random.once(20)) connect(each);
      await sleep(VISIT_MS);
    }
    await Promise.all(pauses);
  }

  /** A client that has messages of another node gets all messages of a node that starts now. */
  #publish(index: number): void {
    const { run, process: child } = this.#running[index]!;
    for (const log of this.logs) {
      const own = log.run === run;
      const others = log.events.some((event) => !('gap' in event) && event.run !== log.run);
      if (!log.ended && (own || others)) log.startedAt.set(run, log.events.length);
    }
    for (const { startedAt, events } of this.visitors) {
      if (events.length > 0) startedAt.set(run, events.length);
    }
    child.send('publish' satisfies ToNode);
  }

  async #until(what: string, isTrue: () => boolean): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!isTrue()) {
      await sleep(POLL_MS);
      if (this.#failure !== undefined) throw this.#failure;
      if (performance.now() < end) continue;
      throw new Error(`for ${PATIENCE_MS} ms not: ${what}\n${this.notes.join('\n')}`);
    }
  }
}

/** Each client joins two of the rooms, and some the rooms of large messages. */
function roomsOf(number: number): string[] {
  const { length } = NAMES;
  const step = 1 + (Math.floor(number / length) % (length - 1));
  const rooms = [NAMES[number % length]!, NAMES[(number + step) % length]!];
  return number % LARGE_SHARE === 0 ? [...rooms, ...LARGE] : rooms;
}

/** The room of a log. */
export function roomOf({ name }: Log): string {
  return name.split(' ', 1)[0]!;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
