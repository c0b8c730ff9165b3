// Random programs of a room: clients that come and go, resume, read slowly, and are told of losses.
import process from 'node:process';
import { type Conn, connPair } from '@ws/conn';
import { Hub, type HubOptions, type Joined, type Position, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { Random, rounds } from '@ws/tests';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type Log, RoomModel, type Sent } from './room-model.ts';

/** `pnpm long random` sets it. */
const RUNS = Number(process.env['RUNS'] ?? rounds(6, 16));
const FIRST_SEED = Number(process.env['SEED'] ?? 401);
const STEPS = 60;
/** So many programs run at a time, on one clock. */
const GROUP = Math.min(RUNS, 30);
const PADDING = ' '.repeat(100);
const CLIENTS = 4;
const POLICIES = ['close', 'latest'] as const;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});
afterEach(() => vi.useRealTimers());

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A client with what it got on each of its connections. */
class Client {
  session!: Session;
  conn!: Conn;
  readonly logs: Log[] = [];
  #since: Position | undefined;
  #reads = true;
  #wake = (): void => {};

  connect(hub: Hub): void {
    const [client, server] = connPair({ readAhead: 200, highWaterMark: 200 });
    this.conn = client;
    this.logs.push({ events: [], dropped: 0 });
    this.session = hub.add(server);
    void this.#read(client, this.logs.at(-1)!);
  }

  get log(): Log {
    return this.logs.at(-1)!;
  }

  /** Joins the room with the position of the last message, for the first time without one. */
  resume(): void {
    const since = this.#since;
    const first = ({ complete, position }: Joined): string =>
      JSON.stringify(
        since === undefined
          ? { start: position?.offset, complete: position !== undefined, position }
          : { start: since.offset, complete, isUnknown: position === undefined },
      );
    this.session.join('r', { since, first }).catch(() => {});
  }

  /** Joins without a position: messages of the node that are under way do not come. */
  join(): void {
    if (this.session.rooms.has('r')) return;
    this.session.join('r').catch(() => {});
    if (!this.session.send(JSON.stringify({ isUnknown: true }))) this.log.dropped = Infinity;
  }

  /** Starts to read, or stops. */
  toggle(reads: boolean): void {
    this.#reads = reads;
    if (reads) this.#wake();
  }

