import { chartOf } from './chart.ts';
import { type Head, machineLine, versionLine } from './head.ts';
import { type Table, valueText } from './table.ts';

const STYLE = `
:root { color-scheme: light dark; }
body { max-width: 800px; margin: 24px auto; padding: 0 16px; font: 16px/1.5 system-ui, sans-serif; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; }
dd { margin: 0; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; }
details, pre { overflow-x: auto; }
.warning { border-left: 4px solid #d55e00; padding-left: 12px; }
td, th { padding: 2px 12px 2px 0; text-align: right; white-space: nowrap; }
td:first-child { text-align: left; }
`;

/**
 * A report as one HTML file without scripts, other files or network.
 *
 * @param text - The terminal output.
 * @param warnings - Why the figures may not be those of a quiet machine.
 */
export async function pageOf(
  head: Head,
  tables: readonly Table[],
  text: string,
  warnings: readonly string[] = [],
): Promise<string> {
  const sections = await Promise.all(tables.map((table) => sectionOf(table, head)));
  const title = `ws-bench ${head.scenario}`;
  const facts = [
    ...(head.target === undefined ? [] : [['Figures of', head.target] as const]),
    ['Command', head.command],
    ['Date', head.date],
    ['Machine', machineLine(head.machine)],
    [head.target === undefined ? 'Versions' : 'Load', versionLine(head)],
  ] as const;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${title}</h1>
<dl>
${facts.map(([name, value]) => `<dt>${name}</dt><dd>${escaped(value)}</dd>`).join('\n')}
</dl>
${warnings.map((line) => `<p class="warning">Warning: ${escaped(line)}</p>\n`).join('')}${sections.join('\n')}
<details><summary>Terminal output</summary><pre>${escaped(text)}</pre></details>
</body>
</html>
`;
}

async function sectionOf(table: Table, head: Head): Promise<string> {
  const { title, note, labels, series } = table;
  const rows = labels.map((label, row) => [
    label,
    ...series.map(({ values }) => valueText(values[row], ' to ')),
  ]);
  const line = (cells: readonly string[], tag: string): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escaped(cell)}</${tag}>`).join('')}</tr>`;
  return `<h2>${escaped(title)}</h2>
${note === undefined ? '' : `<p>${escaped(note)}</p>`}
${await chartOf(table, head)}
<details><summary>The figures</summary>
<table>
${line(['', ...series.map(({ name }) => name)], 'th')}
${rows.map((row) => line(row, 'td')).join('\n')}
</table></details>`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
