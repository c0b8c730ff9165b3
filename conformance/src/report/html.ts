import type { CaseResult, Verdict } from '../model/case.ts';
import { WEIGHTS } from '../model/weights.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import { badgeReport } from './badge.ts';
import {
  type Finding,
  type FindingCounts,
  findingCountsOf,
  findingsOf,
  titlesText,
} from './findings.ts';
import { escapeMarkup } from './markup.ts';
import { byChapter, countsText, explainedIn, lineText } from './text.ts';

const STYLE = `
:root { color-scheme: light dark; --pass: #1a7f37; --fail: #c62828; --non-strict: #9a6700; --advice: #0969da; --skipped: #6e7781; --error: #8250df; --line: #d0d7de; --soft: #f6f8fa }
@media (prefers-color-scheme: dark) { :root { --pass: #3fb950; --fail: #ff7b72; --non-strict: #d29922; --advice: #58a6ff; --skipped: #8b949e; --error: #d2a8ff; --line: #3d444d; --soft: #151b23 } body { background: #0d1117; color: #f0f6fc } a { color: #58a6ff } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .25rem 0 }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
summary { cursor: pointer; padding: .5rem 0 }
details { border-bottom: 1px solid var(--line) }
details details { margin-left: 1rem }
pre { font-size: .8rem; white-space: pre-wrap; background: var(--soft); padding: .75rem; border-radius: .4rem }
dl { margin: 0 0 .5rem } dt { font-weight: 600 } dd { margin: 0 0 .25rem }
.weights { width: auto } .weight { font-size: .8em; border: 1px solid currentColor; border-radius: .3rem; padding: 0 .3rem }
.verdict { font-weight: 600 } .pass { color: var(--pass) } .fail { color: var(--fail) }
.non-strict { color: var(--non-strict) } .skipped { color: var(--skipped) }
.advice { color: var(--advice) } .error { color: var(--error) }
code { font-size: .9em }
.bar { display: flex; height: .6rem; border-radius: .3rem; overflow: hidden; background: var(--line) }
.bar i { background: currentColor }
.all { height: 1rem; margin: .75rem 0 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child { text-align: left }
table { overflow-wrap: normal } th { font-weight: 600; font-size: .85rem }
td.zero { opacity: .35 } td.share { width: 30% }
#filter { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; margin: .5rem 0 1rem }
#filter input[type=search] { font: inherit; padding: .35rem .6rem; flex: 1 1 14rem; min-width: 0; border: 1px solid var(--line); border-radius: .4rem; background: var(--soft); color: inherit }
[hidden] { display: none }
@media (max-width: 40rem) { td.share, th.share { display: none } th, td { padding: .25rem .15rem; font-size: .85rem } th { font-size: .65rem } details details { margin-left: .25rem } }
`;

/** The page works without it: then it shows every case. */
const SCRIPT = `
const form = document.getElementById('filter');
form.hidden = false;
form.onsubmit = (event) => event.preventDefault();
form.oninput = () => {
  const words = form.words.value.toLowerCase();
  const shown = new Set([...form.querySelectorAll(':checked')].map((box) => box.name));
  const filters = words !== '' || form.querySelector('[type=checkbox]:not(:checked)') !== null;
  for (const chapter of document.querySelectorAll('.chapter')) {
    let any = false;
    for (const one of chapter.querySelectorAll('.case')) {
      const fits = shown.has(one.dataset.verdict) && one.firstChild.textContent.toLowerCase().includes(words);
      one.hidden = !fits;
      any ||= fits;
    }
    chapter.hidden = !any;
    chapter.open = any && filters;
  }
};
`;

/** The columns of the matrix. */
const VERDICTS: readonly Verdict[] = ['pass', 'fail', 'non-strict', 'advice', 'skipped', 'error'];

/**
 * Formats a report as one HTML page without external resources: chapters, cases, transcripts.
 *
 * Call it like {@link textReport}.
 */
