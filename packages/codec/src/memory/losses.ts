/** Whether memory of a pool is leased now. */
export type Lent = { lent: boolean };

/**
 * Counts the leases of a pool that were lost: the user of the memory became garbage without a
 * release. A pool refers to its free memory, so only leased memory becomes garbage.
 */
export class Losses {
  count = 0;
  readonly #registry: FinalizationRegistry<Lent> | undefined;

  constructor() {
    // Hermes may have none.
    if (typeof FinalizationRegistry !== 'function') return;
    this.#registry = new FinalizationRegistry(({ lent }) => {
      if (lent) this.count++;
    });
  }

  /** Counts a loss if `memory` becomes garbage while `state` says that it is lent. */
  watch(memory: object, state: Lent): void {
    this.#registry?.register(memory, state);
  }
}
