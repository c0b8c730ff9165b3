// Random programs of a room: clients that come and go, resume, read slowly, and are told of losses.
import { type Conn, connPair } from '@ws/conn';
import { Hub, type HubOptions, type Joined, type Position, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { Random } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const RUNS = 25;
const STEPS = 80;
const CLIENTS = 5;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});
afterEach(() => vi.useRealTimers());

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** What the clients get: the message of `first`, a message of the room, or a report of a loss. */
interface Sent {
  /** Offset after which the messages come; undefined if that is not known. */
  readonly start?: number;
  readonly complete?: boolean;
  readonly position?: Position;
  readonly isLost?: boolean;
}

type Event = Sent | 'told' | number;

/** A client with what it got on all its connections. */
class Client {
  session!: Session;
  conn!: Conn;
  readonly events: Event[] = [];
  resumes = 0;
  #since: Position | undefined;
  #reads = true;
  #wake = (): void => {};

  connect(hub: Hub): void {
    const [client, server] = connPair({ readAhead: 200, highWaterMark: 200 });
    this.conn = client;
    this.session = hub.add(server);
    void this.#read(client);
    this.resume();
  }

  /** Joins the room, for the first time without a position. */
  resume(): void {
    const since = this.#since;
    const first = ({ complete, position }: Joined): string =>
      JSON.stringify(
        since === undefined
          ? { start: position?.offset, complete: position !== undefined, position }
          : { start: since.offset, complete },
      );
    this.session.join('r', { since, first }).catch(() => {});
  }

  /** Starts to read, or stops. */
  toggle(reads = !this.#reads): void {
    this.#reads = reads;
    if (reads) this.#wake();
  }

  async #read(conn: Conn): Promise<void> {
    try {
      for await (const message of conn) {
        if (this.conn !== conn) return;
        this.#got(message.json() as Sent);
        while (!this.#reads) await this.#untilReading();
      }
    } catch {
      // The next connection resumes.
    }
  }

  #untilReading(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #got(sent: Sent): void {
    const { complete, isLost, position } = sent;
    if (position !== undefined && position.offset >= (this.#since?.offset ?? 0)) {
      this.#since = position;
    }
    if (complete !== undefined) this.resumes++;
    this.events.push(complete !== undefined ? sent : isLost ? 'told' : position!.offset);
  }
}

class Simulation {
  readonly random: Random;
  readonly broker: MemoryBroker | undefined;
  readonly hubs: Hub[];
  readonly clients = Array.from({ length: CLIENTS }, () => new Client());
  /** The offsets of all messages. */
  readonly offsets = new Set<number>();

  constructor(seed: number, nodes: number, options: HubOptions, size: number) {
    this.random = new Random(seed);
    this.broker = nodes === 1 ? undefined : new MemoryBroker();
    const form = (
      _: unknown,
      { position }: { readonly position: Position | undefined },
    ): string => {
      if (position === undefined) return JSON.stringify({ isLost: true });
      this.offsets.add(position.offset);
      return JSON.stringify({ position });
    };
    const delivery = nodes === 1 ? 'local-first' : 'through';
    const rooms = { r: { history: { size, ttl: 1e9 }, delivery, form } } as const;
    this.hubs = Array.from({ length: nodes }, () => this.#start({ ...options, rooms }));
  }

  #start(options: HubOptions): Hub {
    const hub = new Hub({
      ...options,
      ...(this.broker && { backplane: memoryBackplane(this.broker) }),
    });
    hub.on('error', () => {});
    hub.on('gap', () => void hub.room('r').publish('', { local: true }));
    return hub;
  }

  async step(): Promise<void> {
    const { random, broker } = this;
    const hub = random.pick(this.hubs);
    const client = random.pick(this.clients);
    const action = random.below(broker === undefined ? 12 : 17);
    if (action < 5) {
      for (let i = random.size(8); i > 0; i--) {
        hub
          .room('r')
          .publish('x')
          .catch(() => {});
      }
    } else if (action === 5) client.resume();
    else if (action === 6) client.conn.terminate();
    else if (action === 7) client.toggle();
    else if (action === 8) client.session.leave('r');
    else if (action < 12) await advance(random.below(3));
    else if (action === 12) broker!.delay();
    else if (action === 13) broker!.drop(1);
    else if (action === 14) broker!.double(1);
    else broker!.release();
    await advance(random.below(2));
    for (const each of this.clients) {
      if (each.session.state === 'open' && each.session.rooms.has('r')) continue;
      if (random.once(3)) this.#return(each);
    }
  }

  #return(client: Client): void {
    client.conn.terminate();
    client.connect(this.random.pick(this.hubs));
  }

  async run(): Promise<string[]> {
    for (const client of this.clients) client.connect(this.random.pick(this.hubs));
    await advance(1);
    for (let i = 0; i < STEPS; i++) await this.step();
    this.broker?.release();
    for (const client of this.clients) client.toggle(true);
    await advance(30_000);
    for (const client of this.clients) this.#return(client);
    await advance(1_000);
    const faults = this.clients.flatMap((client) => this.#faultsOf(client));
    const closed = Promise.all(this.hubs.map((hub) => hub.close({ timeout: 1 })));
    await advance(10_000);
    await closed;
    return faults;
  }

  /**
   * The model of the room is the set of the offsets that its messages have. A client gets all of them
   * after the start of its membership, in order and once, except after a report of a loss.
   */
  #faultsOf({ events }: Client): string[] {
    const faults: string[] = [];
    let last = 0;
    let isTold = true;
    const end = Math.max(0, ...this.offsets) + 1;
    for (const event of [...events, end]) {
      if (event === 'told') isTold = true;
      else if (typeof event === 'number') {
        if (event <= last) faults.push(`${event} after ${last}`);
        for (let offset = last + 1; offset < event && !isTold; offset++) {
          if (this.offsets.has(offset)) faults.push(`no ${offset} before ${event}`);
        }
        last = event;
        isTold = false;
      } else {
        last = event.start ?? 0;
        isTold = event.complete === false;
      }
    }
    return faults;
  }
}

describe.each<[string, number, HubOptions, number]>([
  ['one node', 1, {}, 2_000],
  ['one node with a short queue', 1, { maxQueuedMessages: 3 }, 2_000],
  ['one node with a short history', 1, { maxQueuedMessages: 3 }, 12],
  ['two nodes', 2, {}, 2_000],
  ['two nodes with a short queue', 2, { maxQueuedMessages: 3 }, 2_000],
  ['two nodes with a short history', 2, { maxQueuedMessages: 3 }, 12],
])('a room on %s', (_, nodes, options, size) => {
  it('gives each client all messages once, in order, or reports a loss', async () => {
    let resumes = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const simulation = new Simulation(seed, nodes, options, size);
      const faults = await simulation.run();
      if (faults.length > 0) expect.fail(`seed ${seed}: ${faults.slice(0, 5).join(', ')}`);
      for (const client of simulation.clients) resumes += client.resumes;
    }
    expect(resumes).toBeGreaterThan(RUNS * CLIENTS);
  });
});