  async #read(conn: Conn, { events }: Log): Promise<void> {
    try {
      for await (const message of conn) {
        // Messages after the next connection are not read.
        if (this.conn !== conn) return;
        const sent = message.json() as Sent;
        const offset = sent.position?.offset ?? -1;
        if (offset >= (this.#since?.offset ?? 0)) this.#since = sent.position;
        events.push(sent);
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
}

class Simulation {
  readonly random: Random;
  readonly model = new RoomModel();
  readonly policy: (typeof POLICIES)[number];
  readonly clients = Array.from({ length: CLIENTS }, () => new Client());
  readonly broker: MemoryBroker | undefined;
  readonly hubs: Hub[];

  constructor(seed: number) {
    const random = new Random(seed);
    this.random = random;
    this.policy = POLICIES[seed % POLICIES.length]!;
    const size = random.once(4) ? 12 : 2_000;
    const nodes = random.pick([1, 2]);
    this.broker = nodes === 1 ? undefined : new MemoryBroker();
    const form = (
      _: unknown,
      { position }: { readonly position: Position | undefined },
    ): string => {
      if (position === undefined) return JSON.stringify({ isLost: true });
      this.model.offsets.add(position.offset);
      return JSON.stringify({ position }) + PADDING;
    };
    const delivery = nodes === 1 ? 'local-first' : 'through';
    const rooms = { r: { history: { size, ttl: 1e9 }, delivery, form } } as const;
    const options = {
      overflow: this.policy,
      maxQueuedMessages: random.pick([1, 2, 3, 256]),
      rooms,
    } as const;
    this.hubs = Array.from({ length: nodes }, (_, i) => this.#start({ ...options, id: `${i}` }));
  }

  #start(options: HubOptions): Hub {
    const hub = new Hub({
      ...options,
      ...(this.broker && { backplane: memoryBackplane(this.broker) }),
    });
    hub.on('error', () => {});
    hub.on('overflow', (session, { dropped }) => {
      const client = this.clients.find((each) => each.session === session);
      if (client !== undefined) client.log.dropped += dropped;
    });
    hub.on('gap', () => {
      void hub.room('r').publish('', { local: true });
      // A report may be dropped too.
      for (const { session, log } of this.clients) {
        if (hub.sessions.get(session.id) === session && log.dropped > 0) log.dropped = Infinity;
      }
    });
    return hub;
  }

  step(): void {
    const { random } = this;
    const client = random.pick(this.clients);
    const action = random.below(this.broker === undefined ? 12 : 20);
    if (action < 5) this.#publish(1 + random.below(8));
    else if (action === 5) client.resume();
    else if (action === 6) client.conn.terminate();
    else if (action < 10) client.toggle(action === 7 && random.once(2));
    else if (action === 10) client.session.leave('r');
    else if (action === 11) client.join();
    else this.#disturb(action - 12, this.broker!);
  }

  /** Some of the clients that are no members join again. */
  return(): void {
    for (const each of this.clients) {
      if (each.session.state === 'open' && each.session.rooms.has('r')) continue;
      if (this.random.once(3)) this.#return(each);
    }
  }

  #publish(count: number): void {
    const { random } = this;
    const room = random.pick(this.hubs).room('r');
    for (let i = count; i > 0; i--) {
      const options = random.once(3) ? { key: random.pick(['a', 'b']) } : {};
      room.publish('x', options).catch(() => {});
    }
  }

  #disturb(action: number, broker: MemoryBroker): void {
    if (action === 0) broker.delay();
    else if (action === 1) broker.drop(1);
    else if (action === 2) broker.double(1);
    else if (action === 3) broker.disconnect(this.random.once(2) ? undefined : '0');
    else if (action < 6) broker.reconnect();
    else broker.release();
  }

  /** A client that is no member joins again, on its connection or on a new one. */
  #return(client: Client): void {
    if (client.session.state !== 'open' || this.random.once(2)) {
      client.conn.terminate();
      client.connect(this.random.pick(this.hubs));
    }
    client.resume();
  }

  start(): void {
    for (const client of this.clients) {
      client.connect(this.random.pick(this.hubs));
      client.resume();
    }
  }

  /** Ends all faults. */
  mend(): void {
    this.broker?.reconnect();
    this.broker?.release();
    for (const client of this.clients) client.toggle(true);
  }

  stop(): Promise<unknown> {
    for (const client of this.clients) client.conn.terminate();
    return Promise.all(this.hubs.map((hub) => hub.close({ timeout: 1 })));
  }
}

/** Runs the programs of these seeds. */
async function run(seeds: readonly number[]): Promise<readonly Simulation[]> {
  const all = seeds.map((seed) => new Simulation(seed));
  const random = new Random(seeds[0]!);
  for (const each of all) each.start();
  await advance(1);
  for (let i = 0; i < STEPS; i++) {
    for (const each of all) each.step();
    await advance(random.once(30) ? 6_000 : random.below(3));
    for (const each of all) each.return();
  }
  for (const each of all) each.mend();
  await advance(30_000);
  // The rest of the messages of a client come now.
  for (const each of all) {
    for (const client of each.clients) client.conn.terminate();
    each.start();
  }
  await advance(1_000);
  const stopped = Promise.all(all.map((each) => each.stop()));
  await advance(10_000);
  await stopped;
  return all;
}

it('a room gives each client all messages once, in order, or reports a loss', async () => {
  const counts = POLICIES.map((policy) => ({ policy, resumed: 0, dropped: 0 }));
  for (let from = FIRST_SEED; from < FIRST_SEED + RUNS; from += GROUP) {
    const seeds = Array.from({ length: GROUP }, (_, i) => from + i);
    for (const [i, { policy, clients, model }] of (await run(seeds)).entries()) {
      const faults = clients.flatMap(({ logs }) => model.faultsOf(logs));
      if (faults.length > 0) {
        expect.fail(
          `SEED=${from} RUNS=${GROUP}, seed ${from + i}: ${faults.slice(0, 5).join(', ')}`,
        );
      }
      const logs = clients.flatMap((client) => client.logs);
      const count = counts.find((each) => each.policy === policy)!;
      count.resumed += logs.flatMap(({ events }) => events).filter((e) => e.complete).length;
      count.dropped += logs.filter((log) => log.dropped > 0).length;
    }
  }
  if (RUNS > 1_000) console.log(RUNS, 'runs', counts);
  for (const { resumed } of counts) expect(resumed).toBeGreaterThan(CLIENTS);
  expect(counts.filter(({ dropped }) => dropped > 0).length).toBeGreaterThan(0);
});
