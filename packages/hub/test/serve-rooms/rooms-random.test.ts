// Random programs of rooms for clients: connections break, loops begin, end and fall behind, nodes lose
// deliveries, memberships end, joins fail, messages do not fit. RUNS: the number of programs of each
// kind. SEED: the first one.
import process from 'node:process';
import { type Conn, connPair } from '@ws/conn';
import { type RoomTable, serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { type Position, type RoomMessage, roomsOf, START } from '@ws/rpc/rooms';
import { Random, rounds } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Rooms } from '../../src/rooms/rooms.ts';

const RUNS = Number(process.env['RUNS'] ?? rounds(1, 2));
const FIRST = Number(process.env['SEED'] ?? 1);
const STEPS = 60;
const CLIENTS = 3;
/** More than a loop holds. */
const FLOOD = 1_100;
/** Bytes of the longest message that a client takes. */
const READ_LIMIT = 2_000;
const TOO_LONG = JSON.stringify('x'.repeat(READ_LIMIT));
/** Loops do not take these texts. */
const MISFIT = 'misfit';
const schema = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) => (value === MISFIT ? { issues: [{ message: 'no' }] } : { value }),
  },
} as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

type Node = ReturnType<typeof serveRooms>;
type ClientRooms = Client['rooms'];
type Item = RoomMessage<unknown>;

const positionOf = (item: Item): Position | undefined =>
  item.kind === 'live' ? undefined : item.position;

/** One loop, with what it got. */
class Reader {
  readonly since: Position | undefined;
  readonly items: Item[] = [];
  readonly #loop: AsyncIterableIterator<Item>;
  #reads = true;
  #wake = (): void => {};
  ended = false;

  constructor(rooms: ClientRooms, since: Position | undefined) {
    this.since = since;
    this.#loop = rooms.join('r', { since });
    void this.#read();
  }

  toggle(reads = !this.#reads): void {
    this.#reads = reads;
    if (reads) this.#wake();
  }

  end(): void {
    this.ended = true;
    this.toggle(true);
    void this.#loop.return!();
  }

