import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command, Report, Values } from '../command-line/command.ts';
import { wholeNumber } from '../command-line/option-values.ts';
import { UsageError } from '../command-line/usage-error.ts';
import { type Bun, findBun, type NoBun } from '../harness/bun.ts';
import { Child } from '../harness/child.ts';
import { type Cores, chooseCores, coresLine } from '../harness/cores.ts';
import { unlessStopped } from '../harness/interruption.ts';
import { MachineWatch } from '../harness/machine-watch.ts';
import { lackOfPackage, packageVersion } from '../harness/optional-package.ts';
import {
  type Contest,
  type ContestResult,
  type Plan,
  type Running,
  runContest,
  type SharedContest,
  workOf,
} from '../harness/runner.ts';
import type { LoadAnswers } from '../load/load-worker.ts';
import { BUSY_COLUMN } from '../report/contest-tables.ts';
import { openFileLimit } from '../report/head.ts';
import { legendOf } from '../report/legend.ts';
import { StepBar } from '../report/progress-bar.ts';
import { medianOf, number, type Table, textOf } from '../report/table.ts';
import { verdictOf } from '../report/verdict.ts';
import {
  BASE,
  BEFORE,
  environmentOf,
  flagsOf,
  isOurs,
  isWs,
  NATIVE,
  packageOf,
  SLOW_BASE,
} from '../rivals/contenders.ts';
import { masksNatively } from '../rivals/masks.ts';
import { hasOneBuffer } from '../rivals/one-buffer.ts';

/** What the contests of a scenario run in. */
export interface Environment {
  readonly cores: Cores;
  /** Started on first use. */
  readonly load: Child<LoadAnswers>;
  readonly bun: Bun | NoBun;
  /** Folder for CPU profiles of the measured processes. */
  readonly profile: string | undefined;
  /** The option `--connections` of a scenario that has {@link Scenario.connections}. */
  readonly connections?: number;
  /** Folder of the built benchmark of another checkout, whose library is measured too. */
  readonly before: string | undefined;
}

type Extent = Omit<Plan, 'seed'>;

const MAX_SEED = 2 ** 32 - 1;

/** A scenario: contests, and the tables of their results. */
export interface Scenario {
  readonly name: string;
  readonly summary: string;
  /** What is measured, and the columns. */
  readonly help: string;
  readonly full: Extent;
  /** Duration of a full run on two quiet cores, about. */
  readonly minutes: number;
  readonly quick: Extent;
  readonly contests: (environment: Environment) => readonly (Contest | SharedContest)[];
  readonly tables: (results: readonly ContestResult[]) => readonly Table[];
  /** Default of the option `--connections`. Without it the scenario has no such option. */
  readonly connections?: number;
  /** Runs instead of this scenario when the flag of that name is given, `--cold` for example. */
  readonly variants?: Readonly<Record<string, Scenario>>;
  /** Versions of what these contenders used, besides `ws` and Bun. Default: none. */
  readonly versions?: (contenders: ReadonlySet<string>) => Readonly<Record<string, string>>;
}

/** Width of a report that no terminal shows, in columns. */
const NO_TERMINAL = 80;

/** `1 process`, `3 rounds`. */
function times(count: number, word: string, plural = 's'): string {
  return `${count} ${word}${count === 1 ? '' : plural}`;
}

/** The document of a scenario, besides its head. */
export interface ScenarioDocument {
  readonly cores: Cores;
  readonly plan: Plan;
  readonly quick: boolean;
  readonly tables: readonly Table[];
  readonly contests: readonly ContestResult[];
  /** The contests that this machine cannot run, and why. */
  readonly notMeasured?: readonly string[];
}

