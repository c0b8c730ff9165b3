import { PreparedMessage, portablePlatform, TextMessage } from '@ws/conn';
import { Random } from '@ws/tests';
import { expect, it } from 'vitest';
import { type Arrival, Channel } from '../src/channel.ts';
import type { Position } from '../src/position.ts';

const SEEDS = Array.from({ length: 500 }, (_, i) => i + 1);
const STEPS = 25;
const NODES = ['a', 'b', 'c'];

interface Engine {
  /** The largest step from one offset to the next. */
  readonly step: number;
  /** Number of messages in the history. */
  readonly kept: number;
  /** Whether some reads of the history fail. */
  readonly fails: boolean;
}

/** One channel of an engine that loses, delays and repeats messages, by a seeded sequence. */
class Simulation {
  /** What the channel has reported: the numbers of messages, and gaps. */
  readonly events: (number | 'gap')[] = [];
  readonly log: Arrival[] = [];
  readonly #random: Random;
  readonly #engine: Engine;
  readonly #channel: Channel;
  readonly #last = new Map<string, { counter: number; at: number }>();
  readonly #late: Arrival[] = [];
  /** The next steps of reads. */
  readonly #reads: (() => void)[] = [];
  #now = 0;

  constructor(seed: number, engine: Engine) {
    this.#random = new Random(seed);
    this.#engine = engine;
    const owner = {
      node: 'own',
      platform: { ...portablePlatform, now: () => this.#now },
      deliver: (_: Channel, { envelope }: Arrival) =>
        void this.events.push(Number(new TextDecoder().decode(envelope.message!.bytes))),
      repair: (_: Channel, since: Position | undefined) => this.#read(since!.offset),
      gap: () => void this.events.push('gap'),
    };
    const settings = { history: { size: 100, bytes: 1_000, ttl: 1_000 }, through: false };
    this.#channel = new Channel(owner, 'room/r', 'r', settings, 0);
  }

  #read(since: number): ReturnType<ConstructorParameters<typeof Channel>[0]['repair']> {
    return new Promise((resolve, reject) => {
      const fails = this.#engine.fails && this.#random.once(4);
      // The answer arrives later than the engine reads.
      this.#reads.push(() => {
        if (fails) return reject(new Error('refused'));
        const kept = this.log.slice(-this.#engine.kept);
        const complete = (kept[0]!.previous ?? 0) <= since;
        const arrivals = kept.filter(({ position }) => position!.offset > since);
        this.#reads.push(() => resolve({ arrivals, complete }));
      });
    });
  }

  #publish(): Arrival {
    const node = this.#random.pick(NODES);
    const { counter, at } = this.#last.get(node) ?? { counter: 0, at: undefined };
    this.#last.set(node, { counter: counter + 1, at: this.#now });
    const previous = this.log.at(-1)?.position!.offset ?? 0;
    const offset = previous + this.#random.size(this.#engine.step);
    const envelope = {
      node,
      counter: counter + 1,
      previousMs: at === undefined ? undefined : this.#now - at,
      exact: counter === 1,
      key: undefined,
      message: new PreparedMessage(TextMessage, String(this.log.length + 1)),
    };
    const arrival = { envelope, position: { epoch: 'e', offset }, previous };
    this.log.push(arrival);
    return arrival;
  }

  #publishSome(): void {
    const arrival = this.#publish();
    const fate = this.#random.below(8);
    if (fate < 5) this.#channel.arrive(arrival);
    if (fate === 4) this.#channel.arrive(arrival);
    if (fate === 5 || fate === 3) this.#late.push(arrival);
  }

  #digest(): void {
    const [node, { counter, at }] = this.#random.pick([...this.#last]);
    const previousMs = this.#now - at;
    const exact = counter === 1;
    this.#channel.digest({ node, counter, previousMs, exact, key: undefined, message: undefined });
  }

  #outage(): void {
    for (let i = this.#random.below(3); i > 0; i--) this.#publish();
    this.#channel.interrupted();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    this.#now += random.below(300);
    const action = random.below(16);
    if (action < 6) this.#publishSome();
    else if (action < 8 && this.#late.length > 0) this.#channel.arrive(this.#late.pop()!);
    else if (action < 10) this.#digest();
    else if (action < 12) this.#outage();
    else this.#reads.shift()?.();
    await settled();
  }

  async run(): Promise<void> {
    for (let i = 0; i < 6; i++) this.#channel.arrive(this.#publish());
    this.#now += 5_000;
    for (let i = 0; i < STEPS; i++) await this.#step();
    this.#channel.arrive(this.#publish());
    await settled();
    for (let read = this.#reads.shift(); read !== undefined; read = this.#reads.shift()) {
      read();
      await settled();
    }
  }
}

async function settled(): Promise<void> {
  for (let i = 0; i < 12; i++) await Promise.resolve();
}

it.each([1, 3])(
  'Channel repairs all losses from a whole history (offset steps %i)',
  async (step) => {
    for (const seed of SEEDS) {
      const simulation = new Simulation(seed, { step, kept: Infinity, fails: false });
      await simulation.run();
      const all = simulation.log.map((_, i) => i + 1);
      expect(simulation.events, `seed ${seed}`).toEqual(all);
    }
  },
);

it.each([1, 3])('Channel reports each loss in its place (offset steps %i)', async (step) => {
  for (const seed of SEEDS) {
    const simulation = new Simulation(seed, { step, kept: 4, fails: true });
    await simulation.run();
    let last = 0;
    let hasGap = false;
    for (const event of simulation.events) {
      if (event === 'gap') hasGap = true;
      else {
        expect(event, `seed ${seed}`).toBeGreaterThan(last);
        expect(event === last + 1 || hasGap, `seed ${seed}, before ${event}`).toBe(true);
        last = event;
        hasGap = false;
      }
    }
    expect(last === simulation.log.length || hasGap, `seed ${seed}`).toBe(true);
  }
});
