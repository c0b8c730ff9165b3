import { BUSY_COLUMN } from './contest-tables.ts';
import { type Head, machineLine, versionLine } from './head.ts';
import { number, rangeOf, type Table, type Value } from './table.ts';

type Option = Record<string, unknown>;

const WIDTH = 760;
/** Pixels for the title, the unit and two lines of origin. */
const HEADER = 96;
/** Pixels for the line of the target. */
const TARGET_LINE = 15;
/** Names of series in one line of the legend. */
const LEGEND_LINE = 4;
const LEGEND_LINE_HEIGHT = 38;
const BAR = 15;
const BAR_GAP = '12%';
const GROUP_GAP = '28%';
/** Pixels for the value at the end of the longest bar. */
const VALUE_ROOM = 60;
const INK = '#3f3f46';
const PAPER = '#ffffff';
const TITLE = '#18181b';
const SUBTITLE = '#52525b';
const GRID = '#e4e4e7';
/** Line of an axis in ECharts' theme. */
const AXIS = '#54555a';
/** Each grey on a dark page. The colours of the bars suit both. */
const DARK: Readonly<Record<string, string>> = {
  [INK]: '#d4d4d8',
  [PAPER]: '#18181b',
  [TITLE]: '#fafafa',
  [SUBTITLE]: '#c4c4cc',
  [GRID]: '#3f3f46',
  [AXIS]: '#a1a1aa',
  '#332288': '#8b7fe8',
};
/**
 * Colours for people with colour vision deficiency: those of Okabe and Ito, with grey for their
 * black, and of Tol.
 */
const COLOURS =
  '#0072b2 #e69f00 #009e73 #cc79a7 #d55e00 #56b4e9 #8c8c8c #f0e442 #332288 #882255'.split(' ');

/**
 * A table as bars with their brackets, in SVG. The same table gives the same bytes.
 *
 * @param head - The machine and the versions, which the chart names.
 */
export async function chartOf(table: Table, head: Head): Promise<string> {
  const { init } = await loadEcharts();
  const series = table.series.filter(({ name }) => name !== BUSY_COLUMN);
  const names = series.map(({ name }) => name);
  const header = HEADER + (head.target === undefined ? 0 : TARGET_LINE);
  const top = header + LEGEND_LINE_HEIGHT * Math.ceil(names.length / LEGEND_LINE);
  const height = top + 40 + table.labels.length * (14 + series.length * BAR);
  const axis = valueAxis(series.flatMap(({ values }) => values.flatMap(endsOf)));
  const picture = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  picture.setOption({
    animation: false,
    color: COLOURS,
    // The picture has its own background, in both colour schemes.
    backgroundColor: PAPER,
    textStyle: { fontFamily: 'Helvetica, Arial, sans-serif', color: INK },
    title: {
      text: table.title,
      subtext: [
        table.unit,
        ...(head.target === undefined ? [] : [`figures of ${head.target}`]),
        machineLine(head.machine),
        `${versionLine(head)}, ${head.date.slice(0, 10)}`,
      ].join('\n'),
      left: 12,
      top: 12,
      textStyle: { fontSize: 15, color: TITLE },
      subtextStyle: { fontSize: 11, lineHeight: 15, color: SUBTITLE },
    },
    legend: {
      top: header,
      left: 12,
      itemGap: 24,
      // ECharts starts a line at ''.
      data: names.flatMap((name, i) => (i > 0 && i % LEGEND_LINE === 0 ? ['', name] : [name])),
    },
    grid: {
      left: 36,
      right: VALUE_ROOM,
      top: top + 8,
      bottom: 8,
      outerBoundsMode: 'same',
      outerBoundsContain: 'axisLabel',
    },
    xAxis: axis,
    yAxis: {
      type: 'category',
      inverse: true,
      data: table.labels.map(inWords),
      axisTick: { show: false },
      axisLabel: { color: INK, interval: 0, width: 230, overflow: 'break' },
    },
    series: [
      ...series.map(({ name, values }) => ({
        type: 'bar',
        name,
        barGap: BAR_GAP,
        barCategoryGap: GROUP_GAP,
        data: values.map((value) => endsOf(value)[0] ?? null),
      })),
      ...series.map(({ values }, i) => ({
        type: 'custom',
        silent: true,
        z: 5,
        encode: { x: [1, 2, 3], y: 0 },
        data: values.flatMap((value, row) => (value === null ? [] : [[row, ...endsOf(value)]])),
        renderItem: ({ dataIndex }: { dataIndex: number }, api: BracketApi) =>
          bracket(api, {
            index: i,
            count: series.length,
            log: axis['type'] === 'log',
            text: textsOf(values)[dataIndex]!,
          }),
      })),
    ],
  });
  const svg = picture.renderToSVGString();
  picture.dispose();
  return withDarkColours(withoutEvents(svg));
}

