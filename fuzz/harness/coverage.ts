import { type Profiler, Session } from 'node:inspector';

/** A function of a file that counts: the places in it where blocks begin or end, and what was seen of each. */
interface Seen {
  /** Offsets in the file, in the order in which they came up. */
  readonly offsets: number[];
  /** For each of them the counts that were seen, as a bit for each class of {@link bucketOf}. */
  readonly counts: number[];
}

/**
 * What code has run, asked of V8 through `node:inspector`.
 *
 * V8 tells ranges of text with a count for each, and joins those that have the same count: which ranges there are depends
 * on the counts. So each place where a range ever began or ended is an edge of its own, and its count is that of the
 * innermost range around it.
 */
export class Coverage {
  /** How many places have run. */
  edges = 0;
  readonly #covers: readonly string[];
  readonly #session: Session = new Session();
  /** By V8's number of the script; undefined for a script that does not count. */
  readonly #scripts = new Map<string, Map<number, Seen> | undefined>();

  /** @param covers - Parts of the paths of the files that count. */
  constructor(covers: readonly string[]) {
    this.#covers = covers;
  }

  start(): void {
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    this.forget();
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage');
    this.#session.post('Profiler.disable');
    this.#session.disconnect();
  }

  /** What has run so far does not count. */
  forget(): void {
    this.#session.post('Profiler.takePreciseCoverage');
  }

  /**
   * Reads what has run since the last call.
   *
   * @param exact - Whether it was one input: only then how often something has run is worth something.
   * @returns How many edges had never been seen, or never so often.
   */
  take(exact: boolean): number {
    let news = 0;
    // In the same thread the session answers within the call.
    this.#session.post('Profiler.takePreciseCoverage', (error, coverage) => {
      if (error !== null) throw error;
      for (const script of coverage.result) {
        const functions = this.#functionsOf(script);
        if (functions === undefined) continue;
        for (const one of script.functions) news += this.#look(functions, one.ranges, exact);
      }
    });
    return news;
  }

  #functionsOf({ scriptId, url }: Profiler.ScriptCoverage): Map<number, Seen> | undefined {
    if (!this.#scripts.has(scriptId)) {
      const counts = this.#covers.some((part) => url.includes(part));
      this.#scripts.set(scriptId, counts ? new Map() : undefined);
    }
    return this.#scripts.get(scriptId);
  }

  #look(
    functions: Map<number, Seen>,
    ranges: readonly Profiler.CoverageRange[],
    exact: boolean,
  ): number {
    const whole = ranges[0]!;
    if (whole.count === 0) return 0;
    const id = whole.startOffset * 2 ** 24 + whole.endOffset;
    let seen = functions.get(id);
    if (seen === undefined) {
      seen = { offsets: [], counts: [] };
      functions.set(id, seen);
    }
    for (const { startOffset, endOffset } of ranges) {
      learn(seen, startOffset);
      if (endOffset < whole.endOffset) learn(seen, endOffset);
    }
    return this.#count(seen, ranges, exact);
  }

  #count(seen: Seen, ranges: readonly Profiler.CoverageRange[], exact: boolean): number {
    let news = 0;
    for (let i = 0; i < seen.offsets.length; i++) {
      const offset = seen.offsets[i]!;
      let count = 0;
      // The ranges are nested, outer ones first: the last that holds the offset is the innermost.
      for (const range of ranges) {
        if (range.startOffset <= offset && offset < range.endOffset) count = range.count;
      }
      if (count === 0) continue;
      const before = seen.counts[i]!;
      if (before === 0) this.edges++;
      const bit = exact ? 1 << bucketOf(count) : ANY;
      if (exact ? (before & bit) === 0 : before === 0) news++;
      seen.counts[i] = before | bit;
    }
    return news;
  }
}

/** Seen, nobody knows how often. */
const ANY = 1 << 8;

function learn(seen: Seen, offset: number): void {
  if (seen.offsets.includes(offset)) return;
  seen.offsets.push(offset);
  seen.counts.push(0);
}

/** 1, 2, 3, up to 7, 15, 31, 127, and more. */
function bucketOf(count: number): number {
  if (count < 4) return count - 1;
  if (count < 8) return 3;
  if (count < 16) return 4;
  if (count < 32) return 5;
  return count < 128 ? 6 : 7;
}
