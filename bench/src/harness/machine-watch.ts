import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContestResult } from './runner.ts';
import { percentile, spreadOf } from './statistics.ts';

/** Duration in ms of the sample before a measurement. */
const SAMPLE_MS = 300;
/** Milliseconds of a tick in /proc. */
const TICK_MS = 10;
/** Share of all cores that other programs may use before a measurement. */
const MOST_BUSY = 0.15;
/** Cores that other programs may use during a measurement. */
const MOST_OTHERS = 0.25;
/** Share of all cores that the hypervisor may give to other machines. */
const MOST_STOLEN = 0.02;
/** Usual scatter of the windows of a process in one row: the middle half, as a share of the median. */
const MOST_SCATTER = 0.5;

const BUSY_BEFORE = 'the machine is busy before the measurement';

/** Whether a warning was printed before the measurement. */
export function isPrinted(warning: string): boolean {
  return warning.startsWith(BUSY_BEFORE);
}

/** CPU time of all cores since the start of the machine, in ms. */
export interface CpuTimes {
  readonly busy: number;
  readonly idle: number;
  /** Time that the hypervisor gave to other machines. Linux alone reports it. */
  readonly steal: number;
}

/** The use of the machine during a measurement. */
interface UseDuring {
  readonly cores: number;
  /** Cores that other programs used; undefined when that is not known. */
  readonly others: number | undefined;
  /** Share of all cores that the hypervisor gave to other machines. */
  readonly stolen: number;
  /** Usual scatter of the readings of a process, by row. */
  readonly scatter: readonly (readonly [row: string, share: number])[];
}

/** Warns before and after a measurement when other work on the machine disturbs it. */
export class MachineWatch {
  /** What was said before the measurement. */
  readonly #before: readonly string[];
  readonly #since = performance.now();
  readonly #times = cpuTimes();
  readonly #own = ownTime();

  private constructor(before: readonly string[]) {
    this.#before = before;
  }

  /** Samples the machine before the measurement, and prints a warning when it is busy. */
  static async start(): Promise<MachineWatch> {
    const before = cpuTimes();
    await sleep(SAMPLE_MS);
    const { busy, all } = between(before, cpuTimes());
    const warnings = warningsBefore(all === 0 ? 0 : busy / all);
    for (const line of warnings) process.stderr.write(`warning: ${line}\n`);
    return new MachineWatch(warnings);
  }

  /**
   * All warnings, for the report.
   *
   * @param results - The readings; their spread shows what CPU times do not.
   * @param targetIsOther - Whether the measured program is not a child of this process, so that its
   *   CPU says nothing about other programs.
   */
  end(results: readonly ContestResult[], targetIsOther = false): string[] {
    const { busy, steal, all } = between(this.#times, cpuTimes());
    const own = ownTime();
    const known = !targetIsOther && own !== undefined && this.#own !== undefined;
    const during = warningsDuring({
      cores: availableParallelism(),
      others: known ? (busy - (own - this.#own)) / (performance.now() - this.#since) : undefined,
      stolen: all === 0 ? 0 : steal / all,
      scatter: results.map((result) => [result.name, scatterOf(result)]),
    });
    return [...this.#before, ...during];
  }
}

/** What to say before a measurement. @param busy - Share of all cores in use. */
function warningsBefore(busy: number): string[] {
  if (busy <= MOST_BUSY) return [];
  return [`${BUSY_BEFORE}: ${percent(busy)} of its CPU is in use`];
}

/** What to say after a measurement. */
function warningsDuring({ cores, others, stolen, scatter }: UseDuring): string[] {
  return [
    ...(others !== undefined && others > MOST_OTHERS
      ? [`other programs used ${others.toFixed(1)} of ${cores} cores during the measurement`]
      : []),
    ...(stolen > MOST_STOLEN
      ? [`the hypervisor gave ${percent(stolen)} of the CPU to other machines (steal)`]
      : []),
    ...scatter
      .filter(([, share]) => share > MOST_SCATTER)
      .map(
        ([row, share]) => `${row}: the readings of a process usually differ by ${percent(share)}`,
      ),
  ];
}

/**
 * The usual scatter of the windows of a process, by its first metric. Of three windows it is the range;
 * of many, rare collections do not count. 0 for single windows.
 */
function scatterOf({ readings }: ContestResult): number {
  const shares = Object.values(readings)
    .flatMap((metrics) => Object.values(metrics)[0] ?? [])
    .filter((windows) => windows.length > 1)
    .map((windows) => windows.toSorted((a, b) => a - b))
    .filter((sorted) => percentile(sorted, 0.5) > 0)
    .map(
      (sorted) => (percentile(sorted, 0.75) - percentile(sorted, 0.25)) / percentile(sorted, 0.5),
    );
  return shares.length === 0 ? 0 : spreadOf(shares).median;
}

/** The line `cpu` of /proc/stat. The times of a guest are in those of its user. */
function parseStat(stat: string): CpuTimes {
  const [, ...ticks] = stat.split('\n', 1)[0]!.trim().split(/\s+/).map(Number);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, steal = 0] =
    ticks.map((count) => count * TICK_MS);
  // Interrupts are work for any program, also for the measured one.
  return { busy: user + nice + system, idle: idle + wait + irq + softIrq, steal };
}

function cpuTimes(): CpuTimes {
  try {
    return parseStat(readFileSync('/proc/stat', 'utf8'));
  } catch {
    const times = cpus().map((cpu) => cpu.times);
    return {
      busy: times.reduce((sum, { user, nice, sys }) => sum + user + nice + sys, 0),
      idle: times.reduce((sum, { idle }) => sum + idle, 0),
      steal: 0,
    };
  }
}

function between(before: CpuTimes, after: CpuTimes): CpuTimes & { readonly all: number } {
  const [busy, idle, steal] = [
    after.busy - before.busy,
    after.idle - before.idle,
    after.steal - before.steal,
  ];
  return { busy, idle, steal, all: busy + idle + steal };
}

/** CPU of this process and of its children that have ended, in ms. Linux alone reports it. */
function ownTime(): number | undefined {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    // The name of the program may contain spaces.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return TICK_MS * fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
  } catch {
    return undefined;
  }
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
