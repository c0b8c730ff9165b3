import type { BarValue, Chart } from '../report/chart.ts';
import { GOAL_HEAD, type Goal, goalCells, spreadCells } from '../report/goal.ts';
import { number, table } from '../report/table.ts';
import { CONTENDERS, type ContenderName } from '../rivals/contenders.ts';
import { ratios, type Spread, spreadOf } from '../statistics.ts';
import { BROADCAST_GOALS, timesWs } from './broadcast-report.ts';
import { type BroadcastReadings, PER_TURN } from './broadcast-turns.ts';
import { type Cell, contendersOf, type Growth, HEAP_GOAL, RECEIVERS } from './compare-cells.ts';
import type { ClientReadings } from './compare-client.ts';
import type { HeapReadings, Readings } from './compare-echo.ts';

/** A cell, measured. */
export interface CellResult {
  readonly cell: Cell;
  readonly readings: readonly Readings[];
}

/** A line of the table of goals. */
export interface GoalLine {
  readonly name: string;
  /** Microseconds of CPU for a message. */
  readonly us: number;
  readonly ws: Spread;
  readonly wsGoal: Goal;
  readonly raw?: Spread | undefined;
  readonly rawGoal?: Goal | undefined;
}

/** Messages per CPU second, as times those of another; undefined when either was not there. */
function times(
  readings: readonly Readings[],
  name: ContenderName,
  base: ContenderName,
): Spread | undefined {
  const of = (contender: ContenderName): readonly number[] | undefined =>
    readings.find((one) => one.contender === contender)?.cpu;
  const own = of(name);
  const others = of(base);
  return own && others && spreadOf(ratios(others, own));
}

/** The lines of the cells: one for each goal. */
export function cellLines(results: readonly CellResult[]): GoalLine[] {
  return results.flatMap(({ cell, readings }) =>
    cell.goals.map((goal) => ({
      name: `${cell.name}, ${goal.contender}`,
      us: spreadOf(readings.find(({ contender }) => contender === goal.contender)!.cpu).median,
      ws: times(readings, goal.contender, 'ws')!,
      wsGoal: goal.ws,
      raw: times(readings, goal.contender, 'raw'),
      rawGoal: goal.raw,
    })),
  );
}

/** The line of the client. */
export function clientLine(clients: readonly ClientReadings[]): GoalLine {
  const of = (name: ClientReadings['name']): readonly number[] =>
    clients.find((client) => client.name === name)!.cpu;
  return {
    name: 'our client, 64 x 16 x 16 B',
    us: spreadOf(of('ours')).median,
    ws: spreadOf(ratios(of('ws'), of('ours'))),
    wsGoal: { must: 4, aim: 6 },
  };
}

function broadcastLine(readings: readonly BroadcastReadings[], perTurn: number): GoalLine {
  const own = readings.find((one) => one.name === 'ours' && one.perTurn === perTurn)!;
  return {
    name: `broadcast to ${RECEIVERS}, 100 B, ${perTurn} a turn`,
    us: spreadOf(own.cpu).median,
    ws: timesWs(readings, 'ours', perTurn),
    wsGoal: BROADCAST_GOALS[perTurn]!,
  };
}

/** What has a goal in messages per CPU second, measured; an empty list was not. */
export interface GoalResults {
  readonly cells: readonly CellResult[];
  readonly clients: readonly ClientReadings[];
  readonly broadcast: readonly BroadcastReadings[];
}

/** The lines of all that was measured. */
export function goalLines({ cells, clients, broadcast }: GoalResults): GoalLine[] {
  return [
    ...cellLines(cells),
    ...(clients.length === 0 ? [] : [clientLine(clients)]),
    ...(broadcast.length === 0 ? [] : PER_TURN.map((perTurn) => broadcastLine(broadcast, perTurn))),
  ];
}

