import process from 'node:process';
import { PreparedMessage, portablePlatform, TextMessage } from '@ws/conn';
import { Random, rounds } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Channel } from '../../src/backplane/channel.ts';
import type { Envelope, Placed } from '../../src/backplane/envelope.ts';
import type { Position } from '../../src/position.ts';

/** Programs for each engine. */
const RUNS = Number(process.env['RUNS'] ?? rounds(100, 400));
const STEPS = 25;
const NODES = ['a', 'b', 'c'];

interface Engine {
  /** The largest step from one offset to the next. */
  readonly step?: number;
  /** Number of messages in the history. */
  readonly kept?: number;
  /** Largest number of messages that a read returns. */
  readonly limit?: number;
  /** Whether some reads of the history fail. */
  readonly fails?: boolean;
  /** Whether another program sends messages that this version cannot read. */
  readonly sendsUnreadable?: boolean;
  /** Whether some outages cost the history. */
  readonly restarts?: boolean;
}

/** A message that the channel has delivered, or a gap. */
interface Event {
  /** Number of the message in the log; undefined for a gap. */
  readonly number: number | undefined;
  /** Length of the log then. */
  readonly at: number;
}

/** One channel of an engine that loses, delays and repeats messages, by a seeded sequence. */
class Simulation {
  readonly events: Event[] = [];
  /** Number of messages and restarts. Unreadable messages in a row count once. */
  count = 0;
  /** Reads of the history that have failed. */
  failedReads = 0;
  readonly #random: Random;
  readonly #engine: Required<Engine>;
  readonly #channel: Channel;
  readonly #last = new Map<string, { counter: number; at: number }>();
  /** The history of this epoch. */
  #log: Placed[] = [];
  #epoch = 1;
  /** Numbers of the restarts. After one, each outage may cause a gap until the next message arrives. */
  readonly #restarts: number[] = [];
  #late: Placed[] = [];
  /** The next steps of reads. */
  readonly #reads: (() => void)[] = [];
  /** How often messages are lost, and how often reads make progress. */
  readonly #losses: number;
  readonly #speed: number;
  #now = 0;

  constructor(seed: number, engine: Engine) {
    this.#random = new Random(seed);
    this.#losses = this.#random.below(8);
    this.#speed = this.#random.below(6);
    this.#engine = {
      step: 1,
      kept: Infinity,
      limit: Infinity,
      fails: false,
      sendsUnreadable: false,
      restarts: false,
      ...engine,
    };
    const owner = {
      node: 'own',
      platform: { ...portablePlatform, now: () => this.#now },
      deliver: (_: Channel, { message }: Envelope) =>
        void this.events.push({
          number: Number(new TextDecoder().decode(message!.bytes)),
          at: this.count,
        }),
      repair: (_: Channel, since: Position) => this.#read(since),
      gap: () => void this.events.push({ number: undefined, at: this.count }),
    };
    const settings = { history: { size: 100, bytes: 1_000, ttl: 1_000 }, through: false };
    this.#channel = new Channel(owner, 'room/r', 'r', settings, 0);
  }

