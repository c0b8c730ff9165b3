import type { Chart } from '../report/chart.ts';
import { GOAL_HEAD, type Goal, goalCells, spreadCells } from '../report/goal.ts';
import { number, table } from '../report/table.ts';
import { ratios, type Spread, spreadOf } from '../statistics.ts';
import { type BroadcastReadings, PER_TURN } from './broadcast-turns.ts';

/** How many times the messages of ws a CPU second is to give us: by messages a turn. */
export const BROADCAST_GOALS: Readonly<Record<number, Goal>> = {
  1: { must: 0.95, aim: 1.1 },
  16: { must: 10, aim: 19 },
};

/** How often our messages per CPU second contain those of ws, or what another has against it. */
export function timesWs(
  readings: readonly BroadcastReadings[],
  name: BroadcastReadings['name'],
  perTurn: number,
): Spread {
  return spreadOf(ratios(cpuOf(readings, 'ws', perTurn), cpuOf(readings, name, perTurn)));
}

function cpuOf(
  readings: readonly BroadcastReadings[],
  name: BroadcastReadings['name'],
  perTurn: number,
): number[] {
  return readings.find((one) => one.name === name && one.perTurn === perTurn)!.cpu;
}

/** Microseconds of CPU for a message to one receiver. */
export function broadcastTable(readings: readonly BroadcastReadings[]): string {
  const rows = readings.map(({ name, perTurn, cpu }) => {
    const times = timesWs(readings, name, perTurn);
    const goal = name === 'ours' ? BROADCAST_GOALS[perTurn] : undefined;
    return [
      `${perTurn} a turn: ${name}`,
      number(spreadOf(cpu).median),
      ...spreadCells(times),
      ...goalCells(times.median, goal, 'at least'),
    ];
  });
  return table(['broadcast', 'us', 'x ws', 'rounds', ...GOAL_HEAD], rows);
}

/** A group of bars for each number of messages a turn. */
export function broadcastChart(readings: readonly BroadcastReadings[], receivers: number): Chart {
  const names = [...new Set(readings.map(({ name }) => name))];
  return {
    kind: 'bars',
    title: `Broadcast of 100 B to ${receivers} receivers`,
    unit: 'times the messages of ws in a CPU second of the server',
    note: 'More is better. Log scale.',
    labels: PER_TURN.map((perTurn) => `${perTurn} a turn`),
    series: names.map((name) => ({
      name,
      values: PER_TURN.map((perTurn) => timesWs(readings, name, perTurn)),
    })),
    line: { name: 'ws', value: 1 },
    scale: 'log',
  };
}
