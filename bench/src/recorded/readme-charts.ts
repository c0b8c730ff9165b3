import type { BarChart } from '../report/chart.ts';
import type { BenchDocument } from '../report/html-page.ts';

/** A chart for the README: fewer bars, the same values. Undefined when no such bar was measured. */
export function readmeChart(
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
    note: 'More is better. Log scale. Raw TCP echoes bytes without WebSocket.',
  }),
};

/** Keeps these series, under other names. */
function withSeries(chart: BarChart, names: Readonly<Record<string, string>>): BarChart {
  return {
    ...chart,
    series: Object.entries(names).flatMap(([from, name]) =>
      chart.series.filter((one) => one.name === from).map(({ values }) => ({ name, values })),
    ),
  };
}
