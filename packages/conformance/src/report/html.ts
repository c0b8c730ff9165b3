import type { CaseResult } from '../model/case.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import { type Finding, findingsOf } from './findings.ts';
import { byChapter, countsText, lineText } from './text.ts';

const STYLE = `
:root { color-scheme: light dark; --pass: #1a7f37; --fail: #c62828; --non-strict: #9a6700; --skipped: #6e7781; --advice: #57606a; --error: #c62828 }
@media (prefers-color-scheme: dark) { :root { --pass: #3fb950; --fail: #ff7b72; --non-strict: #d29922; --skipped: #8b949e; --advice: #8b949e; --error: #ff7b72 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; line-height: 1.25 }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
summary { cursor: pointer; padding: .5rem 0 }
details { border-bottom: 1px solid #8884 }
pre { font-size: .8rem; white-space: pre-wrap; background: #8881; padding: .75rem; border-radius: .4rem }
dl { margin: 0 0 .5rem } dt { font-weight: 600 } dd { margin: 0 0 .25rem }
.verdict { font-weight: 600 } .pass { color: var(--pass) } .fail { color: var(--fail) }
.non-strict { color: var(--non-strict) } .skipped { color: var(--skipped) }
.advice { color: var(--advice) } .error { color: var(--error) }
code { font-size: .9em }
`;

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
  const sections = byChapter(report.results).map(
    ({ number, title, results }) =>
      `<details><summary><b>${number} ${escapeMarkup(title)}</b> ${countsText(countsOf(results))}</summary>${results.map((one) => caseHtml(one, examples.has(one.id))).join('')}</details>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeMarkup(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeMarkup(title)}</h1>
<p>${report.results.length} cases, ${escapeMarkup(report.started)}, ${(report.ms / 1000).toFixed(1)} s: ${countsText(report.counts)}</p>
${findings.length > 0 ? `<h2>findings</h2>${findings.map(findingHtml).join('')}<h2>all cases</h2>` : ''}
${sections.join('\n')}
</body></html>
`;
}

function findingHtml({ verdict, results }: Finding): string {
  const links = results.map(({ id }) => `<a href="#c${id}">${id}</a>`).join(' ');
  const count = results.length === 1 ? '1 case' : `${results.length} cases`;
  const [{ because, expects, section, level }] = results as [CaseResult];
  return `<details><summary><span class="verdict ${verdict}">${verdict}</span> ${count}: ${escapeMarkup(because.join('; '))}</summary>
<dl><dt>expected</dt><dd>${escapeMarkup(expects)}</dd><dt>source</dt><dd>${escapeMarkup(section)} (${level})</dd></dl><p>${links}</p></details>
`;
}

function caseHtml(result: CaseResult, showsBytes: boolean): string {
  const { id, title, verdict, transcript } = result;
  const open = showsBytes && verdict === 'fail' ? ' open' : '';
  const because = result.because.map((words) => `<dd>${escapeMarkup(words)}</dd>`).join('');
  // The transcripts of all cases would add megabytes to the page.
  const wire = !showsBytes ? '' : `<pre>${escapeMarkup(transcript.map(lineText).join('\n'))}</pre>`;
  return `<details id="c${id}"${open}><summary><span class="verdict ${verdict}">${verdict}</span> <code>${id}</code> ${escapeMarkup(title)}</summary>
<dl><dt>expected</dt><dd>${escapeMarkup(result.expects)}</dd><dt>source</dt><dd>${escapeMarkup(result.section)} (${result.level})</dd>${because === '' ? '' : `<dt>found</dt>${because}`}</dl>${wire}</details>
`;
}

/** Escapes a text for HTML and XML. */
export function escapeMarkup(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
