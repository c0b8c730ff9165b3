// Random programs of one page with several loops of a room: loops begin with `since`, `last`, START and
// without a position, connections break within joins, memberships end, and servers lose their history. So
// answers are shorter than expected, empty, or of another epoch. RUNS: the number of programs of each
// kind. SEED: the first one.
import process from 'node:process';
import { type Conn, connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { type JoinOptions, type Position, type RoomMessage, roomsOf, START } from '@ws/rpc/rooms';
import { Random, rounds } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const RUNS = Number(process.env['RUNS'] ?? rounds(3, 6));
const FIRST = Number(process.env['SEED'] ?? 1);
const STEPS = 50;
/** The size of the histories: shorter and longer than what a loop misses. */
const SIZES = [4, 20, 300];
const MAX_LOOPS = 4;

const message = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) =>
      (value as { misfit?: boolean }).misfit ? { issues: [{ message: 'no' }] } : { value },
  },
} as const;

beforeEach(() => void vi.spyOn(console, 'error').mockImplementation(() => {}));
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

type Node = ReturnType<typeof serveRooms>;
type Item = RoomMessage<unknown>;

const numberOf = (data: unknown): number => (data as { n: number }).n;

/** One loop, with what it got. */
class Reader {
  readonly items: Item[] = [];
  readonly options: JoinOptions;
  /** The last number that had arrived before the loop began. */
  readonly begun: number;
  readonly #loop: AsyncIterableIterator<Item>;
  #reads = true;
  #wake = (): void => {};
  ended = false;
  error: Error | undefined;

