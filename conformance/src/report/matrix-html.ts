import type { CaseResult } from '../model/case.ts';
import { WEIGHTS } from '../model/weights.ts';
import { countsOf } from '../run/suite-report.ts';
import { escapeMarkup } from './markup.ts';
import {
  type Agent,
  agentFindings,
  LETTERS,
  type Matrix,
  type MatrixRow,
  NOT_RUN,
  rowsByChapter,
  VERDICTS,
} from './matrix.ts';
import { countsText, explainedIn } from './text.ts';

/** The colours are those of Okabe and Ito, which the colour-blind can tell apart. */
const STYLE = `
:root { color-scheme: light dark; --line: #c4ccd4; --soft: #f3f5f7; --page: #fff; --text: #16191d }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #171c23; --page: #0d1117; --text: #f0f6fc } a { color: #58a6ff } }
* { box-sizing: border-box }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 90rem; margin: 0 auto; padding: 1rem; background: var(--page); color: var(--text) }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .25rem 0 } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
.scroll { overflow-x: auto; max-width: 100% } #cases { overflow: visible }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .5rem; border: 1px solid var(--line); text-align: left; vertical-align: top }
thead th { position: sticky; top: 0; background: var(--soft); z-index: 1 }
td.v { text-align: center; min-width: 2.2rem; font-weight: 700; color: #111 } td.n { text-align: right }
.v b { display: inline-block; padding: 0 .35rem; border-radius: .25rem; color: #111; margin: 0 .1rem }
.pass { background: #cfeae0 } .fail { background: #d55e00 } .non-strict { background: #e69f00 }
.advice { background: #56b4e9 } .skipped { background: #d9d9d9 } .error { background: #cc79a7 } .none { background: none; color: inherit !important }
td.fail { outline: 2px solid #111; outline-offset: -3px }
.legend b { display: inline-block; min-width: 1.4rem; text-align: center; color: #111; border-radius: .25rem; margin-left: .6rem }
tr.group th { background: var(--soft) } small { opacity: .8; overflow-wrap: anywhere }
#filter { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; margin: .5rem 0 1rem }
#filter input[type=search] { font: inherit; padding: .35rem .6rem; flex: 1 1 14rem; min-width: 0; border: 1px solid var(--line); border-radius: .4rem; background: var(--soft); color: inherit }
[hidden] { display: none !important }
`;

/** The page works without it: then it shows every case, the differing ones first. */
const SCRIPT = `
const form = document.getElementById('filter');
form.hidden = false;
form.onsubmit = (event) => event.preventDefault();
form.oninput = () => {
  const words = form.words.value.toLowerCase();
  const off = new Set([...form.querySelectorAll('.weight:not(:checked)')].map((box) => box.name));
  const any = new Set([...form.querySelectorAll('.verdict:checked')].map((box) => box.name));
  for (const body of document.querySelectorAll('#cases tbody')) {
    let shown = 0;
    for (const row of body.querySelectorAll('tr[data-verdicts]')) {
      const verdicts = row.dataset.verdicts.split(' ');
      row.hidden = off.has(row.dataset.weight) || !verdicts.some((one) => any.has(one)) || !row.textContent.toLowerCase().includes(words);
      if (!row.hidden) shown++;
    }
    body.hidden = shown === 0 || (form.differing.checked && body.id === 'same');
  }
};
form.oninput();
`;

/**
 * Formats reports side by side as one HTML page without external resources: targets, causes by
 * weight, chapters by target, then cases by target, the differing ones first.
 */
export function matrixHtml(matrix: Matrix): string {
  const { role, agents, rows } = matrix;
  const title = `conformance of ${agents.length === 1 ? `a ${role}` : `${agents.length} ${role}s`}`;
  const differing = rows.filter(({ differs }) => differs);
  const equal = rows.filter(({ differs }) => !differs);
  const names = agents.map(({ name }) => `<th scope="col">${escapeMarkup(name)}</th>`).join('');
  const legend = VERDICTS.map((one) => `<b class="${one}">${LETTERS[one]}</b> ${one}`).join(' ');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeMarkup(title)}</h1>