/** ECharts takes half a second to load, so only a command that draws loads it. */
async function loadEcharts() {
  const [core, charts, components, renderers] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers'),
  ]);
  const { GridComponent, LegendComponent, TitleComponent } = components;
  core.use([charts.BarChart, charts.CustomChart, renderers.SVGRenderer]);
  core.use([GridComponent, LegendComponent, TitleComponent]);
  return core;
}

/**
 * A browser applies the colour scheme of the page to its pictures. Rules of a style sheet win
 * over attributes.
 */
function withDarkColours(svg: string): string {
  const rules = Object.entries(DARK).map(
    ([light, dark]) => `[fill="${light}"]{fill:${dark}}[stroke="${light}"]{stroke:${dark}}`,
  );
  const style = `<style>@media (prefers-color-scheme:dark){${rules.join('')}}</style>`;
  return svg.replace(/<svg [^>]*>/, (start) => `${start}\n${style}`);
}

/**
 * The label of a row in words: `64 x 16 x 1 KiB` is `64 clients, 16 in flight, 1 KiB`. Rows of other
 * forms stay.
 */
function inWords(label: string): string {
  const clients = (count: string): string => (count === '1' ? '1 client' : `${count} clients`);
  return label
    .replace(
      /(?<![\d,])([\d,]+) x ([\d,]+) x /,
      (_, n, depth) => `${clients(n)}, ${depth} in flight, `,
    )
    .replace(/(?<![\d,])([\d,]+) x ([\d,]+)$/, (_, n, depth) => `${clients(n)}, ${depth} in flight`)
    .replace(/ x (\d+) (?=shared$|takeover$)/, ', $1 in flight, ');
}

/** A logarithmic axis for values of different magnitudes. */
function valueAxis(values: readonly number[]): Option {
  const least = Math.min(...values);
  const log = least > 0 && Math.max(...values) >= 10 * least;
  return {
    type: log ? 'log' : 'value',
    ...(log && { min: 10 ** Math.floor(Math.log10(least) - 1e-9) }),
    axisLabel: { color: INK, formatter: (value: number) => `${Number(value.toPrecision(6))}` },
    splitLine: { lineStyle: { color: GRID } },
  };
}

/** The median, the least and the most; nothing for a value that was not measured. */
function endsOf(value: Value): number[] {
  const range = rangeOf(value);
  return range === undefined ? [] : [range.median, range.least, range.most];
}

/** The texts beside the bars of the measured values. */
function textsOf(values: readonly Value[]): string[] {
  return values.flatMap((value) => {
    if (value === null) return [];
    if (typeof value === 'number') return [number(value)];
    return [`${number(value.median)}${value.marked === true ? '*' : ''}`];
  });
}

/** The used part of the argument that ECharts passes to `renderItem`. */
interface BracketApi {
  value(dimension: number): number;
  coord(data: readonly number[]): number[];
  barLayout(options: object): { offsetCenter: number; width: number }[];
}

/**
 * A line from the least to the most, and the median as text. Bars of a logarithmic axis begin at 1:
 * that of a smaller value grows to the left, and its text stands there.
 */
function bracket(
  api: BracketApi,
  { index, count, log, text }: { index: number; count: number; log: boolean; text: string },
): Option {
  const at = (dimension: number): number[] => api.coord([api.value(dimension), api.value(0)]);
  const [[end = 0, middle = 0], [from = 0], [to = 0]] = [at(1), at(2), at(3)];
  const { offsetCenter, width } = api.barLayout({
    count,
    barGap: BAR_GAP,
    barCategoryGap: GROUP_GAP,
  })[index]!;
  const y = middle + offsetCenter;
  const arm = width / 4;
  const path = `M${from},${y}H${to}M${from},${y - arm}V${y + arm}M${to},${y - arm}V${y + arm}`;
  const line = (stroke: string, lineWidth: number): Option => ({
    type: 'path',
    shape: { pathData: path },
    style: { stroke, lineWidth, fill: 'none' },
  });
  const beside =
    log && api.value(1) < 1
      ? { x: Math.min(from, end) - 5, align: 'right' }
      : { x: Math.max(to, end) + 5 };
  const value = {
    type: 'text',
    style: { text, ...beside, y, fill: INK, fontSize: 11, verticalAlign: 'middle' },
  };
  // A rim makes the part of the bracket on the bar visible.
  const lines = from === to ? [] : [line(PAPER, 3.5), line(INK, 1.25)];
  return { type: 'group', children: [...lines, value] };
}

/** Removes hover styles. Renumbers the ids, which ECharts counts across pictures. */
function withoutEvents(svg: string): string {
  const names = new Map<string, string>();
  return svg
    .replace(/<style\s*>.*?<\/style>\s*/gs, '')
    .replace(/ (?:class|ecmeta_\w+)="[^"]*"/g, '')
    .replace(/\bzr\d+-\w+/g, (name) => {
      if (!names.has(name)) names.set(name, `part-${names.size}`);
      return names.get(name)!;
    });
}
