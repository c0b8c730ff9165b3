import { readFileSync } from 'node:fs';
import type { BarValue, Chart } from './chart.ts';
import { short } from './chart-option.ts';
import { type Head, machineLine, versionLine } from './head.ts';

/** The common part of every JSON document. */
export interface BenchDocument {
  readonly head: Head;
  readonly charts: readonly Chart[];
}

/** The script that draws the charts. It is a file beside the built command. */
export function readPageScript(): string {
  return readFileSync(new URL('./draw.js', import.meta.url), 'utf8');
}

const STYLE = `
:root { color-scheme: light dark; --ink: #18181b; --soft: #52525b; --line: #e4e4e7; --paper: #fff; --card: #fafafa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f4f4f5; --soft: #a1a1aa; --line: #3f3f46; --paper: #18181b; --card: #202024; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 1.5rem; margin: 0 0 12px; }
h2 { font-size: 1.1rem; margin: 0 0 2px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; font-size: .9rem; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
section { margin-top: 32px; padding: 16px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.unit, .note { margin: 0 0 8px; color: var(--soft); font-size: .9rem; }
.chart { width: 100%; }
summary { cursor: pointer; padding: 8px 0; font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { overflow-x: auto; margin: 0; font-size: .8rem; line-height: 1.4; }
@media (max-width: 600px) {
  dl { grid-template-columns: 1fr; }
  dd { margin-bottom: 6px; }
  section { padding: 12px; margin-left: -8px; margin-right: -8px; }
}
@media print { section { break-inside: avoid; } }
`;

/**
 * A report as one HTML file without other files or network.
 *
 * @param text - The terminal output.
 * @param script - Draws the charts. Without it the page shows their tables.
 */
export function pageOf({ head, charts }: BenchDocument, text: string, script: string): string {
  const title = `ws-bench ${head.scenario}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escape(title)}</h1>
<dl>
${facts(head)}
</dl>
${charts.map(section).join('\n')}
<section>
<h2>Terminal output</h2>
<pre tabindex="0">${escape(text)}</pre>
</section>
</main>
<script type="application/json" id="charts">${JSON.stringify(charts).replaceAll('<', '\\u003c')}</script>
<script>${script.replaceAll('</script', '<\\/script')}</script>
</body>
</html>
`;
}

function facts(head: Head): string {
  const rows: readonly (readonly [string, string])[] = [
    ['Command', head.command],
    ['Date', head.date],
    ['Machine', machineLine(head)],
    ['Versions', versionLine(head)],
  ];
  return rows.map(([name, value]) => `<dt>${name}</dt><dd>${escape(value)}</dd>`).join('\n');
}

function section(chart: Chart): string {
  const note = chart.note === undefined ? '' : `<p class="note">${escape(chart.note)}</p>`;
  return `<section>
<h2>${escape(chart.title)}</h2>
<p class="unit">${escape(chart.unit)}</p>
<div class="chart" role="img" aria-label="${escape(chart.title)}"></div>
${note}
<details class="figures" open><summary>The figures</summary>
<div class="scroll" tabindex="0">${figures(chart)}</div></details>
</section>`;
}

function figures(chart: Chart): string {
  if (chart.kind === 'bars') {
    const rows = chart.labels.map((label, row) => [
      label,
      ...chart.series.map(({ values }) => cell(values[row])),
    ]);
    return htmlTable(['', ...chart.series.map(({ name }) => name)], rows);
  }
  const axis = chart.kind === 'percentiles' ? 'percentile' : chart.axis;
  const places = [...new Set(chart.series.flatMap(({ points }) => points.map(([x]) => x)))];
  const rows = places
    .toSorted((a, b) => a - b)
    .map((place) => [
      `${Number(place.toFixed(6))}`,
      ...chart.series.map(({ points }) => short(points.find(([x]) => x === place)?.[1] ?? NaN)),
    ]);
  return htmlTable([axis, ...chart.series.map(({ name }) => name)], rows);
}

function cell(value: BarValue | undefined): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'number') return short(value);
  return `${short(value.median)} (${short(value.least)}-${short(value.most)})`;
}

function htmlTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((text) => `<${tag}>${escape(text)}</${tag}>`).join('')}</tr>`;
  return `<table><thead>${line(head, 'th')}</thead><tbody>${rows.map((row) => line(row, 'td')).join('')}</tbody></table>`;
}

/** Escapes text for HTML. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
