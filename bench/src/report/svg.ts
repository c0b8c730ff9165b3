import { BarChart, CustomChart, LineChart } from 'echarts/charts';
import {
  GridComponent,
  LegendComponent,
  LegendScrollComponent,
  MarkLineComponent,
  TitleComponent,
  TooltipComponent,
} from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Chart } from './chart.ts';
import { heightOf, optionOf } from './chart-option.ts';
import { type Head, machineLine, versionLine } from './head.ts';
import type { BenchDocument } from './page.ts';

const WIDTH = 760;
/** Title and two lines of where the figures come from. */
const HEADER = 84;
/** Names of series in a line of the legend. */
const LEGEND_LINE = 4;
const LEGEND_GAP = 24;
/** Pixels from one line to the next. */
const LEGEND_LINE_HEIGHT = LEGEND_GAP + 14;

use([
  BarChart,
  CustomChart,
  GridComponent,
  LegendComponent,
  LegendScrollComponent,
  LineChart,
  MarkLineComponent,
  SVGRenderer,
  TitleComponent,
  TooltipComponent,
]);

/**
 * A document's charts as SVG files, each with the machine and the versions in its head. The same document gives the same
 * bytes.
 *
 * @param name - What the file names begin with.
 * @returns File name and content.
 * @throws Error for two charts of one title.
 */
export function svgFiles(name: string, document: BenchDocument): Map<string, string> {
  const files = new Map<string, string>();
  for (const chart of document.charts) {
    const file = svgName(name, chart);
    if (files.has(file)) throw new Error(`${name}: two charts are called '${chart.title}'`);
    files.set(file, svgOf(chart, document.head));
  }
  return files;
}

/** What the file of a chart is called. */
export function svgName(name: string, { title }: Pick<Chart, 'title'>): string {
  return `${name}-${slug(title)}.svg`;
}

/** One chart as an SVG file, with the machine and the versions of `head`. */
export function svgOf(chart: Chart, head: Head): string {
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
    // A README may be light or dark: the picture brings its own paper.
    backgroundColor: '#ffffff',
    textStyle: { ...textStyle, fontFamily: 'Helvetica, Arial, sans-serif' },
    // The width of text is guessed here, and a reader's letters may be wider.
    legend: {
      ...legend,
      top: HEADER + legend.top,
      left: 12,
      itemGap: 36,
      // Nobody can turn the pages of a legend in a picture: all its lines are shown. To echarts '' is the end of one.
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
  return `${still(svg).replace(/^<svg /, `<svg role="img" aria-label="${attribute(chart.title)}" `)}\n`;
}

/** Without what a mouse would change; and echarts numbers its parts on from picture to picture, which nobody needs. */
function still(svg: string): string {
  const names = new Map<string, string>();
  return svg
    .replace(/<style\s*>.*?<\/style>\s*/gs, '')
    .replace(/ (?:class|ecmeta_\w+)="[^"]*"/g, '')
    .replace(/\bzr\d+-\w+/g, (name) => {
      if (!names.has(name)) names.set(name, `part-${names.size}`);
      return names.get(name)!;
    });
}

/** As a file name. */
function slug(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
}

function attribute(text: string): string {
  return text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
}