/** The table of goals. */
export function goalTable(lines: readonly GoalLine[]): string {
  return table(
    ['workload', 'us', 'x ws', 'rounds', ...GOAL_HEAD, 'x raw', 'rounds', ...GOAL_HEAD],
    lines.map(({ name, us, ws, wsGoal, raw, rawGoal }) => [
      name,
      number(us),
      ...spreadCells(ws),
      ...goalCells(ws.median, wsGoal, 'at least'),
      ...(raw === undefined
        ? ['', '', '', '', '', '']
        : [...spreadCells(raw), ...goalCells(raw.median, rawGoal, 'at least')]),
    ]),
  );
}

/** Everybody: messages per CPU second, as times those of ws. */
export function fieldTable(results: readonly CellResult[]): string {
  return table(
    ['x ws', ...CONTENDERS, 'load busy'],
    results.map(({ cell, readings }) => [
      cell.name,
      ...CONTENDERS.map((name) => {
        const spread = times(readings, name, 'ws');
        if (spread !== undefined) return number(spread.median);
        return contendersOf(cell).includes(name) ? 'not installed' : '-';
      }),
      busiest(readings),
    ]),
  );
}

/** How busy the load was at most, in per cent. */
function busiest(readings: readonly Readings[]): string {
  return `${Math.round(100 * Math.max(...readings.flatMap(({ loadBusy }) => loadBusy)))} %`;
}

/** A group of bars for each cell, with everybody who was there. */
export function fieldChart(results: readonly CellResult[]): Chart {
  const there = new Set(
    results.flatMap(({ readings }) => readings.map(({ contender }) => contender)),
  );
  return {
    kind: 'bars',
    title: 'Echo',
    unit: 'times the messages of ws in a CPU second of the server',
    note: 'More is better. Log scale. raw: TCP that sends back what it gets, no WebSocket.',
    labels: results.map(({ cell }) => cell.name),
    series: CONTENDERS.filter((name) => there.has(name)).map((name) => ({
      name,
      values: results.map(({ readings }): BarValue => times(readings, name, 'ws') ?? null),
    })),
    line: { name: 'ws', value: 1 },
    scale: 'log',
  };
}

/** Heap bytes for a message, a list for each contender and kind of traffic. */
export interface HeapResult {
  readonly name: string;
  readonly bytes: HeapReadings;
}

/** Garbage of a message, and what of it is beyond that of Node's own socket path in the same round. */
export function heapTable(results: readonly HeapResult[]): string {
  return table(
    ['heap bytes a message', 'receive', 'ws', 'raw', 'beyond raw', 'rounds', ...GOAL_HEAD],
    results.map(({ name, bytes }) => {
      const beyond = spreadOf(bytes.receive.map((own, round) => own - bytes.raw[round]!));
      const medians = [bytes.receive, bytes.ws, bytes.raw].map((all) => spreadOf(all).median);
      return [
        name,
        ...medians.map(number),
        ...spreadCells(beyond),
        ...goalCells(beyond.median, HEAP_GOAL, 'at most'),
      ];
    }),
  );
}

/** Both scales of one contender. */
export interface GrowthResult {
  readonly growth: Growth;
  readonly contender: ContenderName;
  readonly small: Readings;
  readonly large: Readings;
}

/** What a unit costs on the large scale, as times what it costs on the small one. */
export function growthOf({ growth, small, large }: GrowthResult): Spread {
  const cost = ({ cpu }: Readings, workload: Growth['small']): number[] =>
    cpu.map((us) => us / growth.units(workload));
  return spreadOf(ratios(cost(large, growth.large), cost(small, growth.small)));
}

/** A line for each growth and contender. */
export function growthTable(results: readonly GrowthResult[]): string {
  return table(
    ['growth', 'us, small', 'us, large', 'x', 'rounds', ...GOAL_HEAD, 'load busy'],
    results.map((result) => {
      const { growth, contender, small, large } = result;
      const more = growthOf(result);
      return [
        `${growth.name}, CPU for a ${growth.unit}: ${contender}`,
        number(spreadOf(small.cpu).median),
        number(spreadOf(large.cpu).median),
        ...spreadCells(more),
        ...goalCells(more.median, contender === 'receive' ? growth.goal : undefined, 'at most'),
        busiest([small, large]),
      ];
    }),
  );
}