export function htmlReport(report: SuiteReport): string {
  const title = `conformance of the ${report.role} ${report.target}`;
  const findings = findingsOf(report.results);
  // A finding shows the bytes of its first case.
  const examples = new Set(findings.map(({ results: [first] }) => first!.id));
  const verdicts = VERDICTS.filter((verdict) => verdict !== 'error' || report.counts.error > 0);
  const chapters = byChapter(report.results).map(
    ({ number, title, results }) =>
      `<details class="chapter" id="chapter${number}"><summary><b>${number} ${escapeMarkup(title)}</b> ${casesText(results)}</summary>${results.map((one) => caseHtml(one, examples.has(one.id))).join('')}</details>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)}</title><style>${STYLE}</style></head><body>
${badgeReport(report)}<h1>${escapeMarkup(title)}</h1>
<p>${report.results.length} cases, ${escapeMarkup(report.started)}, ${(report.ms / 1000).toFixed(1)} s: ${casesText(report.results)}</p>
${barHtml(report.results, 'all')}
${matrixHtml(report.results, verdicts)}
${findings.length > 0 ? `<h2>findings</h2>${weightsHtml(findingCountsOf(findings))}${findings.map(findingHtml).join('')}` : ''}
<h2>all cases</h2>
${filterHtml(verdicts)}
${chapters.join('\n')}
<script>${SCRIPT}</script></body></html>
`;
}

/** Formats the counts and causes of some results. */
function casesText(results: readonly CaseResult[]): string {
  return countsText(countsOf(results), findingCountsOf(findingsOf(results)));
}

/** A bar of the share of each verdict. */
function barHtml(results: readonly CaseResult[], extra = ''): string {
  const counts = countsOf(results);
  const shares = VERDICTS.filter((verdict) => counts[verdict] > 0).map(
    (verdict) => `<i class="${verdict}" style="flex-grow:${counts[verdict]}"></i>`,
  );
  return `<div class="bar ${extra}" role="img" aria-label="${casesText(results)}">${shares.join('')}</div>`;
}

/** The matrix: a row for each chapter, a column for each verdict. */
function matrixHtml(results: readonly CaseResult[], verdicts: readonly Verdict[]): string {
  const rows = byChapter(results).map(({ number, title, results }) => {
    const counts = countsOf(results);
    const cells = verdicts.map((verdict) =>
      counts[verdict] === 0
        ? '<td class="zero">0</td>'
        : `<td class="${verdict}">${counts[verdict]}</td>`,
    );
    return `<tr><td><a href="#chapter${number}">${number} ${escapeMarkup(title)}</a></td>${cells.join('')}<td class="share">${barHtml(results)}</td></tr>`;
  });
  const heads = verdicts.map((verdict) => `<th>${verdict}</th>`).join('');
  return `<table><tr><th>chapter</th>${heads}<th class="share"></th></tr>${rows.join('\n')}</table>`;
}

/** The causes: a row for each weight, a column for each verdict. */
function weightsHtml(found: FindingCounts): string {
  const verdicts = explainedIn(found);
  const heads = verdicts.map((verdict) => `<th>${verdict}</th>`).join('');
  const rows = WEIGHTS.map((weight) => {
    const cells = verdicts.map((verdict) =>
      found[verdict][weight] === 0
        ? '<td class="zero">0</td>'
        : `<td class="${verdict}">${found[verdict][weight]}</td>`,
    );
    return `<tr><td>${weight}</td>${cells.join('')}</tr>`;
  });
  return `<table class="weights"><tr><th>causes by weight</th>${heads}</tr>${rows.join('')}</table>`;
}

function filterHtml(verdicts: readonly Verdict[]): string {
  const boxes = verdicts.map(
    (verdict) =>
      `<label class="${verdict}"><input type="checkbox" name="${verdict}" checked> ${verdict}</label>`,
  );
  return `<form id="filter" hidden><input type="search" name="words" placeholder="id or words of the title" aria-label="id or words of the title">${boxes.join('')}</form>`;
}

function findingHtml({ verdict, weight, results }: Finding): string {
  const links = results.map(
    ({ id, title }) => `<li><a href="#c${id}">${id}</a> ${escapeMarkup(title)}</li>`,
  );
  const count = results.length === 1 ? '1 case' : `${results.length} cases`;
  const [{ because, expects, section, level }] = results as [CaseResult];
  return `<details><summary><span class="verdict ${verdict}">${verdict}</span> ${weightHtml(weight)} ${count}: ${escapeMarkup(titlesText(results))}<br>${escapeMarkup(because.join('; '))}</summary>
<dl><dt>expected</dt><dd>${escapeMarkup(expects)}</dd><dt>source</dt><dd>${escapeMarkup(section)} (${level})</dd></dl><ul>${links.join('')}</ul></details>
`;
}

function weightHtml(weight: string): string {
  return `<span class="weight">${weight}</span>`;
}

function caseHtml(result: CaseResult, showsBytes: boolean): string {
  const { id, title, verdict, transcript } = result;
  const open = showsBytes && verdict === 'fail' ? ' open' : '';
  const because = result.because.map((words) => `<dd>${escapeMarkup(words)}</dd>`).join('');
  // The transcripts of all cases would add megabytes to the page.
  const wire = !showsBytes ? '' : `<pre>${escapeMarkup(transcript.map(lineText).join('\n'))}</pre>`;
  return `<details class="case" data-verdict="${verdict}" id="c${id}"${open}><summary><span class="verdict ${verdict}">${verdict}</span> <code>${id}</code> ${escapeMarkup(title)} ${verdict === 'pass' ? '' : weightHtml(result.weight)}</summary>
<dl><dt>expected</dt><dd>${escapeMarkup(result.expects)}</dd><dt>source</dt><dd>${escapeMarkup(result.section)} (${result.level}), ${result.weight}</dd>${because === '' ? '' : `<dt>found</dt>${because}`}</dl>${wire}</details>
`;
}
