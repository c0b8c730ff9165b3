import type { BarChart, BarValue, Chart, LineChart, PercentileChart, Point } from './chart.ts';

/** Options of ECharts. */
export type Option = Record<string, unknown>;

/** The surroundings of a chart. */
export interface Appearance {
  readonly dark: boolean;
  /** Below about 600 pixels. */
  readonly narrow: boolean;
}

/**
 * Colours for people with colour vision deficiency, on light and dark (Okabe and Ito, with grey for
 * their black).
 */
const COLOURS: readonly string[] = [
  '#0072b2',
  '#e69f00',
  '#009e73',
  '#cc79a7',
  '#d55e00',
  '#56b4e9',
  '#8c8c8c',
];
const GROUP_GAP = '28%';
const BAR_GAP = '12%';
const BAR = 17;
/** Pixels for the value at the end of the longest bar. */
const VALUE_ROOM = 52;

/** Height of a chart in pixels. */
export function heightOf(chart: Chart): number {
  if (chart.kind !== 'bars') return 360;
  return 80 + chart.labels.length * (14 + chart.series.length * BAR);
}

/** The ECharts options of a chart. Its texts appear in the picture only, never as HTML. */
export function optionOf(chart: Chart, look: Appearance): Option {
  const ink = look.dark ? '#d4d4d8' : '#3f3f46';
  const legend = chart.series.length > 1;
  return {
    animation: false,
    color: COLOURS,
    backgroundColor: 'transparent',
    textStyle: { fontFamily: 'system-ui, sans-serif', color: ink },
    legend: {
      show: legend,
      type: 'scroll',
      top: 0,
      left: 0,
      textStyle: { color: ink },
      data: chart.series.map(({ name }) => name),
    },
    grid: {
      left: 4,
      right: chart.kind === 'bars' ? VALUE_ROOM : 16,
      top: legend ? 40 : 24,
      bottom: chart.kind === 'bars' ? 8 : 28,
      outerBoundsMode: 'same',
      outerBoundsContain: 'axisLabel',
    },
    ...(chart.kind === 'bars'
      ? bars(chart, look, ink)
      : chart.kind === 'percentiles'
        ? percentiles(chart, look, ink)
        : lines(chart, look, ink)),
  };
}

function bars(chart: BarChart, look: Appearance, ink: string): Option {
  const { labels, series, line, scale } = chart;
  const count = series.length;
  return {
    tooltip: tooltip(look, (at) => [
      labels[at]!,
      ...series.map(({ name, values }) => `${name}: ${spread(values[at])}`),
    ]),
    xAxis: across(look, ink, '', {
      type: scale === 'log' ? 'log' : 'value',
      ...(scale === 'log' && { min: decadeBelow(series.flatMap(({ values }) => leastOf(values))) }),
      axisLabel: { color: ink, formatter: short, hideOverlap: true },
    }),
    yAxis: {
      type: 'category',
      inverse: true,
      data: labels,
      axisTick: { show: false },
      axisLabel: {
        color: ink,
        interval: 0,
        width: Math.min(
          look.narrow ? 110 : 230,
          8 * Math.max(...labels.map(({ length }) => length)),
        ),
        overflow: 'break',
        lineHeight: 14,
      },
    },
    series: [
      ...series.map(({ name, values }, i) => ({
        type: 'bar',
        name,
        barGap: BAR_GAP,
        barCategoryGap: GROUP_GAP,
        data: labels.map((_, row) => middle(values[row])),
        ...(i === 0 && line !== undefined && { markLine: markLine(line, ink) }),
      })),
      ...series.map(({ name, values }, i) => ({
        type: 'custom',
        name,
        silent: true,
        color: ink,
        z: 5,
        encode: { x: [1, 2], y: 0 },
        data: labels.flatMap((_, row) => whisker(row, values[row])),
        renderItem: (_: unknown, api: WhiskerApi) => drawWhisker(api, i, count, look, ink),
      })),
    ],
  };
}

/** The used part of the argument that ECharts passes to `renderItem`. */
interface WhiskerApi {
  value(dimension: number): number;
  coord(data: readonly number[]): number[];
  barLayout(options: object): { offsetCenter: number; width: number }[];
}

/** A line from the least to the most, followed by the value. */
function drawWhisker(
  api: WhiskerApi,
  index: number,
  count: number,
  { dark }: Appearance,
  ink: string,
): Option {
  const row = api.value(0);
  const [from = 0, y = 0] = api.coord([api.value(1), row]);
  const [to = 0] = api.coord([api.value(2), row]);
  const [end = 0] = api.coord([api.value(3), row]);
  const layout = api.barLayout({ count, barGap: BAR_GAP, barCategoryGap: GROUP_GAP })[index];
  const at = y + (layout?.offsetCenter ?? 0);
  const arm = (layout?.width ?? BAR) / 4;
  const lines: readonly (readonly number[])[] = [
    [from, at, to, at],
    [from, at - arm, from, at + arm],
    [to, at - arm, to, at + arm],
  ];
  const strokes = (colour: string, lineWidth: number): Option[] =>
    lines.map(([x1, y1, x2, y2]) => ({
      type: 'line',
      shape: { x1, y1, x2, y2 },
      style: { stroke: colour, lineWidth },
    }));
  const value = {
    type: 'text',
    style: {
      text: short(api.value(3)),
      x: Math.max(to, end) + 5,
      y: at,
      fill: ink,
      fontSize: 11,
      verticalAlign: 'middle',
    },
  };
  if (from === to) return { type: 'group', children: [value] };
  // A rim makes the part of the whisker on the bar visible.
  const rim = strokes(dark ? '#202024' : '#fafafa', 3.5);
  return { type: 'group', children: [...rim, ...strokes(ink, 1.25), value] };
}

