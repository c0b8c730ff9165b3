// The suites of a hub again, over the engine of a cluster.
import type * as Testing from '@ws/hub/testing';
import { describe, vi } from 'vitest';

/** Not here: `resume-parts`, whose parts are those of an engine without a bound of its answers. */
const SUITES = [
  // Takes minutes after the other suites, and seconds before them.
  '../serve-rooms/state-random',
  '../answer-order',
  '../backplane',
  '../backplane-faults',
  '../everywhere/everywhere',
  '../history-parts',
  '../history-reads',
  '../history-start',
  '../own-messages',
  '../owners',
  '../presence/by-others',
  '../presence/first-up',
  '../presence/hostile',
  '../presence/long-loss',
  '../presence/presence',
  '../presence/presence-random',
  '../random-faults',
  '../rooms/resume',
  '../rooms/resume-bounds',
  '../rooms/resume-by-others',
  '../rooms/resume-ends',
  '../rooms/resume-hostile',
  '../rooms/resume-random',
  '../rooms/resume-states',
  '../serve-rooms/hostile',
  '../serve-rooms/members',
  '../serve-rooms/poison',
  '../serve-rooms/publish',
  '../serve-rooms/rooms-random',
  '../serve-rooms/serve-rooms',
  '../serve-rooms/stamp',
  '../serve-rooms/state',
  '../serve-rooms/state-by-others',
  '../serve-rooms/too-long',
  '../serve-rooms/without-position',
  '../silent-losses',
] as const;

vi.mock('@ws/hub/testing', async (importActual) => {
  const { MemoryBroker, memoryBackplane } = await importActual<typeof Testing>();
  // Loads the code of a hub with a backplane: tests need not wait for it.
  memoryBackplane(new MemoryBroker());
  return import('./testing.ts');
});

// Many suites have a clock that stops, and with it the turns between two batches.
vi.mock('../../src/cluster/batches.ts', () => ({
  Batches: class {
    readonly droppableBytes = 0;
    readonly #send: (batch: unknown[], sent: () => void) => void;
    #waiting: unknown[] = [];

    constructor(send: (batch: unknown[], sent: () => void) => void) {
      this.#send = send;
    }

    add(item: unknown): void {
      if (this.#waiting.push(item) > 1) return;
      queueMicrotask(() => this.#send(this.#waiting.splice(0), () => {}));
    }
  },
}));

describe.each(SUITES)('over the broker of a cluster: %s', async (suite) => {
  await import(`${suite}.test.ts`);
});