<p>${differing.length} of ${rows.length} cases differ.</p>
<p class="legend">${legend} <b>${NOT_RUN}</b> not in the report</p>
<div class="scroll"><table><thead><tr><th>target</th><th>address or command</th><th>run</th><th>cases</th></tr></thead><tbody>${agents.map(agentHtml).join('\n')}</tbody></table></div>
<h2>causes by weight</h2>
<div class="scroll"><table><thead><tr><th>verdict and weight</th>${names}</tr></thead><tbody>${causesHtml(agents)}</tbody></table></div>
<h2>groups</h2>
<div class="scroll"><table><thead><tr><th>chapter</th>${names}</tr></thead><tbody>${groupsHtml(matrix)}</tbody></table></div>
<h2>cases</h2>
${filterHtml()}
<table id="cases"><thead><tr><th>id</th>${names}<th>weight</th><th>case</th></tr></thead>
${bodyHtml('differing', `${differing.length} differing cases`, differing, agents)}
${bodyHtml('same', `${equal.length} cases with the same verdict everywhere`, equal, agents)}</table>
<script>${SCRIPT}</script></body></html>
`;
}

function agentHtml(agent: Agent): string {
  const { name, report, complete } = agent;
  const stopped = complete ? '' : ', stopped';
  const counts = countsText(report.counts, agentFindings(agent));
  return `<tr><th scope="row">${escapeMarkup(name)}</th><td>${escapeMarkup(report.target)}</td><td>${escapeMarkup(report.started)}${stopped}</td><td>${counts}</td></tr>`;
}

function causesHtml(agents: readonly Agent[]): string {
  const found = agents.map(agentFindings);
  const verdicts = [...new Set(found.flatMap(explainedIn))];
  const rows = verdicts.flatMap((verdict) =>
    WEIGHTS.map((weight) => {
      const cells = found.map((counts) => `<td class="n">${counts[verdict][weight]}</td>`);
      return `<tr><th scope="row">${verdict}, ${weight}</th>${cells.join('')}</tr>`;
    }),
  );
  return rows.join('\n');
}

/** A row for each chapter, with the counts of each agent. */
function groupsHtml({ agents, rows }: Matrix): string {
  const groups = rowsByChapter(rows).map(([title, some]) => {
    const cells = agents.map((_, at) => {
      const counts = countsOf(some.flatMap(({ results }) => results[at] ?? []));
      const words = VERDICTS.filter((verdict) => counts[verdict] > 0).map(
        (verdict) => `<b class="${verdict}">${counts[verdict]} ${LETTERS[verdict]}</b>`,
      );
      return `<td class="v">${words.join('') || NOT_RUN}</td>`;
    });
    return `<tr><th scope="row">${escapeMarkup(title)}</th>${cells.join('')}</tr>`;
  });
  return groups.join('\n');
}

function filterHtml(): string {
  const box = (kind: string, name: string): string =>
    `<label><input type="checkbox" class="${kind}" name="${name}" checked> ${name}</label>`;
  const weights = WEIGHTS.map((weight) => box('weight', weight)).join('');
  const verdicts = VERDICTS.map((verdict) => box('verdict', verdict)).join('');
  return `<form id="filter" hidden><label><input type="checkbox" name="differing" checked> only differing cases</label><input type="search" name="words" placeholder="id or words of the title" aria-label="id or words of the title">${weights}${verdicts}</form>`;
}

function bodyHtml(
  id: string,
  title: string,
  rows: readonly MatrixRow[],
  agents: readonly Agent[],
): string {
  if (rows.length === 0) return '';
  const head = `<tr class="group"><th colspan="${agents.length + 3}">${title}</th></tr>`;
  return `<tbody id="${id}">${head}${rows.map((row) => rowHtml(row, agents)).join('\n')}</tbody>`;
}

function rowHtml({ facts, results, differs }: MatrixRow, agents: readonly Agent[]): string {
  const verdicts = new Set(results.flatMap((result) => result?.verdict ?? []));
  const reasons = agents.map(({ name }, at) => reasonHtml(name, results[at])).join('');
  return `<tr data-verdicts="${[...verdicts].join(' ')}" data-weight="${facts.weight}"><th scope="row">${facts.id}</th>${results.map(cellHtml).join('')}<td>${facts.weight}</td><td>${escapeMarkup(facts.title)}${differs ? reasons : ''}</td></tr>`;
}

function cellHtml(result: CaseResult | undefined): string {
  if (result === undefined) return `<td class="v none">${NOT_RUN}</td>`;
  const { verdict, because } = result;
  const why = because.length === 0 ? verdict : `${verdict}: ${because.join('; ')}`;
  return `<td class="v ${verdict}" title="${escapeMarkup(why)}">${LETTERS[verdict]}</td>`;
}

function reasonHtml(name: string, result: CaseResult | undefined): string {
  if (result === undefined || result.because.length === 0) return '';
  return `<br><small>${escapeMarkup(`${name}: ${result.because.join('; ')}`)}</small>`;
}