  #read(since: Position): ReturnType<ConstructorParameters<typeof Channel>[0]['repair']> {
    return new Promise((resolve, reject) => {
      const fails = this.#engine.fails && this.#random.once(4);
      // The answer arrives later than the engine reads.
      this.#reads.push(() => {
        if (fails) {
          this.failedReads++;
          return reject(new Error('refused'));
        }
        const kept = this.#log.slice(-this.#engine.kept);
        const follows =
          since.epoch === String(this.#epoch) && (kept[0]?.previous ?? 0) <= since.offset;
        const later = kept.filter(
          ({ position }) => position.epoch !== since.epoch || position.offset > since.offset,
        );
        const arrivals = later.slice(0, this.#engine.limit);
        const complete = follows && arrivals.length === later.length;
        this.#reads.push(() => resolve({ arrivals, complete }));
      });
    });
  }

  #publish(): Placed {
    const previous = this.#log.at(-1)?.position.offset ?? 0;
    const offset = previous + this.#random.size(this.#engine.step);
    const isUnreadable =
      this.#engine.sendsUnreadable && this.#last.size > 0 && this.#random.once(5);
    const before = this.#log.at(-1);
    if (!isUnreadable || before === undefined || before.envelope !== undefined) this.count++;
    const sent = {
      envelope: isUnreadable ? undefined : this.#envelope(),
      position: { epoch: String(this.#epoch), offset },
      previous,
    };
    this.#log.push(sent);
    return sent;
  }

  #envelope(): Envelope {
    const node = this.#random.pick(NODES);
    const { counter, at } = this.#last.get(node) ?? { counter: 0, at: undefined };
    this.#last.set(node, { counter: counter + 1, at: this.#now });
    return {
      node,
      counter: counter + 1,
      previousMs: at === undefined ? undefined : this.#now - at,
      exact: counter === 1,
      key: undefined,
      message: new PreparedMessage(TextMessage, String(this.count)),
    };
  }

  #publishSome(): void {
    const sent = this.#publish();
    const fate = this.#random.below(6 + this.#losses);
    if (fate < 5) this.#channel.arrive(sent);
    if (fate === 4) this.#channel.arrive(sent);
    if (fate === 5 || fate === 3) this.#late.push(sent);
  }

  #digest(): void {
    const [node, { counter, at }] = this.#random.pick([...this.#last]);
    const previousMs = this.#now - at;
    const exact = counter === 1;
    this.#channel.digest({ node, counter, previousMs, exact, key: undefined, message: undefined });
  }

  #outage(): void {
    for (let i = this.#random.below(3); i > 0; i--) this.#publish();
    if (this.#engine.restarts && this.#random.once(3)) {
      this.#restarts.push(++this.count);
      this.#epoch++;
      this.#log = [];
      this.#late = [];
      for (let i = this.#random.below(3); i > 0; i--) this.#publish();
    }
    this.#channel.interrupted();
  }

  async #step(): Promise<void> {
    const random = this.#random;
    this.#now += random.below(40);
    const action = random.below(12 + this.#speed);
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

  /** The numbers of the messages in order, and gaps. */
  get trace(): string {
    return this.events.map(({ number }) => number ?? 'gap').join(' ');
  }

  /** The fault of the events; undefined without one. */
  fault(): string | undefined {
    let unneeded = 0;
    let last = 0;
    let gaps: number[] = [];
    for (const { number, at } of [...this.events, { number: this.count + 1, at: this.count }]) {
      if (number === undefined) {
        gaps.push(at);
        continue;
      }
      if (number <= last) return `${number} comes after ${last}`;
      if (number > last + 1 && gaps.length === 0) return `no gap before ${number}`;
      if (!this.#restartedBetween(last, number)) unneeded += withoutLoss(gaps, last, number);
      last = number;
      gaps = [];
    }
    // After a failed read the channel cannot know whether a message is missing.
    return unneeded > this.failedReads ? 'a gap without a loss' : undefined;
  }

  #restartedBetween(from: number, to: number): boolean {
    return this.#restarts.some((restart) => restart > from && restart < to);
  }
}

/**
 * Counts the gaps between two messages that report nothing: no message was lost after the gap
 * before it.
 */
function withoutLoss(gaps: readonly number[], from: number, to: number): number {
  let reported = from;
  let count = 0;
  for (const at of gaps) {
    const lost = Math.min(at, to - 1);
    if (lost <= reported) count++;
    reported = lost;
  }
  return count;
}

async function settled(): Promise<void> {
  for (let i = 0; i < 12; i++) await Promise.resolve();
}

describe.each<{ says: string; engine: Engine }>([
  { says: 'a whole history', engine: {} },
  { says: 'offsets with holes', engine: { step: 3 } },
  { says: 'reads with a limit', engine: { limit: 2 } },
  { says: 'a short history', engine: { kept: 4 } },
  { says: 'a short history and reads with a limit', engine: { kept: 4, limit: 2, step: 3 } },
  { says: 'unreadable messages', engine: { sendsUnreadable: true } },
  { says: 'unreadable messages and a limit', engine: { sendsUnreadable: true, limit: 2 } },
  { says: 'restarts', engine: { restarts: true } },
  { says: 'restarts and reads with a limit', engine: { restarts: true, limit: 2, step: 3 } },
  { says: 'reads that fail', engine: { kept: 4, fails: true } },
  {
    says: 'restarts and reads that fail',
    engine: { kept: 4, fails: true, step: 3, restarts: true },
  },
])('Channel on an engine with $says', ({ engine }) => {
  it('delivers all messages in order, and reports each loss in its place', async () => {
    for (let seed = 1; seed <= RUNS; seed++) {
      const simulation = new Simulation(seed, engine);
      await simulation.run();
      const fault = simulation.fault();
      if (fault !== undefined) expect.fail(`seed ${seed}: ${fault}: ${simulation.trace}`);
    }
  });
});
