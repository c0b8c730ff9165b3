import { turn } from '../fake-host.ts';
import { Random } from '../random.ts';
import type { Kind, Scene } from './scene.ts';

/** Lives begun in one turn of the event loop. */
const PER_TURN = 64;

/** How many of all are calm: what comes and goes is the rest. */
const CALM = 0.75;

/** Many clients at a time, most of them calm: whoever leaves is replaced, until all is over. */
export class Crowd {
  readonly #scene: Scene;
  readonly #calm: readonly Kind[];
  readonly #kinds: readonly Kind[];
  readonly #random: Random;
  /** How many of each kind are there. */
  readonly #present = new Map<string, number>();

  constructor(scene: Scene, calm: Kind, kinds: readonly Kind[], seed: number) {
    this.#scene = scene;
    this.#calm = [calm];
    this.#kinds = kinds;
    this.#random = new Random(seed);
  }

  /** What those are who are there. */
  get present(): string {
    return [...this.#present].map(([name, count]) => `${count} ${name}`).join(', ');
  }

  /** Keeps `count` of them there until the scene is over, the calm ones first; resolves when the last has left. */
  async fill(count: number): Promise<void> {
    const all: Promise<void>[] = [];
    for (let i = 0; i < count && !this.#scene.over; i++) {
      all.push(this.#seat(i < CALM * count ? this.#calm : this.#kinds));
      if (i % PER_TURN === 0) await turn();
    }
    await Promise.all(all);
  }

  async #seat(kinds: readonly Kind[]): Promise<void> {
    while (!this.#scene.over) {
      const { name, life } = this.#any(kinds);
      this.#count(name, 1);
      try {
        await life(this.#scene, new Random(this.#random.word()));
      } catch (error) {
        this.#scene.fault(`${name}: ${(error as Error).message}`);
        // A server that lets nobody in is not asked by all of them all the time.
        await this.#scene.pause(1_000);
      }
      this.#count(name, -1);
    }
  }

  #any(kinds: readonly Kind[]): Kind {
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
