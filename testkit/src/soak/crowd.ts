import { turn } from '../fake-host.ts';
import { Random } from '../random.ts';
import type { Kind, Scene } from './scene.ts';

/** Lives begun in one turn of the event loop. */
const PER_TURN = 64;

/** Many clients at a time: whoever leaves is replaced, until all is over. */
export class Crowd {
  readonly #scene: Scene;
  readonly #kinds: readonly Kind[];
  readonly #random: Random;
  /** How many of each kind are there. */
  readonly #present = new Map<string, number>();

  constructor(scene: Scene, kinds: readonly Kind[], seed: number) {
    this.#scene = scene;
    this.#kinds = kinds;
    this.#random = new Random(seed);
  }

  /** What those are who are there. */
  get present(): string {
    return [...this.#present].map(([name, count]) => `${count} ${name}`).join(', ');
  }

  /** Keeps `count` of them there until the scene is over; resolves when the last has left. */
  async fill(count: number): Promise<void> {
    const all: Promise<void>[] = [];
    for (let i = 0; i < count && !this.#scene.over; i++) {
      all.push(this.#seat());
      if (i % PER_TURN === 0) await turn();
    }
    await Promise.all(all);
  }

  async #seat(): Promise<void> {
    while (!this.#scene.over) {
      const { name, life } = this.#any();
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

  #any(): Kind {
    const sum = this.#kinds.reduce((sum, { weight }) => sum + weight, 0);
    let at = (this.#random.word() / 2 ** 32) * sum;
    return this.#kinds.find(({ weight }) => (at -= weight) < 0) ?? this.#kinds[0]!;
  }

  #count(name: string, by: number): void {
    const count = (this.#present.get(name) ?? 0) + by;
    if (count === 0) this.#present.delete(name);
    else this.#present.set(name, count);
  }
}