  async #read(): Promise<void> {
    for await (const item of this.#loop) {
      this.items.push(item);
      while (!this.#reads) await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

class Client {
  readonly live: ReconnectingConn;
  readonly rooms;
  readonly readers: Reader[] = [];
  conn: Conn | undefined;

  constructor(node: () => Node) {
    this.live = new ReconnectingConn(
      async () => {
        const [client, server] = connPair({
          highWaterMark: 200,
          readLimit: READ_LIMIT,
          report: () => {},
        });
        this.conn = client;
        node().hub.add(server);
        return client;
      },
      { minDelay: 1, maxDelay: 5 },
    );
    this.rooms = roomsOf(this.live, { schemas: { r: schema } });
  }

  join(random: Random): void {
    const items = this.readers.flatMap((reader) => reader.items);
    const known = items.map(positionOf).filter((position) => position !== undefined);
    const since = random.once(3)
      ? undefined
      : random.once(4)
        ? START
        : known.length > 0
          ? random.pick(known)
          : undefined;
    this.readers.push(new Reader(this.rooms, since));
  }
}

class Simulation {
  readonly random: Random;
  readonly broker: MemoryBroker | undefined;
  readonly nodes: Node[];
  readonly clients: Client[];
  /** The messages in the history of the room, by offset. */
  readonly kept = new Map<number, string>();
  /** Offsets of messages that a session did not get, or that no loop takes. */
  readonly partial = new Set<number>();
  /** Publications that clients know to be in the room. */
  readonly acknowledged = new Set<number>();
  #count = 0;
  #serverCount = 0;
  /** Whether joins take time, and may fail. */
  #isSlow = true;

  constructor(seed: number, nodes: number, size: number) {
    this.random = new Random(seed);
    const delays = new Random(seed);
    vi.spyOn(Math, 'random').mockImplementation(() => delays.below(1_000) / 1_000);
    this.broker = nodes === 1 ? undefined : new MemoryBroker();
    const table: RoomTable = {
      r: {
        history: { size, bytes: 1e9, ttl: 1e9 },
        mayJoin: () => (this.#isSlow ? this.#mayJoin() : true),
        mayPublish: () => true,
      },
    };
    this.nodes = Array.from({ length: nodes }, () => {
      const backplane = this.broker && memoryBackplane(this.broker);
      const node = serveRooms(table, { hub: { backplane } });
      node.hub.on('error', () => {});
      return node;
    });
    this.clients = Array.from(
      { length: CLIENTS },
      () => new Client(() => this.random.pick(this.nodes)),
    );
  }

  async #mayJoin(): Promise<boolean> {
    const { random } = this;
    for (let i = random.below(10); i > 0; i--) await Promise.resolve();
    if (random.once(4)) await new Promise((resolve) => setTimeout(resolve, random.below(5)));
    if (random.once(10)) throw new Error('later');
    return true;
  }

  /** Publishes what not all members get, or not all can take. */
  publishOdd(): void {
    const { random, broker } = this;
    const { hub } = random.pick(this.nodes);
    const room = hub.room('r');
    const [session] = hub.sessions.values();
    const text = String(--this.#serverCount);
    const kind = random.below(6);
    const isPartial = (position: Position | undefined): void => {
      if (position !== undefined) this.partial.add(position.offset);
    };
    if (kind === 0) void room.publish(TOO_LONG);
    // Loops pass over it. A gap comes later.
    else if (kind === 1) void room.publish(JSON.stringify(MISFIT)).then(isPartial);
    else if (kind < 4 && session !== undefined) {
      void room.publish(text, { except: session }).then(isPartial);
    } else void room.publish(text, broker === undefined ? { filter: () => true } : { local: true });
  }

  publish(client: Client): void {
    const n = ++this.#count;
    client.rooms.publish('r', n, { timeout: false }).then(
      () => this.acknowledged.add(n),
      () => {},
    );
  }

  async step(): Promise<void> {
    const { random, broker } = this;
    const client = random.pick(this.clients);
    const { readers } = client;
    const open = readers.filter(({ ended }) => !ended);
    const action = random.below(broker === undefined ? 22 : 27);
    if (action < 4) {
      for (let i = random.size(8); i > 0; i--) this.publish(client);
    } else if (action < 6) {
      for (let i = random.size(8); i > 0; i--)
        void random
          .pick(this.nodes)
          .hub.room('r')
          .publish(String(--this.#serverCount));
    } else if (action < 9) client.conn?.terminate();
    else if (action === 9) void client.live.reconnect().catch(() => {});
    else if (action < 12) {
      if (open.length < 3) client.join(random);
    } else if (action === 12 && open.length > 0) random.pick(open).end();
    else if (action === 13 && open.length > 0) random.pick(open).toggle();
    else if (action === 14 && random.once(6)) {
      for (let i = FLOOD; i > 0; i--)
        void this.nodes[0]!.hub.room('r').publish(String(--this.#serverCount));
    } else if (action < 18) await advance(random.below(3));
    else if (action < 20) {
      for (let i = random.size(4); i > 0; i--) this.publishOdd();
    } else if (action === 20) {
      for (const session of random.pick(this.nodes).hub.sessions.values())
        if (random.once(2)) session.leave('r');
    } else if (action === 21) await advance(random.below(2_000));
    else if (action === 22) broker!.delay();
    else if (action === 23) broker!.drop(1);
    else if (action === 24) broker!.double(1);
    else broker!.release();
    await advance(random.below(2));
  }

  async run(): Promise<string[]> {
    for (const client of this.clients) client.join(this.random);
    for (let i = 0; i < STEPS; i++) await this.step();
    this.broker?.release();
    this.#isSlow = false;
    for (const { readers } of this.clients) for (const reader of readers) reader.toggle(true);
    await advance(60_000);
    // A message shows what is missing before it.
    void this.nodes[0]!.hub.room('r').publish(String(--this.#serverCount));
    await advance(60_000);
    const faults = this.clients.flatMap(({ readers }) =>
      readers.flatMap((reader) => this.#faultsOf(reader)),
    );
    for (const { live } of this.clients) void live.close();
    const closed = Promise.all(this.nodes.map(({ hub }) => hub.close({ timeout: 1 })));
    await advance(10_000);
    await closed;
    return faults;
  }

  /**
   * A loop gets each message of the room once and in order, from the one after `since` to the last, and
   * no repetition of one; except after a gap.
   */
  #faultsOf({ since, items, ended }: Reader): string[] {
    const faults: string[] = [];
    const texts = new Set<string>();
    // Of two copies of a publication, a loop that resumes may have got the second one first.
    const all = new Set(
      items.map((item) =>
        item.kind === 'message' && item.position ? this.kept.get(item.position.offset) : '',
      ),
    );
    let last = since?.offset ?? 0;
    let isTold = since === undefined;
    const check = (to: number): void => {
      for (let offset = last + 1; offset < to && !isTold; offset++) {
        const text = this.kept.get(offset);
        if (text === undefined || all.has(text) || this.partial.has(offset)) continue;
        faults.push(`no ${offset} before ${to}`);
      }
    };
    for (const item of items) {
      if (item.kind !== 'message') {
        isTold ||= item.kind === 'gap';
        continue;
      }
      if (item.position === undefined) {
        const text = `without ${String(item.data)}`;
        if (texts.has(text)) faults.push(`${text} twice`);
        texts.add(text);
        continue;
      }
      const { offset } = item.position;
      if (offset <= last) faults.push(`${offset} after ${last}`);
      check(offset);
      const text = this.kept.get(offset)!;
      if (text.startsWith('@') && texts.has(text)) faults.push(`${offset} is a repetition`);
      texts.add(text);
      last = offset;
      isTold = false;
    }
    if (!ended) check(Math.max(0, ...this.kept.keys()) + 1);
    return faults;
  }
}

/** Notes what a room keeps while `run` runs. */
async function noting(kept: Map<number, string>, run: () => Promise<string[]>): Promise<string[]> {
  // oxlint-disable-next-line typescript/unbound-method -- called with its rooms
  const { publish } = Rooms.prototype;
  const spy = vi.spyOn(Rooms.prototype, 'publish').mockImplementation(function (
    this: Rooms<unknown>,
    room,
    data,
    ...more
  ) {
    const published = publish.call(this, room, data, ...more);
    const note = (position: Position | undefined): void => {
      if (position !== undefined) kept.set(position.offset, data as string);
    };
    published.then(note, () => {});
    return published;
  });
  const faults = await run();
  spy.mockRestore();
  return faults;
}

describe.each<[string, number, number]>([
  ['one node', 1, 5_000],
  ['one node with a short history', 1, 12],
  ['two nodes', 2, 5_000],
  ['two nodes with a short history', 2, 12],
])('rooms for clients on %s', (_, nodes, size) => {
  it('give each loop all messages once, in order, or a gap', async () => {
    let items = 0;
    let acknowledged = 0;
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const simulation = new Simulation(seed, nodes, size);
      const faults = await noting(simulation.kept, () => simulation.run());
      if (faults.length > 0) expect.fail(`seed ${seed}: ${faults.slice(0, 5).join(', ')}`);
      for (const { readers } of simulation.clients) {
        for (const reader of readers) items += reader.items.length;
      }
      acknowledged += simulation.acknowledged.size;
    }
    expect(acknowledged).toBeGreaterThan(RUNS);
    expect(items).toBeGreaterThan(RUNS * CLIENTS * 10);
  });
});
