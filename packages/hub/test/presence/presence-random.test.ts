// Random programs of three nodes, on an engine that loses, doubles and delays words.
import { Hub, type Session } from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { Random, rounds } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { turns, useFakeTime, wait } from '../nodes.ts';
import { byEvents, member, SHOWN } from './members.ts';

const RUNS = Number(process.env['HUB_PRESENCE_RUNS'] ?? rounds(6, 15));
const FIRST = Number(process.env['HUB_PRESENCE_SEED'] ?? 1);
const STEPS = 60;
const NODES = ['a', 'b', 'c'];
const ROOMS = ['r1', 'r2'];

/** A node, and what it shows by its own account. */
class Node {
  hub!: Hub;
  events!: ReturnType<typeof byEvents>;
  readonly errors: string[] = [];
  /** The engine accepts the words of the node and delivers none. */
  isMute = false;
  isAway = false;
  /** Hubs of killed processes. */
  readonly dead: Hub[] = [];
  readonly #broker: MemoryBroker;
  readonly id: string;
  #sessions = 0;

  constructor(broker: MemoryBroker, id: string) {
    this.#broker = broker;
    this.id = id;
    this.start();
  }

  start(): void {
    const backplane = memoryBackplane(this.#broker);
    const hub: Hub = new Hub({
      ...SHOWN,
      id: this.id,
      backplane: {
        ...backplane,
        publish: async (channel, bytes, keep) =>
          this.isMute || this.hub !== hub ? undefined : backplane.publish(channel, bytes, keep),
      },
    });
    this.hub = hub;
    this.hub.on('error', (_, error) => void this.errors.push(String(error)));
    this.events = byEvents(this.hub);
  }

  join(): void {
    member(this.hub, `s${++this.#sessions}`, ...ROOMS.slice(this.#sessions % 2));
  }

  /** The process is killed, and starts again. */
  kill(): void {
    this.dead.push(this.hub);
    this.start();
  }

  get sessions(): Session[] {
    return [...this.hub.sessions.values()];
  }
}

async function run(seed: number): Promise<void> {
  const random = new Random(seed);
  const broker = new MemoryBroker();
  const nodes = NODES.map((id) => new Node(broker, id));
  await turns();
  let log = '';
  const step = async (): Promise<void> => {
    const node = random.pick(nodes);
    const [session] = node.sessions.slice(random.below(5));
    const room = random.pick(ROOMS);
    const kind = random.below(17);
    log += `${node.id}${kind} `;
    switch (kind) {
      case 0:
      case 1:
      case 2:
        return node.join();
      case 3:
        return session?.leave(room);
      case 4:
        return void session?.join(room);
      case 5:
        if (session?.rooms.has(room)) session.show(room, { n: random.below(3) });
        return;
      case 6:
        if (session?.rooms.has(room)) session.show(room, undefined);
        return;
      case 7:
        return void session?.close();
      case 8:
        return broker.drop(random.below(6), node.id);
      case 9:
        return broker.double(random.below(4));
      case 10:
        return broker.delay();
      case 11:
        return broker.release();
      case 12:
        node.isAway = !node.isAway;
        return node.isAway ? broker.disconnect(node.id) : broker.reconnect(node.id);
      case 13:
        node.isMute = !node.isMute;
        return;
      case 14: {
        if (node.isAway) return;
        const closing = node.hub.close({ timeout: 10 });
        await wait(3_000);
        await closing;
        node.start();
        return turns();
      }
      case 15:
        if (!node.isAway) node.kill();
        return turns();
      default:
        return wait(random.pick([1, 100, 2_000, 6_000, 20_000]));
    }
  };
  for (let i = 0; i < STEPS; i++) await step();
  // The last fault ends.
  broker.release();
  broker.drop(-Infinity);
  for (const node of nodes) {
    broker.drop(-Infinity, node.id);
    node.isMute = false;
    if (node.isAway) broker.reconnect(node.id);
  }
  await wait(20_000);
  for (const room of ROOMS) {
    const model = new Map<string, unknown>();
    for (const { hub } of nodes) {
      for (const [key, { node, info }] of hub.room(room).presence) {
        if (node === hub.id) model.set(key, info);
      }
    }
    for (const { hub, id, events } of nodes) {
      if (hub.room(room).members.size === 0) continue;
      const found = new Map([...hub.room(room).presence].map(([key, { info }]) => [key, info]));
      expect(found, `${id} ${room} of seed ${seed}: ${log}`).toEqual(model);
      expect(events.rooms.get(room) ?? new Map(), `events of ${id} ${room}`).toEqual(model);
      expect(hub.room(room).presenceComplete, `${id} ${room} of seed ${seed}: ${log}`).toBe(true);
    }
  }
  for (const { errors } of nodes) {
    expect(
      errors.filter((text) => !/is away|has the id|reached this node only/.test(text)),
    ).toEqual([]);
  }
  for (const { hub, dead } of nodes) {
    for (const each of [hub, ...dead]) void each.close({ timeout: 10 });
  }
  await wait(7_000);
}

describe('Room.presence after random faults', () => {
  useFakeTime();

  it.each(Array.from({ length: RUNS }, (_, i) => FIRST + i))(
    'is the same on all nodes, and has no ghost (seed %i)',
    run,
  );
});
