// Rooms for clients: nodes are killed and stopped, connections break.
// HUB_ENGINES, HUB_SEEDS and HUB_FAULTS as in killer.slow.test.ts.
import process from 'node:process';
import { ReconnectingConn } from '@ws/node-client';
import { type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import { lacksDaemon, nothingLeft, Random } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { ENGINES } from './engines.ts';
import { type Launch, launchAlone, type NodeProcess } from './fleet.ts';
import { SEEDS } from './seeds.ts';

const CLIENTS = 200;
const ROOMS = 4;
const NODES = 2;
const NOWHERE = 'ws://127.0.0.1:1';
const STEPS = Number(process.env['HUB_FAULTS'] ?? 4);
const NAMES = (process.env['HUB_ENGINES'] ?? 'redis,workers')
  .split(',')
  .filter((name) => name in ENGINES);

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

class Node {
  /** Another one after each start: the system may give the port of a dead process away. Then nothing listens. */
  url = NOWHERE;
  /** The arguments of `rooms-node.ts`. */
  readonly #target: readonly string[];
  readonly #launch: Launch;
  #child: NodeProcess | undefined;

  constructor(launch: Launch, ...target: string[]) {
    this.#launch = launch;
    this.#target = target;
  }

  async start(): Promise<void> {
    const child = this.#launch('rooms-node.ts', [...this.#target]);
    this.#child = child;
    this.url = await new Promise<string>((resolve) => void child.once('message', resolve));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    const exited = new Promise<void>((resolve) => void this.#child!.once('exit', resolve));
    this.url = NOWHERE;
    this.signal('SIGKILL');
    await exited;
  }
}

/** A client with one loop, which publishes and notes what it gets. */
class Client {
  readonly room: string;
  readonly items: RoomMessage<unknown>[] = [];
  readonly acknowledged: string[] = [];
  readonly live: ReconnectingConn;
  readonly #rooms;
  readonly #name: string;
  #count = 0;

  constructor(i: number, nodes: readonly Node[], random: Random) {
    this.#name = `c${i}`;
    this.room = `room/${i % ROOMS}`;
    const url = () => random.pick(nodes).url;
    this.live = new ReconnectingConn(url, { minDelay: 20, maxDelay: 300, report: () => {} });
    this.#rooms = roomsOf(this.live);
    void this.#listen();
  }

  async #listen(): Promise<void> {
    for await (const item of this.#rooms.join(this.room)) this.items.push(item);
  }

  publish(): Promise<void> {
    const text = `${this.#name}/${this.#count++}`;
    return this.#rooms.publish(this.room, text, { timeout: false }).then(
      () => void this.acknowledged.push(text),
      () => {},
    );
  }
}

/** The messages that a client got twice, and those that it lacks without a gap. */
function faultsOf(
  { items, room }: Client,
  kept: ReadonlyMap<string, unknown>,
): { doubled: number; lost: number } {
  let [doubled, lost, last] = [0, 0, 0];
  let [isTold, of] = [true, ''];
  const texts = new Set(items.map((item) => (item.kind === 'message' ? item.data : undefined)));
  const seen = new Set<unknown>();
  for (const item of items) {
    if (item.kind !== 'message') {
      isTold ||= item.kind === 'gap';
      continue;
    }
    if (seen.has(item.data)) doubled++;
    seen.add(item.data);
    const { epoch, offset } = item.position!;
    if (epoch !== of && !isTold) lost++;
    for (let i = last + 1; i < offset && !isTold; i++) {
      const text = kept.get(`${room} ${epoch} ${i}`);
      if (text !== undefined && !texts.has(text)) lost++;
    }
    [last, of] = [offset, epoch];
    isTold = false;
  }
  return { doubled, lost };
}

const timeout = 60_000 * (2 + STEPS);

describe.each(NAMES)(`${CLIENTS} clients of rooms over %s`, { timeout }, (name) => {
  nothingLeft();
  const [program, start] = ENGINES[name]!;

  it.skipIf(lacksDaemon(program)).each(SEEDS)(
    'get each message once, or a gap (seed %i)',
    async (seed) => {
      const random = new Random(seed);
      const { servers, launch = launchAlone } = await start();
      const nodes: Node[] = [];
      for (let i = 0; i < NODES; i++) {
        const { port } = await servers[i % servers.length]!.relay();
        nodes.push(new Node(launch, name, `${port}`, `${i}`));
      }
      const clients: Client[] = [];
      try {
        for (const node of nodes) await node.start();
        for (let i = 0; i < CLIENTS; i++) clients.push(new Client(i, nodes, random));
        const pending: Promise<void>[] = [];
        const publishing = setInterval(() => pending.push(random.pick(clients).publish()), 5);
        for (let step = 0; step < STEPS; step++) {
          await sleep(1_500);
          const node = random.pick(nodes);
          if (step % 2 === 0) {
            await node.kill();
            await sleep(random.below(1_000));
            await node.start();
          } else {
            node.signal('SIGSTOP');
            await sleep(1_000 + random.below(2_000));
            node.signal('SIGCONT');
          }
          for (let i = 0; i < CLIENTS / 4; i++) random.pick(clients).live.conn?.terminate();
        }
        await sleep(1_500);
        clearInterval(publishing);
        await Promise.all(pending);
        await sleep(3_000);
        const kept = new Map<string, unknown>();
        for (const { room, items } of clients) {
          for (const item of items) {
            if (item.kind !== 'message') continue;
            const { epoch, offset } = item.position!;
            kept.set(`${room} ${epoch} ${offset}`, item.data);
          }
        }
        const texts = new Set(kept.values());
        const unseen = clients.flatMap(({ acknowledged }) =>
          acknowledged.filter((text) => !texts.has(text)),
        );
        const totals = { doubled: 0, lost: 0, gaps: 0, received: 0 };
        for (const client of clients) {
          const { doubled, lost } = faultsOf(client, kept);
          totals.doubled += doubled;
          totals.lost += lost;
          totals.gaps += client.items.filter(({ kind }) => kind === 'gap').length;
          totals.received += client.items.length;
        }
        console.log(
          `rooms over ${name}, seed ${seed}: ${STEPS} faults, ${pending.length} published, ${JSON.stringify(totals)}`,
        );
        expect({ ...totals, gaps: 0, received: 0, unseen }).toEqual({
          doubled: 0,
          lost: 0,
          gaps: 0,
          received: 0,
          unseen: [],
        });
        expect(totals.received).toBeGreaterThan(pending.length);
      } finally {
        for (const { live } of clients) await live.close();
        for (const node of nodes) await node.kill();
      }
    },
  );
});
