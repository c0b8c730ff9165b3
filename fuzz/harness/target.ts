/** A part of the library that the fuzzer feeds with bytes. */
export interface Target {
  readonly name: string;
  /** One line: what the target compares. */
  readonly description: string;
  /** Parts of file paths. The fuzzer counts edges in files whose path contains one of them. */
  readonly covers: readonly string[];
  /** Longest input, in bytes. */
  readonly maxLength: number;
  /** Words of the format. The fuzzer inserts them. */
  readonly dictionary: readonly Uint8Array[];
  /** Separators of the format. The fuzzer moves, repeats and removes the pieces between them. */
  readonly separators: readonly Uint8Array[];
  /** First inputs, besides the corpus. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Runs one input and checks the result. Keeps no state.
   *
   * @param input - Borrowed and read-only.
   * @throws Any error: it is a finding.
   */
  run(input: Uint8Array): void | Promise<void>;
}

/** A module that exports targets. */
export interface TargetList {
  readonly targets: readonly Target[];
}

/** Copies arrays of bytes, and strings with one byte for each character (Latin-1). */
export function bytesOf(...list: (string | readonly number[] | Uint8Array)[]): Uint8Array[] {
  return list.map((one) =>
    Uint8Array.from(typeof one === 'string' ? Buffer.from(one, 'latin1') : one),
  );
}

/** Throws unless `holds`. Cheaper than an assertion library: targets call it millions of times. */
export function ensure(holds: boolean, claim: string): asserts holds {
  if (!holds) throw new Error(`does not hold: ${claim}`);
}

/** Throws unless both are the same string, number or undefined. */
export function ensureSame(actual: unknown, expected: unknown, what: string): void {
  if (actual !== expected) {
    throw new Error(
      `${what}: actual ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`,
    );
  }
}
