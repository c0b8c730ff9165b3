import { generator, shuffled } from './random.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** The readings of one window, by metric. */
export type Reading = Readonly<Record<string, number>>;

/** A contender in a fresh process. */
export interface Running {
  /** What `ws` masks with in this process: `JS`, `bufferutil` or `Node`. */
  readonly mask?: string | undefined;
  /** Measures one window of about `ms` milliseconds. */
  window(ms: number): Promise<Reading>;
  end(): Promise<unknown>;
}

/** One kind of work, and the contenders that do it. */
export interface Contest {
  readonly name: string;
  readonly contenders: readonly string[];
  /** Why this machine cannot run it. Default: it can. */
  readonly lacks?: string | undefined;
  /** Whether the contenders run one after the other, for want of open files or memory. */
  readonly alone?: boolean;
  /** Whether one window without a warm-up is the whole measurement of a process. */
  readonly once?: boolean;
  /** Starts a contender in a fresh process. */
  start(contender: string): Promise<Running>;
}

/** A contest whose contenders share a process. */
export interface SharedContest {
  readonly name: string;
  /** Measures all contenders in a fresh process: a list of rounds for each metric. */
  measure(rounds: number): Promise<{
    readonly readings: Readonly<Record<string, Readonly<Record<string, number[]>>>>;
    readonly masks: Readonly<Record<string, string>>;
  }>;
}

/** The extent of a measurement. */
export interface Plan {
  /** Fresh processes of each contender. */
  readonly processes: number;
  /** Windows of each process. */
  readonly rounds: number;
  readonly ms: number;
  readonly warmUpMs: number;
  /** Seed of the order of the contenders. */
  readonly seed: number;
}

/** The readings of one contender: for each metric and each process, a list of windows. */
type Readings = Readonly<Record<string, readonly (readonly number[])[]>>;

/** A measured contest. */
export interface ContestResult {
  readonly name: string;
  readonly readings: Readonly<Record<string, Readings>>;
  /** What each contender of `ws` masked with. */
  readonly masks: Readonly<Record<string, string>>;
}

/** Ms until a fresh process can be measured, about. */
const START_MS = 800;
/** Ms of a round of contenders that share a process, about. */
const SHARED_ROUND_MS = 100;

/** Ms that a contest takes, about: the sum of what {@link runContest} reports as progress. */
export function workOf(contest: Contest | SharedContest, plan: Plan): number {
  return plan.processes * processWork(contest, plan);
}

function processWork(contest: Contest | SharedContest, { rounds, ms, warmUpMs }: Plan): number {
  if ('measure' in contest) return START_MS + rounds * SHARED_ROUND_MS;
  const each = contest.once === true ? ms : warmUpMs + rounds * ms;
  return contest.contenders.length * (START_MS + each);
}

/**
 * Measures a contest. Each generation of processes is fresh.
 *
 * @param progress - Called after each part, with its share of {@link workOf}.
 */
export async function runContest(
  contest: Contest | SharedContest,
  plan: Plan,
  progress: (work: number) => void = () => {},
): Promise<ContestResult> {
  const result = new Recorder(contest.name);
  const random = generator(plan.seed);
  for (let process = 0; process < plan.processes; process++) {
    if ('measure' in contest) {
      const { readings, masks } = await contest.measure(plan.rounds);
      Object.assign(result.masks, masks);
      for (const [name, metrics] of Object.entries(readings)) {
        for (const [metric, values] of Object.entries(metrics)) {
          for (const value of values) result.record(name, process, { [metric]: value });
        }
      }
      progress(processWork(contest, plan));
      continue;
    }
    // In this order in all tables.
    for (const name of contest.contenders) result.readings[name] ??= {};
    const order = shuffled(contest.contenders, random);
    for (const names of contest.alone === true ? order.map((name) => [name]) : [order]) {
      await runGeneration(contest, names, process, plan, random, result, progress);
    }
  }
  return result;
}

/** Readings by contender, metric and process. */
class Recorder implements ContestResult {
  readonly readings: Record<string, Record<string, number[][]>> = {};
  readonly masks: Record<string, string> = {};
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  record(contender: string, process: number, reading: Reading): void {
    const metrics = (this.readings[contender] ??= {});
    for (const [metric, value] of Object.entries(reading)) {
      ((metrics[metric] ??= [])[process] ??= []).push(value);
    }
  }
}

/** Measures contenders side by side: in each round every one has a window, in a shuffled order. */
async function runGeneration(
  contest: Contest,
  names: readonly string[],
  process: number,
  { rounds, ms, warmUpMs }: Plan,
  random: () => number,
  result: Recorder,
  progress: (work: number) => void,
): Promise<void> {
  const running = new Map<string, Running>();
  try {
    for (const name of names) {
      const started = await contest.start(name);
      running.set(name, started);
      if (started.mask !== undefined) result.masks[name] = started.mask;
      progress(START_MS);
    }
    if (contest.once !== true) {
      for (const one of running.values()) {
        await one.window(warmUpMs);
        progress(warmUpMs);
      }
    }
    for (let round = 0; round < (contest.once === true ? 1 : rounds); round++) {
      for (const name of shuffled(names, random)) {
        result.record(name, process, await running.get(name)!.window(ms));
        progress(ms);
      }
    }
  } finally {
    await Promise.all([...running.values()].map((one) => one.end()));
  }
}

/**
 * A metric of a contender over its processes, each with the median of its windows. One process has
 * the spread of its windows.
 */
export function spreadOver(
  { readings }: ContestResult,
  contender: string,
  metric: string,
): Spread | undefined {
  const processes = readings[contender]?.[metric];
  return processes && spreadOfProcesses(processes);
}

/**
 * `base / contender` of a cost: how many times as good the contender is. Divides within each round,
 * takes the median of a process, and the spread over the processes, or over the rounds of one.
 */
export function timesBase(
  { readings }: ContestResult,
  contender: string,
  base: string,
  metric: string,
): Spread | undefined {
  const own = readings[contender]?.[metric];
  const others = readings[base]?.[metric];
  if (own === undefined || others === undefined) return undefined;
  return spreadOfProcesses(
    own.map((windows, process) => windows.map((cost, round) => others[process]![round]! / cost)),
  );
}

function spreadOfProcesses(processes: readonly (readonly number[])[]): Spread {
  const [only, second] = processes;
  if (only !== undefined && second === undefined) return spreadOf(only);
  return spreadOf(processes.map((windows) => spreadOf(windows).median));
}
