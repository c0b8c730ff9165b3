import { connPair } from '@ws/conn';
import { Hub, type Position, type RoomOptions, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { Random, rounds } from '@ws/tests';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkLog, type Log, noTotals } from './killer/history-checker.ts';

const SEEDS = Array.from({ length: rounds(8, 20) }, (_, i) => i + 1);
const STEPS = 80;
const NODES = ['a', 'b', 'c'];
const ROOMS: Record<string, RoomOptions> = {
  plain: {},
  through: { delivery: 'through' },
  kept: { history: true },
};

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
});
afterEach(() => vi.useRealTimers());

/** Three hubs with a member each, while a seeded sequence of faults loses and delays messages. */
class Simulation {
  readonly random: Random;
  readonly broker: MemoryBroker;
  readonly logs: Log[] = [];
  /** By room and node: the messages with a resolved `publish`. */
  readonly accepted = new Map<string, Map<string, Map<number, Position | undefined>>>();
  readonly #nodes = new Map<string, { readonly hub: Hub; readonly session: Session }>();
  readonly #published = new Map<string, number>();
  /** By node and room: the log of a member. */
  readonly #current = new Map<string, Log>();

  constructor(seed: number) {
    this.random = new Random(seed);
    this.broker = new MemoryBroker();
    for (const id of NODES) this.#nodes.set(id, this.#start(id));
    for (const room of Object.keys(ROOMS)) {
      this.accepted.set(room, new Map(NODES.map((id) => [id, new Map()])));
    }
  }

  #start(id: string) {
    const hub = new Hub({ id, rooms: ROOMS, backplane: memoryBackplane(this.broker) });
    hub.on('error', () => {});
    hub.on('gap', (room) => {
      if (room !== undefined) void hub.room(room).publish(`${room},gap`, { local: true });
    });
    const [client, conn] = connPair();
    void client.receive((message) => this.#received(id, message.text()));
    return { hub, session: hub.add(conn) };
  }

  #received(id: string, text: string): void {
    const [room, run, number] = text.split(',') as [string, string, string];
    const event = run === 'gap' ? { gap: 0 } : { run, number: Number(number) };
    this.#current.get(`${id} ${room}`)!.events.push(event);
  }

  /** Joins a room, or leaves it. */
  move(id: string, room: string): void {
    const { session } = this.#nodes.get(id)!;
    const key = `${id} ${room}`;
    if (session.rooms.has(room)) {
      session.leave(room);
      this.#current.get(key)!.ended = true;
    } else {
      const log = { name: key, run: id, events: [], startedAt: new Map(), ended: false };
      this.logs.push(log);
      this.#current.set(key, log);
      void session.join(room);
    }
  }

  publish(id: string, room: string): void {
    const key = `${room},${id}`;
    const number = (this.#published.get(key) ?? 0) + 1;
    this.#published.set(key, number);
    this.#nodes
      .get(id)!
      .hub.room(room)
      .publish(`${key},${number}`)
      .then(
        (position) => this.accepted.get(room)!.get(id)!.set(number, position),
        () => {},
      );
  }

  async step(): Promise<void> {
    const { random, broker } = this;
    const id = random.pick(NODES);
    const room = random.pick(Object.keys(ROOMS));
    const action = random.below(16);
    if (action < 6) for (let i = random.size(5); i > 0; i--) this.publish(id, room);
    else if (action === 6) this.move(id, room);
    else if (action === 7) broker.drop(random.size(3), random.once(2) ? id : undefined);
    else if (action === 8) broker.double(random.size(3));
    else if (action === 9) broker.delay();
    else if (action === 10) broker.disconnect(random.once(4) ? undefined : id);
    else if (action === 11) broker.reconnect(random.once(4) ? undefined : id);
    else await advance(random.below(random.once(2) ? 20 : 8_000));
    await advance(1);
    // After a longer delay a hub rather reports one more gap.
    if (random.once(2)) broker.release();
  }

  /** Ends all faults, and waits until the hubs have noticed all losses. */
  async mend(): Promise<void> {
    this.broker.release();
    this.broker.reconnect();
    await advance(30_000);
  }

  /** Reads the history of a room on each node, from the position of each message. */
  async checkHistory(room: string): Promise<void> {
    for (const [run, numbers] of this.accepted.get(room)!) {
      for (const [number, position] of numbers) {
        if (position === undefined) continue;
        const later = [...numbers.keys()].filter((other) => other > number);
        for (const { hub } of this.#nodes.values()) {
          const read = hub.room(room).history({ since: position });
          await advance(1);
          const { messages, complete } = await read;
          const texts = messages.map(({ message }) => message.text());
          const missing = later.filter((other) => !texts.includes(`${room},${run},${other}`));
          expect(complete ? missing : [], `after ${number} of ${run} in ${room}`).toEqual([]);
        }
      }
    }
  }

  async end(): Promise<void> {
    const closed = Promise.all(Array.from(this.#nodes.values(), ({ hub }) => hub.close()));
    await advance(60_000);
    await closed;
  }
}

describe('hubs over a broker', () => {
  it.each(SEEDS)(
    'lose no message of a history without a gap in its place (seed %i)',
    async (seed) => {
      const simulation = new Simulation(seed);
      await advance(1);
      for (const id of NODES) for (const room of Object.keys(ROOMS)) simulation.move(id, room);
      for (let i = 0; i < STEPS; i++) await simulation.step();
      await simulation.mend();
      await simulation.checkHistory('kept');
      await simulation.end();
      const totals = noTotals();
      for (const log of simulation.logs) {
        const room = log.name.slice(2);
        checkLog(log, simulation.accepted.get(room)!, totals, room === 'kept');
      }
      expect(totals.received).toBeGreaterThan(0);
      expect(totals).toMatchObject({ doubles: [], disorders: [], unreported: [] });
    },
  );
});