/** The subcommand of a scenario. */
export function scenarioCommand(scenario: Scenario): Command {
  const { name, summary, help, full, minutes, quick, connections, variants = {} } = scenario;
  return {
    summary,
    help: `ws-bench ${name}: ${summary}

usage: ws-bench ${name} [options]

${help}
Each figure is the median of fresh processes, with the least and the most of them. In each round every
contender has a window of time, in a shuffled order, and ratios are taken within a round.
On two quiet cores it takes about ${minutes} min, with --quick about ${Math.ceil(minutes / 4)}.

options
${moreOptions(scenario)}  --only PART      only contests whose name contains PART
  --processes N    fresh processes of each contender; default: ${full.processes}
  --rounds N       windows of each process; default: ${full.rounds}
  --seed N         of the order of the contenders, as an earlier report has it; default: random
  --bun PATH       path of Bun; default: the one of npm, or else of the PATH
  --against DIR    measures our library in the built checkout DIR too, as '${BEFORE.trim()}'
  --profile DIR    write CPU profiles of the measured processes of Node to DIR; slows them down
  --quick          a first impression, with --processes ${quick.processes} --rounds ${quick.rounds} and short windows; do not quote its figures
  --json [FILE]    print one JSON document instead of tables, or write it to FILE besides the tables
  --html FILE      also write a page with charts, for a browser
  --history        compare with earlier results of the same command on this machine; kept in
                   ~/.cache/ws-bench/history.jsonl (or below $XDG_CACHE_HOME)
`,
    options: {
      ...(connections !== undefined && { connections: { type: 'string' } }),
      ...Object.fromEntries(Object.keys(variants).map((flag) => [flag, { type: 'boolean' }])),
      only: { type: 'string', default: '' },
      processes: { type: 'string' },
      rounds: { type: 'string' },
      seed: { type: 'string' },
      bun: { type: 'string' },
      against: { type: 'string' },
      profile: { type: 'string' },
    },
    run: (values, _, stop) => {
      const [, variant = scenario] =
        Object.entries(variants).find(([flag]) => values[flag] === true) ?? [];
      return run(variant, values, stop);
    },
  };
}

/** The help of the options that only some scenarios have. */
function moreOptions({ connections, variants = {} }: Scenario): string {
  const rows = Object.entries(variants).map(([flag, { summary }]) => [`--${flag}`, summary]);
  if (connections !== undefined) {
    rows.push(['--connections N', `default: ${connections}, or fewer by the limit of open files`]);
  }
  return rows.map(([option, text]) => `  ${option!.padEnd(16)} ${text}\n`).join('');
}

async function run(scenario: Scenario, values: Values, stop: AbortSignal): Promise<Report> {
  const quick = values['quick'] === true;
  const extent = quick ? scenario.quick : scenario.full;
  const plan: Plan = {
    ...extent,
    processes: wholeNumber(values, 'processes', extent.processes),
    rounds: wholeNumber(values, 'rounds', extent.rounds),
    seed: wholeNumber(values, 'seed', (Math.random() * 2 ** 32) >>> 0, {
      least: 0,
      most: MAX_SEED,
    }),
  };
  const cores = chooseCores();
  const bun = findBun(values['bun'] as string | undefined);
  const against = values['against'] as string | undefined;
  let load: Child<LoadAnswers> | undefined;
  const environment: Environment = {
    cores,
    bun,
    get load() {
      load ??= new Child<LoadAnswers>('./load-worker.js', cores.load);
      return load;
    },
    profile: values['profile'] as string | undefined,
    ...(scenario.connections !== undefined && {
      connections: wholeNumber(values, 'connections', scenario.connections),
    }),
    before: against === undefined ? undefined : builtBench(against),
  };
  try {
    const chosen = choose(scenario, environment, String(values['only']));
    const notMeasured = [...lackingContenders(chosen, environment), ...lackingContests(chosen)];
    const watch = await MachineWatch.start();
    const { results, of } = await measure(scenario, chosen, environment, plan, stop);
    // The CPU of a child is known after its end.
    if (!stop.aborted) await load?.end();
    const warnings = watch.end(results);
    const width = process.stdout.columns ?? NO_TERMINAL;
    const tables = results.length === 0 ? [] : tablesOf(scenario, results);
    const document: ScenarioDocument = {
      cores,
      plan,
      quick,
      tables,
      contests: results,
      ...(notMeasured.length > 0 && { notMeasured }),
    };
    return {
      document,
      warnings,
      tables,
      versions: versionsOf(scenario, results, bun),
      ...(stop.aborted && { endedEarly: `stopped after ${results.length} of ${of}` }),
      text: [
        `${coresLine(cores)}; ${times(plan.processes, 'process', 'es')}, ${times(plan.rounds, 'round')}${plan.ms > 0 ? ` of ${plan.ms} ms` : ''}, seed ${plan.seed}`,
        ...masksOf(results).map(([name, mask]) => `${name}: masks by ${mask}`),
        ...notMeasured.map((line) => `not measured: ${line}`),
        '',
        ...tables
          .slice(0, 1)
          .flatMap((table) => [
            textOf(table, width),
            ...legendOf(table),
            '',
            ...verdictText(table),
          ]),
        ...tables.slice(1).map((table) => textOf(table, width)),
      ].join('\n'),
    };
  } finally {
    if (!stop.aborted) await load?.end();
  }
}

