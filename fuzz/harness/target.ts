/** Something that is fed broken bytes. */
export interface Target {
  readonly name: string;
  /** What it holds together, in a line. */
  readonly says: string;
  /** Whose lines count as found: parts of their files' paths, such as `packages/codec/src/`. */
  readonly covers: readonly string[];
  /** Longest input, in bytes. */
  readonly maxLength: number;
  /** What the format is made of: the fuzzer inserts these. */
  readonly dictionary: readonly Uint8Array[];
  /** What stands between two pieces of the format: the fuzzer moves, doubles and drops the pieces. */
  readonly separators: readonly Uint8Array[];
  /** Inputs to begin with, besides those of the corpus. */
  readonly seeds: readonly Uint8Array[];
  /**
   * Runs one input and judges what came of it. Keeps nothing.
   *
   * @param input - Borrowed: not to be changed.
   * @throws whatever it finds.
   */
  run(input: Uint8Array): void | Promise<void>;
}

/** A module that lists targets. */
export interface TargetList {
  readonly targets: readonly Target[];
}

/** Bytes of texts, each character one byte, or of arrays of bytes. */
export function bytesOf(...list: (string | readonly number[] | Uint8Array)[]): Uint8Array[] {
  return list.map((one) =>
    Uint8Array.from(typeof one === 'string' ? Buffer.from(one, 'latin1') : one),
  );
}

/** Throws unless `holds`; for what is asked a million times. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`not so: ${what}`);
}

/** As {@link must}, for two values that are to be the same text or number. */
export function same(ours: unknown, theirs: unknown, what: string): void {
  if (ours !== theirs) {
    throw new Error(`${what}: ours ${JSON.stringify(ours)}, theirs ${JSON.stringify(theirs)}`);
  }
}