  constructor(loop: AsyncIterableIterator<Item>, options: JoinOptions, begun: number) {
    this.#loop = loop;
    this.options = options;
    this.begun = begun;
    this.#read().catch((error: Error) => (this.error = error));
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

class Simulation {
  readonly #random: Random;
  readonly #name: string;
  readonly #broker: MemoryBroker | undefined;
  readonly #size: number;
  #nodes: Node[];
  readonly #live: ReconnectingConn;
  readonly #rooms;
  #conn: Conn | undefined;
  /** The connection breaks after this number of messages. */
  #breakAfter = Infinity;
  /** Whether dials wait. */
  #isOffline = false;
  #isSlow = true;
  readonly readers: Reader[] = [];
  #count = 0;
  /** The largest number that has arrived. */
  #arrived = 0;
  /** The numbers that the room must have. A number that was refused may be in the room. */
  readonly #accepted = new Set<number>();
  readonly #misfits = new Set<number>();
  /** Positions of publications. */
  readonly #positions: Position[] = [];

  constructor(seed: number, { isShared, hasState }: Kind) {
    const random = new Random(seed);
    this.#random = random;
    const delays = new Random(seed);
    vi.spyOn(Math, 'random').mockImplementation(() => delays.below(1_000) / 1_000);
    this.#name = hasState ? 's' : 'r';
    this.#size = random.pick(SIZES);
    this.#broker = isShared ? new MemoryBroker() : undefined;
    this.#nodes = isShared ? [this.#start(), this.#start()] : [this.#start()];
    this.#live = new ReconnectingConn(
      async () => {
        while (this.#isOffline) await new Promise((resolve) => setTimeout(resolve, 1));
        return this.#dial();
      },
      { minDelay: 1, maxDelay: 5 },
    );
    this.#rooms = roomsOf(this.#live, { schemas: { r: { message }, s: { message } } });
  }

  #start(): Node {
    const history = { size: this.#size, bytes: 1e9, ttl: 1e9 };
    const mayJoin = (): boolean | Promise<boolean> => (this.#isSlow ? this.#mayJoin() : true);
    const backplane = this.#broker && memoryBackplane(this.#broker);
    const node = serveRooms(
      {
        r: { history, mayJoin },
        s: { history, mayJoin, state: () => this.#state() },
      },
      { hub: { backplane } },
    );
    node.hub.on('error', () => {});
    return node;
  }

  #dial(): Conn {
    const [client, server] = connPair({ highWaterMark: 200, report: () => {} });
    const receive = client.receive.bind(client);
    client.receive = (handler) =>
      receive((each) => {
        if (--this.#breakAfter < 0) {
          this.#breakAfter = Infinity;
          client.terminate();
        }
        const { params } = each.json() as { params?: { data?: { n: number } } };
        this.#arrived = Math.max(this.#arrived, params?.data?.n ?? 0);
        return handler(each);
      });
    this.#conn = client;
    this.#random.pick(this.#nodes).hub.add(server);
    return client;
  }

  async #mayJoin(): Promise<boolean> {
    const random = this.#random;
    for (let i = random.below(6); i > 0; i--) await Promise.resolve();
    if (random.once(4)) await new Promise((resolve) => setTimeout(resolve, random.below(5)));
    if (random.once(12)) throw new Error('later');
    return true;
  }

  async #state(): Promise<{ n: number }> {
    const random = this.#random;
    if (this.#isSlow) {
      if (random.once(2)) await new Promise((resolve) => setTimeout(resolve, random.below(4)));
      if (random.once(10)) throw new Error('the database is away');
    }
    return { n: this.#count };
  }

  #publish(isMisfit = false): void {
    const n = ++this.#count;
    if (isMisfit) this.#misfits.add(n);
    const published = this.#nodes[0]!.hub.room(this.#name).publishJSON({ n, misfit: isMisfit });
    published.then(
      (position) => {
        this.#accepted.add(n);
        if (position !== undefined) this.#positions.push(position);
      },
      () => {},
    );
  }

  #join(): void {
    const random = this.#random;
    const kind = random.below(6);
    const known = this.readers.flatMap(({ items }) =>
      items.flatMap((item) => (item.kind === 'live' ? [] : (item.position ?? []))),
    );
    if (kind === 5) known.push(...this.#positions.slice(-5));
    const options =
      kind === 0
        ? { since: START }
        : kind < 3
          ? { last: random.once(2) ? 1 + random.below(3) : 1 + random.below(60) }
          : kind > 3 && known.length > 0
            ? { since: random.pick(known) }
            : {};
    this.readers.push(new Reader(this.#rooms.join(this.#name, options), options, this.#arrived));
  }

  /** The servers lose the history. */
  async #lose(): Promise<void> {
    if (this.#broker !== undefined) {
      this.#broker.release();
      this.#broker.disconnect();
      this.#broker.forget();
      await advance(this.#random.below(3));
      this.#broker.reconnect();
      return;
    }
    const [before] = this.#nodes;
    this.#nodes = [this.#start()];
    void before!.hub.close({ timeout: 1 });
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const open = this.readers.filter(({ ended }) => !ended);
    const action = random.below(this.#broker === undefined ? 22 : 26);
    if (action < 6) {
      for (let i = random.size(30); i > 0; i--) {
        this.#publish();
        if (random.once(3)) await advance(0);
      }
    } else if (action < 9) {
      if (open.length < MAX_LOOPS) this.#join();
    } else if (action === 9 && open.length > 0) random.pick(open).end();
    else if (action < 12 && open.length > 0) random.pick(open).toggle();
    else if (action < 14) this.#conn?.terminate();
    else if (action < 16) this.#breakAfter = random.size(40);
    else if (action === 16) this.#isOffline = !this.#isOffline;
    else if (action === 17) await this.#lose();
    else if (action === 18) {
      for (const { hub } of this.#nodes)
        for (const session of hub.sessions.values()) session.leave(this.#name);
    } else if (action === 19) this.#publish(true);
    else if (action === 20) await advance(random.below(2_000));
    else if (action === 21) await advance(random.below(5));
    else if (action === 22) this.#broker!.delay();
    else if (action === 23) this.#broker!.drop(1);
    else this.#broker!.release();
    await advance(random.below(2));
  }

  async run(): Promise<string[]> {
    this.#join();
    for (let i = 0; i < STEPS; i++) await this.#step();
    this.#broker?.release();
    this.#isOffline = this.#isSlow = false;
    this.#breakAfter = Infinity;
    for (const reader of this.readers) reader.toggle(true);
    await advance(120_000);
    // A message shows what is missing before it.
    for (let i = 0; i < 3; i++) this.#publish();
    await advance(70_000);
    const faults = this.readers.flatMap((reader) =>
      this.#name === 's' ? this.#faultsOfState(reader) : this.#faultsOf(reader),
    );
    void this.#live.close();
    const closed = Promise.all(this.#nodes.map(({ hub }) => hub.close({ timeout: 1 })));
    await advance(10_000);
    await closed;
    return faults.map((fault) => `${fault}`);
  }

  /** What is missing between two numbers. */
  #missing(after: number, before: number): number[] {
    const missing = [];
    for (let n = after + 1; n < before; n++) {
      if (this.#accepted.has(n) && !this.#misfits.has(n)) missing.push(n);
    }
    return missing;
  }

  /** A loop gets each message once, in order; where messages may be missing it gets a gap. */
  #faultsOf(reader: Reader): string[] {
    const { items, options, begun, ended, error } = reader;
    const faults: string[] = [];
    if (error !== undefined) faults.push(error.message);
    let last: number | undefined;
    let isTold = false;
    for (const item of items) {
      if (item.kind === 'gap') isTold = true;
      if (item.kind === 'state') faults.push('a state');
      if (item.kind !== 'message') continue;
      const n = numberOf(item.data);
      if (last === undefined) {
        const isNew = options.since === undefined && options.last === undefined;
        if (isNew && n <= begun) faults.push(`${n} before it began`);
      } else if (n <= last) faults.push(`${n} after ${last}`);
      else if (!isTold) {
        const missing = this.#missing(last, n);
        if (missing.length > 0) faults.push(`no ${missing.join(' ')} before ${n}`);
      }
      last = n;
      isTold = false;
    }
    if (!ended && last !== this.#count) faults.push(`ends with ${last}, not ${this.#count}`);
    if (!ended && last !== undefined) faults.push(...this.#untoldMisfits(items));
    return this.#withItems(faults, reader);
  }

  /** Misfits that no later gap stands for. */
  #untoldMisfits(items: readonly Item[]): string[] {
    const at = items.findLastIndex(({ kind }) => kind === 'gap');
    const numbers = items.flatMap((item) => (item.kind === 'message' ? [numberOf(item.data)] : []));
    const afterGap = items
      .slice(at + 1)
      .flatMap((item) => (item.kind === 'message' ? [numberOf(item.data)] : []));
    const first = afterGap[0] ?? Infinity;
    const untold = [...this.#misfits].filter(
      (n) => this.#accepted.has(n) && n > first && n > numbers[0]!,
    );
    return untold.length > 0 ? [`no gap after ${untold.join(' ')}`] : [];
  }

  /** In a room with a state, a loop has all at rest, and nothing is missing after a state. */
  #faultsOfState(reader: Reader): string[] {
    const { items, ended, options, error } = reader;
    const faults: string[] = [];
    if (error !== undefined) faults.push(error.message);
    let has = -1;
    let last: number | undefined;
    for (const item of items) {
      if (item.kind === 'gap') faults.push('a gap');
      else if (item.kind === 'state') {
        has = Math.max(numberOf(item.data), has);
        last = undefined;
      } else if (item.kind === 'message') {
        const n = numberOf(item.data);
        if (last !== undefined && n <= last) faults.push(`${n} after ${last}`);
        const from = last ?? (has < 0 ? n - 1 : has);
        const missing = this.#missing(Math.max(from, has), n);
        if (missing.length > 0) faults.push(`no ${missing.join(' ')} before ${n}`);
        last = n;
        has = Math.max(has, n);
      }
    }
    if (!ended && has !== this.#count) faults.push(`ends with ${has}, not ${this.#count}`);
    const isNew = options.since === undefined;
    const first = items.find(({ kind }) => kind !== 'live');
    if (isNew && first !== undefined && first.kind !== 'state') faults.push('no first state');
    return this.#withItems(faults, reader);
  }

  #withItems(faults: string[], { items, options }: Reader): string[] {
    if (faults.length === 0) return [];
    const text = items
      .map((item) => {
        if (item.kind === 'message') return `${numberOf(item.data)}`;
        return item.kind === 'state' ? `state${numberOf(item.data)}` : item.kind;
      })
      .join(' ');
    return [`${faults.slice(0, 3).join('; ')} [${JSON.stringify(options)}: ${text}]`];
  }
}

interface Kind {
  /** Two nodes share the histories of a broker. */
  readonly isShared: boolean;
  readonly hasState: boolean;
}

describe.each<[string, Kind]>([
  ['one node', { isShared: false, hasState: false }],
  ['two nodes', { isShared: true, hasState: false }],
  ['one node, with a state', { isShared: false, hasState: true }],
  ['two nodes, with a state', { isShared: true, hasState: true }],
])('H4 H5 H6 M3 loops of one page on %s', (_, kind) => {
  it('get each message once, in order, or are told', async () => {
    const bad: string[] = [];
    let items = 0;
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      // Each program has a clock without the timers of earlier ones.
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
      const simulation = new Simulation(seed, kind);
      const faults = await simulation.run();
      if (faults.length > 0) bad.push(`seed ${seed}: ${faults.join(', ')}`);
      for (const reader of simulation.readers) items += reader.items.length;
      vi.restoreAllMocks();
      vi.useRealTimers();
    }
    if (bad.length > 0) expect.fail(`${bad.length} of ${RUNS}: ${bad.slice(0, 3).join('\n')}`);
    expect(items).toBeGreaterThan(RUNS * 10);
  });
});