function choose(
  { contests, name }: Scenario,
  environment: Environment,
  only: string,
): (Contest | SharedContest)[] {
  const all = contests(environment);
  const chosen = all.filter((contest) => contest.name.includes(only));
  if (chosen.length > 0) return chosen;
  const names = all.map((contest) => `  ${contest.name}`).join('\n');
  throw new UsageError(`no contest of ${name} has '${only}' in its name; it has\n${names}`);
}

/** The folder of the built benchmark of another checkout. */
function builtBench(checkout: string): string {
  const folder = resolve(checkout, 'bench/dist');
  if (existsSync(folder)) return folder;
  throw new UsageError(`--against: there is no '${folder}'; build that checkout first`);
}

async function measure(
  scenario: Scenario,
  chosen: readonly (Contest | SharedContest)[],
  environment: Environment,
  plan: Plan,
  stop: AbortSignal,
): Promise<{ results: ContestResult[]; of: number }> {
  const possible = chosen
    .filter((one) => 'measure' in one || one.lacks === undefined)
    .map((one) => withPossible(one, environment))
    .filter((one) => 'measure' in one || one.contenders.length > 0);
  const contests = possible.map((one) => withBefore(one, environment));
  const progress = new StepBar(contests.reduce((sum, one) => sum + workOf(one, plan), 0));
  try {
    const results: ContestResult[] = [];
    for (const contest of contests) {
      progress.step(contest.name);
      const running = runContest(contest, plan, (work) => progress.done(work));
      const result = await unlessStopped(running, stop);
      if (result === undefined) break;
      results.push(result);
      progress.line(`${lineOf(scenario, result)}; ${results.length} of ${contests.length}`);
    }
    return { results, of: contests.length };
  } finally {
    progress.end();
  }
}

/** The first row of the result of one contest: `64 x 16 x 16 B: receive 2.1, bun 2.5 of ws, corked`. */
function lineOf(scenario: Scenario, result: ContestResult): string {
  const [{ unit, series, labels }] = tablesOf(scenario, [result]) as [Table];
  const [, base] = /relative to (.+)$/.exec(unit) ?? [];
  const figures = series.flatMap(({ name, values: [value] }) => {
    const median = medianOf(value ?? null);
    const isShown = median !== undefined && name !== base && name !== BUSY_COLUMN;
    return isShown ? [`${name} ${number(median)}`] : [];
  });
  // A label says why a row has no figures.
  if (figures.length === 0) return labels[0] ?? result.name;
  return `${result.name}: ${figures.join(', ')} ${base === undefined ? `(${unit})` : `of ${base}`}`;
}

/** The tables, in which a corked `ws` without native masks has a name that says so. */
export function tablesOf(
  { tables }: Pick<Scenario, 'tables'>,
  results: readonly ContestResult[],
): Table[] {
  const slow = masksOf(results).filter(([name, mask]) => mask === 'JS' && name.startsWith(BASE));
  const named = (text: string): string =>
    slow.length === 0 ? text : text.replace(BASE, SLOW_BASE);
  return tables(results).map((table) => ({
    ...table,
    unit: named(table.unit),
    series: table.series.map((one) => ({ ...one, name: named(one.name) })),
  }));
}

/** Why this machine cannot run some of the contenders, by name. */
function lackingContenders(
  chosen: readonly (Contest | SharedContest)[],
  environment: Environment,
): string[] {
  const names = new Set(chosen.flatMap((one) => ('measure' in one ? [] : one.contenders)));
  return [...names].flatMap((name) => {
    const lacks = lackOf(name, environment);
    return lacks === undefined ? [] : [`${name}: ${lacks}`];
  });
}

function lackingContests(chosen: readonly (Contest | SharedContest)[]): string[] {
  return chosen.flatMap((one) =>
    'measure' in one || one.lacks === undefined ? [] : [`${one.name}: ${one.lacks}`],
  );
}

/** The contest without the contenders that this machine cannot run. */
function withPossible<C extends Contest | SharedContest>(contest: C, environment: Environment): C {
  if ('measure' in contest) return contest;
  const contenders = contest.contenders.filter((name) => lackOf(name, environment) === undefined);
  return { ...contest, contenders };
}

/** Why this machine cannot run a contender; undefined when it can. */
function lackOf(contender: string, { bun }: Environment): string | undefined {
  if (contender === 'bun' && 'lacks' in bun) return bun.lacks;
  const needed = packageOf(contender);
  if (needed !== undefined) return lackOfPackage(needed);
  if (contender === NATIVE && !masksNatively()) {
    return lackOfPackage('bufferutil') ?? 'bufferutil has no build';
  }
  if (contender === 'raw1' && !hasOneBuffer()) return 'onread of net.Socket has changed';
  return undefined;
}

