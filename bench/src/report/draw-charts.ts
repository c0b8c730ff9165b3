// Runs in the HTML page of a report. Draws its charts, and redraws them when the window or the
// colour scheme changes.
import { BarChart, CustomChart, LineChart } from 'echarts/charts';
import {
  AriaComponent,
  GridComponent,
  LegendComponent,
  LegendScrollComponent,
  MarkLineComponent,
  TooltipComponent,
} from 'echarts/components';
import { type EChartsType, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Chart } from './chart.ts';
import { heightOf, optionOf } from './chart-option.ts';

/** Width in pixels from which a chart shows long labels. */
const WIDE = 600;

use([
  AriaComponent,
  BarChart,
  CustomChart,
  GridComponent,
  LegendComponent,
  LegendScrollComponent,
  LineChart,
  MarkLineComponent,
  SVGRenderer,
  TooltipComponent,
]);

// The used parts of the DOM. The workspace has no DOM types.
interface PageElement {
  readonly clientWidth: number;
  readonly textContent: string;
  readonly style: { height: string };
  open: boolean;
}
declare const document: {
  querySelector(selector: string): PageElement | null;
  querySelectorAll(selector: string): Iterable<PageElement>;
};
declare function matchMedia(query: string): {
  readonly matches: boolean;
  addEventListener(type: 'change', listener: () => void): void;
};
declare function addEventListener(type: string, listener: () => void): void;

const charts = JSON.parse(document.querySelector('#charts')!.textContent) as readonly Chart[];
const scheme = matchMedia('(prefers-color-scheme: dark)');
const drawn: { chart: Chart; element: PageElement; picture: EChartsType }[] = [];

function draw(): void {
  for (const { chart, element, picture } of drawn) {
    const narrow = element.clientWidth < WIDE;
    picture.resize();
    picture.setOption(
      { ...optionOf(chart, { dark: scheme.matches, narrow }), aria: { enabled: true } },
      { notMerge: true },
    );
  }
}

[...document.querySelectorAll('.chart')].forEach((element, i) => {
  const chart = charts[i]!;
  element.style.height = `${heightOf(chart)}px`;
  drawn.push({ chart, element, picture: init(element, null, { renderer: 'svg' }) });
});
draw();
// The page opens its tables for readers without scripts.
for (const table of document.querySelectorAll('details.figures')) table.open = false;
scheme.addEventListener('change', draw);
addEventListener('resize', draw);
