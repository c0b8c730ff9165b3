import { UsageError } from '../command-line/usage-error.ts';

/** A part of a load, in which users come or leave at a steady pace. */
export interface Stage {
  readonly ms: number;
  /** Users at the end of the stage. */
  readonly connections: number;
  /** Turns per second of all users together at the end of the stage. All stages have one, or none. */
  readonly rate?: number | undefined;
}

/** The stages of a load, and what it begins with. */
export interface Stages {
  readonly stages: readonly Stage[];
  /** Users at the start. */
  readonly connections: number;
  /** Turns per second at the start. */
  readonly rate: number;
}

/** A load without ramps. */
export function steady(ms: number, connections: number, rate: number | undefined): Stages {
  return { stages: [{ ms, connections, rate }], connections, rate: rate ?? 0 };
}

/** A load that begins with nothing. */
export function ramps(stages: readonly Stage[]): Stages {
  if (new Set(stages.map(({ rate }) => rate === undefined)).size > 1) {
    throw new UsageError('stages: give a rate to each stage or to none');
  }
  return { stages, connections: 0, rate: 0 };
}

export function durationOf({ stages }: Stages): number {
  return stages.reduce((sum, { ms }) => sum + ms, 0);
}

/** The number of users at a moment in ms. A ramp from none begins with one at once. */
export function connectionsAt(plan: Stages, ms: number): number {
  let [start, from] = [0, plan.connections];
  for (const stage of plan.stages) {
    if (ms < start + stage.ms) {
      return Math.ceil(from + ((stage.connections - from) * (ms - start)) / stage.ms);
    }
    start += stage.ms;
    from = stage.connections;
  }
  return from;
}

/**
 * The planned moments in ms of all turns; none without a rate. In a stage the rate changes from `a`
 * to `b`, so turn `k` of the stage comes when the integral of the rate is `k`.
 */
export function* moments({ stages, rate: first }: Stages): Generator<number> {
  let [start, from, turn, before] = [0, first, 0, 0];
  for (const { ms, rate } of stages) {
    if (rate === undefined) return;
    const [a, slope] = [from / 1000, (rate - from) / 1000 / ms];
    const after = before + (ms * (from + rate)) / 2000;
    for (; turn < after; turn++) {
      const k = turn - before;
      const root = Math.sqrt(Math.max(0, a * a + 2 * slope * k));
      yield start + (k === 0 ? 0 : (2 * k) / (a + root));
    }
    before = after;
    start += ms;
    from = rate;
  }
}
