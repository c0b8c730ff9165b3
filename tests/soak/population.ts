import { turn } from '../kit/fake-platform.ts';
import { Random } from '../kit/random.ts';
import type { ClientKind, RunState } from './run-state.ts';

/** Clients started in one turn of the event loop. */
const PER_TURN = 64;

/** Share of idle clients; the others come and leave. */
const IDLE = 0.75;

/** A constant number of clients, most of them idle. A client that leaves is replaced until the run is over. */
export class Population {
  readonly #state: RunState;
  readonly #idle: readonly ClientKind[];
  readonly #kinds: readonly ClientKind[];
  readonly #random: Random;
  /** Connected clients of each kind. */
  readonly #present = new Map<string, number>();

  constructor(state: RunState, idle: ClientKind, kinds: readonly ClientKind[], seed: number) {
    this.#state = state;
    this.#idle = [idle];
    this.#kinds = kinds;
    this.#random = new Random(seed);
  }

  /** The connected clients as text. */
  get present(): string {
    return [...this.#present].map(([name, count]) => `${count} ${name}`).join(', ');
  }

  /** Keeps `count` clients until the run is over, idle ones first. Resolves after the last has left. */
  async fill(count: number): Promise<void> {
    const all: Promise<void>[] = [];
    for (let i = 0; i < count && !this.#state.over; i++) {
      all.push(this.#keepOne(i < IDLE * count ? this.#idle : this.#kinds));
      if (i % PER_TURN === 0) await turn();
    }
    await Promise.all(all);
  }

  async #keepOne(kinds: readonly ClientKind[]): Promise<void> {
    while (!this.#state.over) {
      const { name, behave } = this.#pickKind(kinds);
      this.#count(name, 1);
      try {
        await behave(this.#state, new Random(this.#random.word()));
      } catch (error) {
        this.#state.fault(`${name}: ${(error as Error).message}`);
        // Limits the load on a server that rejects every client.
        await this.#state.pause(1_000);
      }
      this.#count(name, -1);
    }
  }

  #pickKind(kinds: readonly ClientKind[]): ClientKind {
    const sum = kinds.reduce((sum, { weight }) => sum + weight, 0);
    let at = (this.#random.word() / 2 ** 32) * sum;
    return kinds.find(({ weight }) => (at -= weight) < 0) ?? kinds[0]!;
  }

  #count(name: string, by: number): void {
    const count = (this.#present.get(name) ?? 0) + by;
    if (count === 0) this.#present.delete(name);
    else this.#present.set(name, count);
  }
}
