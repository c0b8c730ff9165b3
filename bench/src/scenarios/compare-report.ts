import { ratios, type Spread, spreadOf } from '../harness/statistics.ts';
import type { BarValue, Chart } from '../report/chart.ts';
import { number, spreadCells, table } from '../report/table.ts';
import { CONTENDERS, type ContenderName } from '../rivals/contenders.ts';
import { type BroadcastReadings, PER_TURN } from './broadcast-measure.ts';
import { timesWs } from './broadcast-report.ts';
import { type Cell, contendersOf, type Growth, RECEIVERS } from './compare-cells.ts';
import type { ClientReadings } from './compare-client.ts';
import type { HeapReadings, Readings } from './compare-echo.ts';

/** A measured cell. */
export interface CellResult {
  readonly cell: Cell;
  readonly readings: readonly Readings[];
}

/** A line of the table of ratios. */
export interface RatioLine {
  readonly name: string;
  /** Microseconds of CPU for a message. */
  readonly us: number;
  readonly ws: Spread;
  readonly raw?: Spread | undefined;
}

/** Messages per CPU second, as times those of `base`; undefined when either was not measured. */
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

/** One line for each of our ways of reading that a cell shows. */
export function cellLines(results: readonly CellResult[]): RatioLine[] {
  return results.flatMap(({ cell, readings }) =>
    cell.shown.map((way) => ({
      name: `${cell.name}, ${way}`,
      us: spreadOf(readings.find(({ contender }) => contender === way)!.cpu).median,
      ws: times(readings, way, 'ws')!,
      raw: times(readings, way, 'raw'),
    })),
  );
}

/** The line of the client. */
export function clientLine(clients: readonly ClientReadings[]): RatioLine {
  const of = (name: ClientReadings['name']): readonly number[] =>
    clients.find((client) => client.name === name)!.cpu;
  return {
    name: 'our client, 64 x 16 x 16 B',
    us: spreadOf(of('ours')).median,
    ws: spreadOf(ratios(of('ws'), of('ours'))),
  };
}

function broadcastLine(readings: readonly BroadcastReadings[], perTurn: number): RatioLine {
  const own = readings.find((one) => one.name === 'ours' && one.perTurn === perTurn)!;
  return {
    name: `broadcast to ${RECEIVERS}, 100 B, ${perTurn} a turn`,
    us: spreadOf(own.cpu).median,
    ws: timesWs(readings, 'ours', perTurn),
  };
}

/** The measured cells, clients and broadcasts. An empty list was not measured. */
export interface RatioResults {
  readonly cells: readonly CellResult[];
  readonly clients: readonly ClientReadings[];
  readonly broadcast: readonly BroadcastReadings[];
}

/** The lines of everything measured. */
export function ratioLines({ cells, clients, broadcast }: RatioResults): RatioLine[] {
  return [
    ...cellLines(cells),
    ...(clients.length === 0 ? [] : [clientLine(clients)]),
    ...(broadcast.length === 0 ? [] : PER_TURN.map((perTurn) => broadcastLine(broadcast, perTurn))),
  ];
}

/** Messages per CPU second next to those of ws and of raw TCP. */
export function ratioTable(lines: readonly RatioLine[]): string {
  return table(
    ['workload', 'us', 'x ws', 'rounds', 'x raw', 'rounds'],
    lines.map(({ name, us, ws, raw }) => [
      name,
      number(us),
      ...spreadCells(ws),
      ...(raw === undefined ? ['', ''] : spreadCells(raw)),
    ]),
  );
}

/** Messages per CPU second of every contender, as times those of ws. */
export function contenderTable(results: readonly CellResult[]): string {
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

/** Largest CPU share of the load, in per cent. */
function busiest(readings: readonly Readings[]): string {
  return `${Math.round(100 * Math.max(...readings.flatMap(({ loadBusy }) => loadBusy)))} %`;
}

/** A group of bars for each cell, with every measured contender. */
export function contenderChart(results: readonly CellResult[]): Chart {
  const there = new Set(
    results.flatMap(({ readings }) => readings.map(({ contender }) => contender)),
  );
  return {
    kind: 'bars',
    title: 'Echo',
    unit: 'messages per CPU second of the server, relative to ws',
    note: 'More is better. Log scale. raw: TCP that echoes bytes, no WebSocket.',
    labels: results.map(({ cell }) => cell.name),
    series: CONTENDERS.filter((name) => there.has(name)).map((name) => ({
      name,
      values: results.map(({ readings }): BarValue => times(readings, name, 'ws') ?? null),
    })),
    line: { name: 'ws', value: 1 },
    scale: 'log',
  };
}

/** Heap bytes for a message, a list for each contender. */
export interface HeapResult {
  readonly name: string;
  readonly bytes: HeapReadings;
}

/** Garbage of a message. `beyond raw` subtracts that of Node's own sockets in the same round. */
export function heapTable(results: readonly HeapResult[]): string {
  return table(
    ['heap bytes a message', 'receive', 'ws', 'raw', 'beyond raw', 'rounds'],
    results.map(({ name, bytes }) => {
      const beyond = spreadOf(bytes.receive.map((own, round) => own - bytes.raw[round]!));
      const medians = [bytes.receive, bytes.ws, bytes.raw].map((all) => spreadOf(all).median);
      return [name, ...medians.map(number), ...spreadCells(beyond)];
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

/** Cost of a unit on the large scale, as times that on the small one. */
export function growthOf({ growth, small, large }: GrowthResult): Spread {
  const cost = ({ cpu }: Readings, workload: Growth['small']): number[] =>
    cpu.map((us) => us / growth.units(workload));
  return spreadOf(ratios(cost(large, growth.large), cost(small, growth.small)));
}

/** One line for each growth and contender. */
export function growthTable(results: readonly GrowthResult[]): string {
  return table(
    ['growth', 'us, small', 'us, large', 'x', 'rounds', 'load busy'],
    results.map((result) => {
      const { growth, contender, small, large } = result;
      const more = growthOf(result);
      return [
        `${growth.name}, CPU for a ${growth.unit}: ${contender}`,
        number(spreadOf(small.cpu).median),
        number(spreadOf(large.cpu).median),
        ...spreadCells(more),
        busiest([small, large]),
      ];
    }),
  );
}