/** Adds a twin of each contender of ours, from the other checkout. */
function withBefore<C extends Contest | SharedContest>(contest: C, { before }: Environment): C {
  if (before === undefined || 'measure' in contest) return contest;
  const twins = contest.contenders.filter(isOurs).map((name) => `${name}${BEFORE}`);
  return { ...contest, contenders: [...contest.contenders, ...twins] };
}

/** Starts the process of a contender: `script` by Node, or the server of Bun. */
export function startChild<A extends Record<string, (argument: never) => unknown>>(
  script: string,
  contender: string,
  contest: string,
  { cores, bun, profile, before }: Environment,
  options: {
    readonly flags?: readonly string[];
    /** The program that runs the script. Default: this Node. */
    readonly runtime?: string;
    /** Whether the process keeps freed memory. */
    readonly kept?: boolean;
    /** Whether it runs on the core of the load, not on that of the server. */
    readonly besideLoad?: boolean;
  } = {},
): { child: Child<A>; name: string } {
  const name = contender.replace(BEFORE, '');
  const { flags = [], runtime, kept = false, besideLoad = false } = options;
  const core = besideLoad ? cores.load : cores.server;
  const env = environmentOf(name, kept);
  if (name === 'bun') {
    const { path } = bun as Bun;
    return { child: new Child<A>('./bun-worker.js', core, { runtime: path, env }), name };
  }
  const child = new Child<A>(script, core, {
    flags: [
      ...flags,
      ...flagsOf(kept),
      ...(runtime === undefined ? profileFlags(profile, `${contest} ${contender}`) : []),
    ],
    runtime,
    env,
    folder: name === contender ? undefined : before,
  });
  return { child, name };
}

/**
 * Starts the processes of a contender.
 *
 * @param start - Appends a function to `ends` for each process. They run in reverse order, at the
 *   end or when the start fails.
 */
export async function startProcesses(
  start: (ends: (() => Promise<unknown>)[]) => Promise<Pick<Running, 'window'>>,
): Promise<Running> {
  const ends: (() => Promise<unknown>)[] = [];
  const end = async (): Promise<void> => {
    while (ends.length > 0) await ends.pop()!();
  };
  try {
    return { ...(await start(ends)), end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** What `ws` masks with in a process; undefined for other contenders. */
export async function maskOf(
  name: string,
  child: Child<{ mask: (nothing?: undefined) => string }>,
): Promise<string | undefined> {
  return isWs(name) ? child.ask('mask', undefined) : undefined;
}

/** Flags for node that write a CPU profile at exit. */
function profileFlags(profile: string | undefined, label: string): string[] {
  if (profile === undefined) return [];
  const name = `${label.replaceAll(/[^\w.]+/g, '-')}.cpuprofile`;
  return ['--cpu-prof', `--cpu-prof-dir=${profile}`, `--cpu-prof-name=${name}`];
}

function masksOf(results: readonly ContestResult[]): [name: string, mask: string][] {
  return Object.entries(
    Object.assign({}, ...results.map(({ masks }) => masks)) as Record<string, string>,
  );
}

/** The verdict for a terminal. */
function verdictText(table: Table): string[] {
  return verdictOf(table).map((paragraph) => `${paragraph.replaceAll('`', '')}\n`);
}

/** The versions of what the contenders used. */
function versionsOf(
  scenario: Scenario,
  results: readonly ContestResult[],
  bun: Bun | NoBun,
): Record<string, string> {
  const names = new Set(results.flatMap(({ readings }) => Object.keys(readings)));
  const masks = masksOf(results).map(([, mask]) => mask);
  return {
    ...([...names].some(isWs) && { ws: packageVersion('ws') }),
    ...(masks.includes('bufferutil') && { bufferutil: packageVersion('bufferutil') }),
    ...(names.has('bun') && { bun: (bun as Bun).version }),
    ...scenario.versions?.(names),
  };
}

/** Open files of a process besides its connections, with a reserve. */
const OTHER_FILES = 100;

/** Why a process cannot have so many connections; undefined when it can. */
export function lackOfFiles(connections: number): string | undefined {
  const [needed, limit] = [connections + OTHER_FILES, openFileLimit()];
  if (needed <= limit) return undefined;
  return `a process needs ${needed} open files; the limit is ${limit} (ulimit -n)`;
}

/** The number of connections that the limit of open files allows, up to `connections`. */
export function allowedConnections(connections: number): number {
  const most = openFileLimit() - OTHER_FILES;
  if (most < 1) throw new Error('the limit of open files allows no connection; raise ulimit -n');
  return Math.min(connections, most);
}
