import { type Profiler, Session } from 'node:inspector';

/** Whether a {@link Coverage} has run in this thread. */
let used = false;

/** The edges of one function: offsets where a block begins or ends, with their counts. */
interface FunctionCoverage {
  /** Offsets in the file, in order of discovery. */
  readonly offsets: number[];
  /** Counts of each offset: one bit for each class of {@link bucketOf}, or {@link ANY}. */
  readonly counts: number[];
}

/** What ran between two readings. */
export interface Reading {
  /** Number of offsets that no earlier reading has. */
  readonly learned: number;
  /** Functions that ran, with their ranges. */
  readonly functions: readonly (readonly [FunctionCoverage, readonly Profiler.CoverageRange[]])[];
}

/**
 * Precise coverage of V8, read through `node:inspector`.
 *
 * V8 reports ranges of text with a count, and joins neighbours with equal counts. The ranges
 * therefore depend on the counts. An edge is an offset where a range began or ended at least once;
 * its count is the count of the innermost range around it.
 */
export class Coverage {
  /** Number of edges that ran. */
  edges = 0;
  readonly #covers: readonly string[];
  readonly #session: Session = new Session();
  /** Functions by V8's script id; undefined for a script outside `covers`. */
  readonly #scripts = new Map<string, Map<number, FunctionCoverage> | undefined>();

  /**
   * @param covers - Parts of file paths. Only files whose path contains one of them count. Without
   *   any, V8's coverage stays off.
   */
  constructor(covers: readonly string[]) {
    this.#covers = covers;
  }

  /**
   * Starts to count.
   *
   * @throws Error for the second Coverage of a thread. V8 compiles block counters into a function
   *   once: after a restart, most functions report one block. A corpus selected with such counts
   *   loses inputs. Start a new worker instead.
   */
  start(): void {
    if (this.#covers.length === 0) return;
    if (used) throw new Error('coverage has run in this thread; start a new worker');
    used = true;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.forget();
  }

  stop(): void {
    if (this.#covers.length === 0) return;
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.post('Profiler.disable');
    this.#session.disconnect();
  }

  /** Discards the counts so far. */
  forget(): void {
    this.#session.post('Profiler.takePreciseCoverage');
  }

  /**
   * Reads and counts what ran since the last call.
   *
   * @returns As {@link count}.
   */
  take(exact: boolean): number {
    return this.count(this.read(), exact);
  }

  /** Reads what ran since the last call. The offsets of its edges are known from then on. */
  read(): Reading {
    const ran: [FunctionCoverage, Profiler.CoverageRange[]][] = [];
    let learned = 0;
    if (this.#covers.length === 0) return { learned, functions: ran };
    // A session in the same thread calls back synchronously.
    this.#session.post('Profiler.takePreciseCoverage', (error, coverage) => {
      if (error !== null) throw error;
      for (const script of coverage.result) {
        const functions = this.#functionsOf(script);
        if (functions === undefined) continue;
        for (const { ranges } of script.functions) {
          if (ranges[0]!.count === 0) continue;
          const seen = functionOf(functions, ranges[0]!);
          learned += learnOffsets(seen, ranges);
          ran.push([seen, ranges]);
        }
      }
    });
    return { learned, functions: ran };
  }

  /**
   * Counts the edges of a reading.
   *
   * @param exact - True if one input ran: the counts matter then. False after a batch.
   * @returns Number of edges that are new, or whose count falls into a new class.
   */
  count({ functions }: Reading, exact: boolean): number {
    let added = 0;
    for (const [seen, ranges] of functions) added += this.#count(seen, ranges, exact);
    return added;
  }

  #functionsOf({
    scriptId,
    url,
  }: Profiler.ScriptCoverage): Map<number, FunctionCoverage> | undefined {
    if (!this.#scripts.has(scriptId)) {
      const counts = this.#covers.some((part) => url.includes(part));
      this.#scripts.set(scriptId, counts ? new Map() : undefined);
    }
    return this.#scripts.get(scriptId);
  }

  #count(
    seen: FunctionCoverage,
    ranges: readonly Profiler.CoverageRange[],
    exact: boolean,
  ): number {
    let added = 0;
    for (let i = 0; i < seen.offsets.length; i++) {
      const offset = seen.offsets[i]!;
      let count = 0;
      // Ranges are nested, outer first: the last range around the offset is the innermost.
      for (const range of ranges) {
        if (range.startOffset <= offset && offset < range.endOffset) count = range.count;
      }
      if (count === 0) continue;
      const before = seen.counts[i]!;
      if (before === 0) this.edges++;
      const bit = exact ? 1 << bucketOf(count) : ANY;
      if (exact ? (before & bit) === 0 : before === 0) added++;
      seen.counts[i] = before | bit;
    }
    return added;
  }
}

/** The edge ran, with an unknown count. */
const ANY = 1 << 8;

function functionOf(
  functions: Map<number, FunctionCoverage>,
  { startOffset, endOffset }: Profiler.CoverageRange,
): FunctionCoverage {
  const id = startOffset * 2 ** 24 + endOffset;
  let seen = functions.get(id);
  if (seen === undefined) {
    seen = { offsets: [], counts: [] };
    functions.set(id, seen);
  }
  return seen;
}

/** Adds the offsets where ranges begin and end. Returns how many are new. */
function learnOffsets(
  { offsets, counts }: FunctionCoverage,
  ranges: readonly Profiler.CoverageRange[],
): number {
  const before = offsets.length;
  const end = ranges[0]!.endOffset;
  for (const { startOffset, endOffset } of ranges) {
    for (const offset of [startOffset, endOffset]) {
      if (offset === end || offsets.includes(offset)) continue;
      offsets.push(offset);
      counts.push(0);
    }
  }
  return offsets.length - before;
}

/** Class of a count: 1, 2, 3, then up to 7, 15, 31, 127, and more. */
function bucketOf(count: number): number {
  if (count < 4) return count - 1;
  if (count < 8) return 3;
  if (count < 16) return 4;
  if (count < 32) return 5;
  return count < 128 ? 6 : 7;
}
