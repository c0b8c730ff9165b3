import {
  build,
  decodeFromCompressedBase64,
  encodeIntoCompressedBase64,
  type Histogram,
} from 'hdr-histogram-js';

/** Latencies are kept in microseconds, to three digits, up to an hour. */
const LONGEST = 3.6e9;

/** How often something went wrong, and what it looked like the first time. */
export interface Failure {
  readonly count: number;
  readonly example: string;
}

/** A {@link Tally} as it travels between processes. */
export interface TallyRecord {
  readonly due: number;
  readonly unmanned: number;
  readonly sent: number;
  readonly echoed: number;
  readonly givenUp: number;
  readonly seconds: readonly number[];
  readonly late: string;
  readonly latency: string;
  readonly failures: Readonly<Record<string, Failure>>;
}

/** What a load has counted. */
export class Tally {
  /** Messages that became due, at a fixed rate. */
  due = 0;
  /** Messages that were to become due on connections that had not opened, or had ended. */
  unmanned = 0;
  sent = 0;
  /** Echoes of what was sent, late ones not among them. */
  echoed = 0;
  /** Messages whose latency is only known to be longer than they were waited for. */
  givenUp = 0;
  /** Echoes in each second since the load began, until {@link stop}. */
  readonly seconds: number[] = [];
  #stopped = false;
  /** In microseconds; of echoes, and of what was given up. */
  readonly latency: Histogram = histogram();
  /** How much later than planned messages left though nothing held them back, in microseconds: the load's own delay. */
  readonly late: Histogram = histogram();
  readonly failures = new Map<string, Failure>();

  /** An echo that came `atMs` after the load began, and took `tookMs`. */
  echo(atMs: number, tookMs: number): void {
    this.echoed++;
    this.latency.recordValue(microseconds(tookMs));
    if (this.#stopped) return;
    const second = Math.max(0, Math.floor(atMs / 1000));
    while (this.seconds.length <= second) this.seconds.push(0);
    this.seconds[second]!++;
  }

  /** A message that had not come back when it was given up, having taken so long by then. */
  giveUp(tookMs: number): void {
    this.givenUp++;
    this.latency.recordValue(microseconds(tookMs));
  }

  /** Nothing is sent any more: the echoes that still come say nothing about throughput. */
  stop(): void {
    this.#stopped = true;
  }

  /** A message that left so much later than planned. */
  left(lateMs: number): void {
    this.late.recordValue(microseconds(lateMs));
  }

  /** Something went wrong. */
  fail(kind: string, example: string, count = 1): void {
    if (count === 0) return;
    const known = this.failures.get(kind);
    this.failures.set(kind, {
      count: (known?.count ?? 0) + count,
      example: known?.example ?? example,
    });
  }

  /** Everything that went wrong. */
  get errors(): number {
    return [...this.failures.values()].reduce((sum, { count }) => sum + count, 0);
  }

  /** Counts in what another process has counted. */
  add(record: TallyRecord): void {
    this.due += record.due;
    this.unmanned += record.unmanned;
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

  /** For another process to {@link add}. */
  record(): TallyRecord {
    return {
      due: this.due,
      unmanned: this.unmanned,
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
