// Runs in the thread of each test file, before it.
import { afterAll, afterEach, beforeEach, inject } from 'vitest';
import type { Meter } from './meters.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Turns of loops that one test file may take. */
    readonly limit: number;
  }
  interface TaskMeta {
    /** Regions that a test has run, or a file outside its tests. */
    regions?: number[];
    turns?: number;
    endless?: boolean;
  }
}

const meter: Meter = {
  hits: new Uint8Array(1 << 16),
  turns: 0,
  limit: inject('limit'),
  endless: false,
  stop() {
    meter.endless = true;
    throw new Error('a loop without end');
  },
};
Object.assign(globalThis, { __meter: meter });

/** What ran while no test did: at import, in hooks, late. */
const outside = new Set<number>();

function takeHits(): number[] {
  const taken: number[] = [];
  for (let i = meter.hits.indexOf(1); i >= 0; i = meter.hits.indexOf(1, i + 1)) taken.push(i);
  meter.hits.fill(0);
  return taken;
}

beforeEach(() => {
  for (const region of takeHits()) outside.add(region);
});

afterEach(({ task }) => {
  task.meta.regions = takeHits();
});

// oxlint-disable-next-line no-empty-pattern -- vitest reads the parameter list
afterAll(({}, file) => {
  for (const region of takeHits()) outside.add(region);
  file.meta.regions = [...outside];
  file.meta.turns = meter.turns;
  file.meta.endless = meter.endless;
});
