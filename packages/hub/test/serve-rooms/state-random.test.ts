// Random programs of rooms with a state: a table is written, then what has changed is published. States are
// slow and fail, connections break, loops begin, end and fall behind, memberships end, the broker goes
// away, and loses its history. At rest each copy is the table. RUNS: the number of programs of each kind.
// SEED: the first one.
import process from 'node:process';
import { type Conn, connPair } from '@ws/conn';
import { serveRooms } from '@ws/hub/rooms';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { ReconnectingConn } from '@ws/reconnect';
import { roomsOf } from '@ws/rpc/rooms';
import { Random, rounds } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Copy, changed, EMPTY, type Table } from './board.ts';

const RUNS = Number(process.env['RUNS'] ?? rounds(1, 3));
const FIRST = Number(process.env['SEED'] ?? 1);
const STEPS = 60;
const CLIENTS = 3;
const ROOMS = ['board/0', 'board/1'];
/** More than a loop holds. */
const FLOOD = 1_100;
const MISFIT = 'misfit';
const message = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) => (value === MISFIT ? { issues: [{ message: 'no' }] } : { value }),
  },
} as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
  vi.spyOn(console, 'error').mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

class Client {
  readonly live: ReconnectingConn;
  readonly rooms;
  readonly copies: Copy[] = [];
  conn: Conn | undefined;

  constructor(node: () => ReturnType<typeof serveRooms>) {
    this.live = new ReconnectingConn(
      async () => {
        const [client, server] = connPair({ highWaterMark: 400, report: () => {} });
        this.conn = client;
        node().hub.add(server);
        return client;
      },
      { minDelay: 1, maxDelay: 5 },
    );
    this.rooms = roomsOf(this.live, { schemas: { 'board/*': { message } } });
  }
}

class Simulation {
  readonly #random: Random;
  readonly #broker: MemoryBroker | undefined;
  readonly #nodes: ReturnType<typeof serveRooms>[];
  readonly clients: Client[];
  readonly #tables = new Map<string, Table>(ROOMS.map((room) => [room, EMPTY]));
  /** Changes that are stored, and not published. */
  #unpublished = 0;
  #isAway = false;
  /** States are fast, and do not fail. */
  #isCalm = false;

  constructor(seed: number, nodes: number, size: number) {
    const random = new Random(seed);
    this.#random = random;
    const delays = new Random(seed);
    vi.spyOn(Math, 'random').mockImplementation(() => delays.below(1_000) / 1_000);
    this.#broker = nodes === 1 ? undefined : new MemoryBroker();
    const history = { size, bytes: 1e9, ttl: 1e9 };
    this.#nodes = Array.from({ length: nodes }, () => {
      const backplane = this.#broker && memoryBackplane(this.#broker);
      const node = serveRooms(
        { 'board/*': { mayJoin: true, history, state: (room) => this.#state(room) } },
        { hub: { backplane, maxQueuedMessages: 20 } },
      );
      node.hub.on('error', () => {});
      return node;
    });
    this.clients = Array.from(
      { length: CLIENTS },
      () => new Client(() => random.pick(this.#nodes)),
    );
  }

  async #state(room: string): Promise<Table> {
    const random = this.#random;
    if (!this.#isCalm) {
      await sleep(random.below(4));
      if (random.once(8)) throw new Error('the database is away');
      if (random.once(20)) await sleep(15_000);
      if (random.once(40)) await new Promise(() => {});
    }
    const table = this.#tables.get(room)!;
    if (!this.#isCalm) await sleep(random.below(4));
    return table;
  }

  /** Stores a change, then publishes it, also if that fails at first. */
  #write(room: string): void {
    const random = this.#random;
    const [change, table] = changed(this.#tables.get(room)!, random);
    this.#tables.set(room, table);
    this.#unpublished++;
    const publish = async (): Promise<void> => {
      if (random.once(2)) await sleep(random.below(3));
      for (;;) {
        try {
          await random.pick(this.#nodes).hub.room(room).publishJSON(change);
          break;
        } catch {
          await sleep(500);
        }
      }
      this.#unpublished--;
    };
    void publish();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    const broker = this.#broker;
    const client = random.pick(this.clients);
    const room = random.pick(ROOMS);
    const open = client.copies.filter(({ ended }) => !ended);
    const action = random.below(broker === undefined ? 18 : 24);
    if (action < 6) for (let i = random.size(8); i > 0; i--) this.#write(room);
    else if (action < 8) client.conn?.terminate();
    else if (action < 11) {
      if (open.length < 4) client.copies.push(new Copy(client.rooms.join(room), room, false));
    } else if (action === 11 && open.length > 0) random.pick(open).end();
    else if (action === 12 && open.length > 0) random.pick(open).toggle();
    else if (action === 13 && random.once(8)) for (let i = FLOOD; i > 0; i--) this.#write(room);
    else if (action === 14) {
      for (const session of random.pick(this.#nodes).hub.sessions.values()) {
        if (random.once(2)) session.leave(room);
      }
    } else if (action === 15) {
      const bad = random.pick(this.#nodes).hub.room(room).publishJSON(MISFIT);
      bad.catch(() => {});
    } else if (action === 16) await advance(random.below(2_000));
    else if (action === 17) await advance(random.below(3));
    else if (action === 18) broker!.delay();
    else if (action === 19) broker!.drop(1);
    else if (action === 20) broker!.double(1);
    else if (action === 21) broker!.release();
    else if (action === 22 && !this.#isAway) {
      broker!.release();
      this.#isAway = true;
      broker!.disconnect();
      if (random.once(2)) broker!.forget();
    } else this.#return();
    await advance(random.below(3));
  }

  #return(): void {
    if (this.#isAway) this.#broker!.reconnect();
    this.#isAway = false;
  }

  async run(): Promise<string[]> {
    for (const { copies, rooms } of this.clients) {
      for (const room of ROOMS) copies.push(new Copy(rooms.join(room), room, false));
    }
    for (let i = 0; i < STEPS; i++) await this.#step();
    this.#isCalm = true;
    this.#return();
    this.#broker?.release();
    for (const { copies } of this.clients) for (const copy of copies) copy.toggle(true);
    await advance(200_000);
    // A message shows what is missing before it.
    for (const room of ROOMS) this.#write(room);
    await advance(60_000);
    const faults = this.clients.flatMap(({ copies }) =>
      copies.flatMap((copy) =>
        copy.ended ? copy.faults : copy.differs(this.#tables.get(copy.room)!),
      ),
    );
    if (this.#unpublished > 0) faults.push(`${this.#unpublished} are not published`);
    for (const { live } of this.clients) void live.close();
    const closed = Promise.all(this.#nodes.map(({ hub }) => hub.close({ timeout: 1 })));
    await advance(10_000);
    await closed;
    return faults;
  }
}

describe.each<[string, number, number]>([
  ['one node', 1, 5_000],
  ['one node with a short history', 1, 12],
  ['two nodes', 2, 5_000],
  ['two nodes with a short history', 2, 12],
])('rooms with a state on %s', (_, nodes, size) => {
  it('give each loop the table, whatever happens', async () => {
    let items = 0;
    for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
      const simulation = new Simulation(seed, nodes, size);
      const faults = await simulation.run();
      if (faults.length > 0) expect.fail(`seed ${seed}: ${faults.slice(0, 5).join(', ')}`);
      for (const { copies } of simulation.clients) for (const copy of copies) items += copy.items;
    }
    expect(items).toBeGreaterThan(RUNS * CLIENTS * 10);
  });
});
