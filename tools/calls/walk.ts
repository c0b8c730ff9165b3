/** Something that runs once for each call of `step`. */
export interface Walk {
  /** What a step needs first. It is not counted. */
  prepare?(): Promise<void>;
  /** Resolves when everything that belongs to it has run. */
  step(): Promise<void>;
  end(): Promise<void>;
}

/** A few turns of the event loop, in which microtasks and callbacks of writes run. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}
