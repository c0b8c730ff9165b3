import { ratios, type Spread, spreadOf } from '../harness/statistics.ts';
import type { Chart } from '../report/chart.ts';
import { number, spreadCells, table } from '../report/table.ts';
import { type BroadcastReadings, PER_TURN } from './broadcast-measure.ts';

/** Messages per CPU second, as times those of ws. */
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

/** A table of microseconds of CPU for a message to one receiver. */
export function broadcastTable(readings: readonly BroadcastReadings[]): string {
  const rows = readings.map(({ name, perTurn, cpu }) => {
    const times = timesWs(readings, name, perTurn);
    return [`${perTurn} a turn: ${name}`, number(spreadOf(cpu).median), ...spreadCells(times)];
  });
  return table(['broadcast', 'us', 'x ws', 'rounds'], rows);
}

/** A group of bars for each number of messages in a turn. */
export function broadcastChart(readings: readonly BroadcastReadings[], receivers: number): Chart {
  const names = [...new Set(readings.map(({ name }) => name))];
  return {
    kind: 'bars',
    title: `Broadcast of 100 B to ${receivers} receivers`,
    unit: 'messages per CPU second of the server, relative to ws',
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
