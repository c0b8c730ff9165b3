import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js';

/** Largest latency in microseconds, one hour. Histograms keep three digits. */
const LONGEST = 3.6e9;

/** The number of failures of a kind, with the first one as an example. */
export interface Failure {
  readonly count: number;
  readonly example: string;
}

/** A {@link Tally} as JSON, for another process. */
export interface TallyRecord {
  readonly due: number;
  readonly skipped: number;
  readonly sent: number;
  readonly echoed: number;
  readonly givenUp: number;
  readonly seconds: readonly number[];
  readonly late: string;
  readonly latency: string;
  readonly failures: Readonly<Record<string, Failure>>;
}

/** The counts of a load. */
export class Tally {
  /** Messages that became due, at a fixed rate. */
  due = 0;
  /** Messages planned for connections that did not open, or had ended. */
  skipped = 0;
  sent = 0;
  /** Correct echoes, without late ones. */
  echoed = 0;
  /** Messages without an echo in time. Their latency is at least the time waited. */
  givenUp = 0;
  /** Echoes in each second of the load, until {@link stop}. */
  readonly seconds: number[] = [];
  #stopped = false;
  /** Latency in microseconds, of echoes and of given-up messages. */
  readonly latency: Histogram = histogram();
  /**
   * Delay of the load itself in microseconds: planned to actual sending, where no limit held a
   * message back.
   */
  readonly late: Histogram = histogram();
  readonly failures = new Map<string, Failure>();

  /** Counts an echo at `atMs` after the start with a latency of `tookMs`. */
  echo(atMs: number, tookMs: number): void {
    this.echoed++;
    this.latency.recordValue(microseconds(tookMs));
    if (this.#stopped) return;
    const second = Math.max(0, Math.floor(atMs / 1000));
    while (this.seconds.length <= second) this.seconds.push(0);
    this.seconds[second]!++;
  }

  /** Counts a message that was given up after `tookMs`. */
  giveUp(tookMs: number): void {
    this.givenUp++;
    this.latency.recordValue(microseconds(tookMs));
  }

  /** Ends the throughput: later echoes count for latency only. */
  stop(): void {
    this.#stopped = true;
  }

  /** Counts a message that was sent `lateMs` after its planned moment. */
  left(lateMs: number): void {
    this.late.recordValue(microseconds(lateMs));
  }

  /** Counts a failure. */
  fail(kind: string, example: string, count = 1): void {
    if (count === 0) return;
    const known = this.failures.get(kind);
    this.failures.set(kind, {
      count: (known?.count ?? 0) + count,
      example: known?.example ?? example,
    });
  }

  /** Number of failures of all kinds. */
  get errors(): number {
    return [...this.failures.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /** Adds the counts of another process. */
  add(record: TallyRecord): void {
    this.due += record.due;
    this.skipped += record.skipped;
    this.sent += record.sent;
    this.echoed += record.echoed;
    this.givenUp += record.givenUp;
    record.seconds.forEach((count, second) => {
      this.seconds[second] = (this.seconds[second] ?? 0) + count;
    });
    this.late.add(decodeFromCompressedBase64(record.late));
    this.latency.add(decodeFromCompressedBase64(record.latency));
    for (const [kind, { count, example }] of Object.entries(record.failures)) {
      this.fail(kind, example, count);
    }
  }

  /** The counts for {@link add} in another process. */
  record(): TallyRecord {
    return {
      due: this.due,
      skipped: this.skipped,
      sent: this.sent,
      echoed: this.echoed,
      givenUp: this.givenUp,
      seconds: this.seconds,
      late: encodeIntoCompressedBase64(this.late),
      latency: encodeIntoCompressedBase64(this.latency),
      failures: Object.fromEntries(this.failures),
    };
  }
}

function histogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: LONGEST,
    numberOfSignificantValueDigits: 3,
  });
}

function microseconds(ms: number): number {
  return Math.min(LONGEST, Math.max(1, Math.round(ms * 1000)));
}