function markLine({ name, value }: { name: string; value: number }, ink: string): Option {
  return {
    silent: true,
    symbol: 'none',
    lineStyle: { color: ink, type: 'dashed' },
    label: { formatter: () => name, position: 'start', color: ink, fontSize: 11 },
    data: [{ xAxis: value }],
  };
}

function percentiles(chart: PercentileChart, look: Appearance, ink: string): Option {
  const { series, unit } = chart;
  const all = series.flatMap(({ points }) => points);
  const below = all.map(([percentile]) => percentile).filter((percentile) => percentile < 100);
  const last = Math.max(1, ...below.map(nines)) + 0.3;
  return {
    tooltip: tooltip(look, (at) => pointLines(series, at, ([p]) => `${tidy(p)} %`, unit)),
    xAxis: across(look, ink, 'percentile', {
      type: 'value',
      min: 0,
      max: last,
      interval: 1,
      axisLabel: {
        color: ink,
        showMaxLabel: false,
        formatter: (x: number) => (x === 0 ? '0 %' : `${tidy(100 - 10 ** (2 - x))} %`),
      },
    }),
    yAxis: upwards(look, ink, {
      type: 'log',
      min: decadeBelow(all.map(([, value]) => value)),
    }),
    series: series.map(({ name, points }) => ({
      type: 'line',
      name,
      showSymbol: false,
      data: points.map(([p, value]) => [p >= 100 ? last : nines(p), value]),
    })),
  };
}

function lines(chart: LineChart, look: Appearance, ink: string): Option {
  const { series, unit, axis: horizontal } = chart;
  return {
    tooltip: tooltip(look, (at) =>
      pointLines(series, at, ([x]) => `${tidy(x)} ${horizontal}`, unit),
    ),
    xAxis: across(look, ink, horizontal, {
      type: 'value',
      min: 'dataMin',
      max: 'dataMax',
      minInterval: 1,
      axisLabel: { color: ink, formatter: short, hideOverlap: true },
    }),
    yAxis: upwards(look, ink, {
      type: 'value',
      min: 0,
    }),
    series: series.map(({ name, points }) => ({
      type: 'line',
      name,
      showSymbol: points.length < 40,
      data: points,
    })),
  };
}

/** The name of the axis is below it. The unit of the values is in the title. */
function across(look: Appearance, ink: string, name: string, more: Option): Option {
  return {
    name,
    nameLocation: 'middle',
    nameGap: 26,
    nameTextStyle: { color: ink },
    splitLine: splitLine(look),
    ...more,
  };
}

function upwards(look: Appearance, ink: string, more: Option): Option {
  return { splitLine: splitLine(look), axisLabel: { color: ink, formatter: short }, ...more };
}

function splitLine({ dark }: Appearance): Option {
  return { lineStyle: { color: dark ? '#3f3f46' : '#e4e4e7' } };
}

/** Drawn in the picture, not as HTML: a name may come from anywhere. */
function tooltip({ dark }: Appearance, rows: (at: number) => readonly string[]): Option {
  return {
    trigger: 'axis',
    renderMode: 'richText',
    confine: true,
    backgroundColor: dark ? '#27272a' : '#ffffff',
    borderColor: dark ? '#52525b' : '#d4d4d8',
    textStyle: { color: dark ? '#f4f4f5' : '#18181b', fontSize: 12 },
    axisPointer: { type: 'line' },
    formatter: (hits: { dataIndex: number } | readonly { dataIndex: number }[]) => {
      const [hit] = [hits].flat();
      return hit === undefined ? '' : rows(hit.dataIndex).join('\n');
    },
  };
}

function pointLines(
  series: PercentileChart['series'],
  at: number,
  head: (point: Point) => string,
  unit: string,
): string[] {
  const first = series.find(({ points }) => points[at] !== undefined)?.points[at];
  if (first === undefined) return [];
  return [
    head(first),
    ...series.map(({ name, points }) => `${name}: ${short(points[at]?.[1] ?? Number.NaN)} ${unit}`),
  ];
}

function middle(value: BarValue | undefined): number | null {
  return typeof value === 'object' && value !== null ? value.median : (value ?? null);
}

function whisker(row: number, value: BarValue | undefined): number[][] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'number') return [[row, value, value, value]];
  return [[row, value.least, value.most, value.median]];
}

function leastOf(values: readonly BarValue[]): number[] {
  return values.flatMap((value, row) => whisker(row, value).map(([, least]) => least!));
}

/** `7.12 (6.80 to 7.40)`. */
function spread(value: BarValue | undefined): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number') return short(value);
  return `${short(value.median)} (${short(value.least)} to ${short(value.most)})`;
}

/** Number of nines of a percentile: 1 for 90, 2 for 99. */
function nines(percentile: number): number {
  return -Math.log10(1 - percentile / 100);
}

function decadeBelow(values: readonly number[]): number {
  const least = Math.min(...values.filter((value) => value > 0));
  return Number.isFinite(least) ? 10 ** Math.floor(Math.log10(least) - 1e-9) : 0.1;
}

/** Three significant digits: `0.042`, `7.12`, `1.8k`, `12M`. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (Number.isNaN(value)) return '-';
  if (size >= 1e6) return `${tidy(value / 1e6)}M`;
  if (size >= 1e4) return `${tidy(value / 1e3)}k`;
  return tidy(value);
}

function tidy(value: number): string {
  const size = Math.abs(value);
  if (size >= 99 && size < 100) return `${Number(value.toFixed(6))}`;
  return size >= 100 ? `${Math.round(value)}` : `${Number(value.toPrecision(3))}`;
}
