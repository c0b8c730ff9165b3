import type { Watch } from '../../src/hostile/index.ts';

const UNHEARD: Watch = { sent() {}, weigh() {}, held: () => 0 };

/**
 * Does an attack some times before it is measured, and gives it back: for those that go through so much of Node that it
 * takes some rounds until all is there that is made once. Cheaper than rounds, since nothing is weighed.
 */
export async function warm<T>(
  attack: (watch: Watch) => Promise<T>,
  times = 10,
): Promise<(watch: Watch) => Promise<T>> {
  for (let i = 0; i < times; i++) await attack(UNHEARD);
  return attack;
}
