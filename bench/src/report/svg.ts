import type * as EchartsCore from 'echarts/core';
import type { Chart } from './chart.ts';
import { heightOf, optionOf } from './chart-option.ts';
import { type Head, machineLine, versionLine } from './head.ts';
import type { BenchDocument } from './html-page.ts';

const WIDTH = 760;
/** Pixels for the title and two lines of origin. */
const HEADER = 84;
/** Names of series in one line of the legend. */
const LEGEND_LINE = 4;
const LEGEND_GAP = 24;
/** Pixels from one line to the next. */
const LEGEND_LINE_HEIGHT = LEGEND_GAP + 14;

let echarts: Promise<typeof EchartsCore> | undefined;

/** Loads ECharts on first use: a process that measures does without it. */
async function loadEcharts(): Promise<typeof EchartsCore> {
  const [core, charts, components, renderers] = await Promise.all([
    import('echarts/core'),
    import('echarts/charts'),
    import('echarts/components'),
    import('echarts/renderers'),
  ]);
  core.use([
    charts.BarChart,
    charts.CustomChart,
    components.GridComponent,
    components.LegendComponent,
    components.LegendScrollComponent,
    charts.LineChart,
    components.MarkLineComponent,
    renderers.SVGRenderer,
    components.TitleComponent,
    components.TooltipComponent,
  ]);
  return core;
}

/**
 * A document's charts as SVG files with the machine and the versions in their heads. The same
 * document gives the same bytes.
 *
 * @param name - Prefix of the file names.
 * @returns File name and content.
 * @throws Error for two charts with one title.
 */
export async function svgFiles(
  name: string,
  document: BenchDocument,
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const chart of document.charts) {
    const file = svgName(name, chart);
    if (files.has(file)) throw new Error(`${name}: two charts are called '${chart.title}'`);
    files.set(file, await svgOf(chart, document.head));
  }
  return files;
}

/** The file name of a chart. */
export function svgName(name: string, { title }: Pick<Chart, 'title'>): string {
  return `${name}-${slug(title)}.svg`;
}

/** One chart as SVG, with the machine and the versions of `head`. */
export async function svgOf(chart: Chart, head: Head): Promise<string> {
  echarts ??= loadEcharts();
  const { init } = await echarts;
  const names = chart.series.map(({ name }) => name);
  const more = LEGEND_LINE_HEIGHT * (Math.ceil(names.length / LEGEND_LINE) - 1);
  const height = HEADER + more + heightOf(chart);
  const picture = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  const option = optionOf(chart, { dark: false, narrow: false });
  const { legend, grid, textStyle } = option as {
    legend: { top: number };
    grid: { top: number };
    textStyle: object;
  };
  picture.setOption({
    ...option,
    // A README may be light or dark, so the picture has its own background.
    backgroundColor: '#ffffff',
    textStyle: { ...textStyle, fontFamily: 'Helvetica, Arial, sans-serif' },
    // The width of text is an estimate, and the reader's font may be wider.
    legend: {
      ...legend,
      top: HEADER + legend.top,
      left: 12,
      itemGap: 36,
      // A picture cannot scroll a legend, so it shows all lines. ECharts starts a line at ''.
      ...(more > 0 && {
        type: 'plain',
        itemGap: LEGEND_GAP,
        data: names.flatMap((name, i) => (i > 0 && i % LEGEND_LINE === 0 ? ['', name] : [name])),
      }),
    },
    grid: { ...grid, top: HEADER + more + grid.top, left: 16 },
    title: {
      text: `${chart.title} (${chart.unit})`,
      subtext: `${machineLine(head)}\n${versionLine(head)}, ${head.date.slice(0, 10)}`,
      left: 12,
      top: 12,
      itemGap: 6,
      textStyle: { fontSize: 15, color: '#18181b' },
      subtextStyle: { fontSize: 11, lineHeight: 15, color: '#52525b' },
    },
  });
  const svg = picture.renderToSVGString();
  picture.dispose();
  return `${staticSvg(svg).replace(/^<svg /, `<svg role="img" aria-label="${attribute(chart.title)}" `)}\n`;
}

/**
 * Removes hover styles and event metadata. Renumbers the ids, which ECharts counts across pictures.
 */
function staticSvg(svg: string): string {
  const names = new Map<string, string>();
  return svg
    .replace(/<style\s*>.*?<\/style>\s*/gs, '')
    .replace(/ (?:class|ecmeta_\w+)="[^"]*"/g, '')
    .replace(/\bzr\d+-\w+/g, (name) => {
      if (!names.has(name)) names.set(name, `part-${names.size}`);
      return names.get(name)!;
    });
}

/** A title as a part of a file name. */
function slug(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

function attribute(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
