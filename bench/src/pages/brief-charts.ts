import type { BarChart } from '../report/chart.ts';
import type { BenchDocument } from '../report/page.ts';

/** What the README shows of a result: fewer bars, the same values. Undefined when that was not measured. */
export function briefChart(
  scenario: string,
  { charts }: Pick<BenchDocument, 'charts'>,
): BarChart | undefined {
  const [chart] = charts;
  if (chart?.kind !== 'bars') return undefined;
  const brief = BRIEF[scenario]?.(chart);
  return brief === undefined || brief.labels.length * brief.series.length === 0 ? undefined : brief;
}

const BRIEF: Readonly<Record<string, (chart: BarChart) => BarChart>> = {
  compare: (chart) => ({
    ...withSeries(chart, { receive: 'receive', loop: 'loop', raw: 'raw TCP' }),
    note: 'More is better. Log scale. Raw TCP sends back what it gets and knows no WebSocket.',
  }),

  memory: (chart) => ({
    ...withSeries(chart, {
      'bare, uncompressed': 'a bare socket',
      'ours, uncompressed': 'ours',
      'ws, uncompressed': 'ws',
    }),
    scale: 'linear',
    note: 'Less is better. A bare socket: after the upgrade, no library.',
  }),

  // Levels as they come, and many in flight: what an application sees that changed nothing.
  deflate: (chart) => {
    const brief = withLabels(chart, / x 16, (\w+), 1 : 6$/, ', $1');
    return {
      ...brief,
      title: 'Compressed echo',
      unit: 'times the messages of ws in a CPU second of the server',
      note: 'More is better. 16 in flight on each of 32 connections, levels as they come.',
    };
  },
};

/** Some of the series, under other names. */
function withSeries(chart: BarChart, names: Readonly<Record<string, string>>): BarChart {
  return {
    ...chart,
    series: Object.entries(names).flatMap(([from, name]) =>
      chart.series.filter((one) => one.name === from).map(({ values }) => ({ name, values })),
    ),
  };
}

/** The groups whose label ends like that, with another ending. */
function withLabels(chart: BarChart, ending: RegExp, instead: string): BarChart {
  const kept = chart.labels.flatMap((label, row) => (ending.test(label) ? [row] : []));
  return {
    ...chart,
    labels: kept.map((row) => chart.labels[row]!.replace(ending, instead)),
    series: chart.series.map(({ name, values }) => ({
      name,
      values: kept.map((row) => values[row] ?? null),
    })),
  };
}
