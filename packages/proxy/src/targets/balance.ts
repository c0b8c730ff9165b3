import { createHash } from 'node:crypto';
import type { Backend } from './target.ts';

/** The built-in ways to choose one of several targets. */
export type BalanceName = 'round-robin' | 'least' | 'two-choices';

/** Chooses one of the targets that are up. The list is not empty. */
export const BALANCES: Readonly<Record<BalanceName, (up: readonly Backend[]) => Backend>> = {
  'round-robin': roundRobin,
  least: (up) => up.reduce(lessLoaded),
  'two-choices': twoChoices,
};

/** Smooth weighted round robin: weights 2 and 1 give a, b, a and not a, a, b. */
function roundRobin(up: readonly Backend[]): Backend {
  let total = 0;
  let best = up[0]!;
  for (const backend of up) {
    backend.credit += backend.weight;
    total += backend.weight;
    if (backend.credit > best.credit) best = backend;
  }
  best.credit -= total;
  return best;
}

/** Two at random, of which the less loaded: nearly as even as `least`, and no herd after a restart. */
function twoChoices(up: readonly Backend[]): Backend {
  const first = Math.floor(Math.random() * up.length);
  const other = (first + 1 + Math.floor(Math.random() * (up.length - 1))) % up.length;
  return lessLoaded(up[first]!, up[other]!);
}

function lessLoaded(a: Backend, b: Backend): Backend {
  return b.open / b.weight < a.open / a.weight ? b : a;
}

/**
 * Chooses by rendezvous hash: a key keeps its target while that is up, and when a target leaves,
 * only its own keys move.
 */
export function stickyChoice(up: readonly Backend[], key: string): Backend {
  let best = up[0]!;
  let highest = -Infinity;
  for (const backend of up) {
    const score = backend.weight / -Math.log(fraction(`${backend.url}\n${key}`));
    if (score > highest) {
      highest = score;
      best = backend;
    }
  }
  return best;
}

/** Maps text to a number above 0 and below 1, evenly. */
function fraction(text: string): number {
  const bits = createHash('sha1').update(text).digest().readUIntBE(0, 6);
  return (bits + 0.5) / 2 ** 48;
}
