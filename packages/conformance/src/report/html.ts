import type { CaseResult } from '../model/case.ts';
import { countsOf, type SuiteReport } from '../run/suite-report.ts';
import { byChapter, countsText, lineText } from './text.ts';

const STYLE = `
:root { color-scheme: light dark; --pass: #1a7f37; --fail: #c62828; --non-strict: #9a6700; --skipped: #6e7781 }
@media (prefers-color-scheme: dark) { :root { --pass: #3fb950; --fail: #ff7b72; --non-strict: #d29922; --skipped: #8b949e } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; line-height: 1.25 }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem }
summary { cursor: pointer; padding: .5rem 0 }
details { border-bottom: 1px solid #8884 }
pre { font-size: .8rem; white-space: pre-wrap; background: #8881; padding: .75rem; border-radius: .4rem }
dl { margin: 0 0 .5rem } dt { font-weight: 600 } dd { margin: 0 0 .25rem }
.verdict { font-weight: 600 } .pass { color: var(--pass) } .fail { color: var(--fail) }
.non-strict { color: var(--non-strict) } .skipped { color: var(--skipped) }
code { font-size: .9em }
`;

/** Formats a report as one HTML page without external resources: chapters, cases, transcripts. */
export function htmlReport(report: SuiteReport): string {
  const title = `conformance of the ${report.role} ${report.target}`;
  const bad = report.results.filter(
    ({ verdict }) => verdict === 'fail' || verdict === 'non-strict',
  );
  const sections = byChapter(report.results).map(
    ({ number, title, results }) =>
      `<h2>${number} ${escape(title)}</h2><p>${countsText(countsOf(results))}</p>${results.map(caseHtml).join('')}`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title><style>${STYLE}</style></head><body>
<h1>${escape(title)}</h1>
<p>${report.results.length} cases, ${escape(report.started)}, ${(report.ms / 1000).toFixed(1)} s: ${countsText(report.counts)}</p>
${bad.length > 0 ? `<h2>failed or non-strict</h2><p>${bad.map((one) => `<a href="#c${one.id}" class="${one.verdict}">${one.id}</a>`).join(' ')}</p>` : ''}
${sections.join('\n')}
</body></html>
`;
}

function caseHtml(result: CaseResult): string {
  const { id, title, verdict, transcript } = result;
  const open = verdict === 'fail' ? ' open' : '';
  const because = result.because.map((words) => `<dd>${escape(words)}</dd>`).join('');
  // The transcripts of passed cases would add megabytes to the page.
  const wire =
    verdict === 'pass' ? '' : `<pre>${escape(transcript.map(lineText).join('\n'))}</pre>`;
  return `<details id="c${id}"${open}><summary><span class="verdict ${verdict}">${verdict}</span> <code>${id}</code> ${escape(title)}</summary>
<dl><dt>expected</dt><dd>${escape(result.expects)}</dd><dt>source</dt><dd>${escape(result.section)} (${result.level})</dd>${because === '' ? '' : `<dt>found</dt>${because}`}</dl>${wire}</details>
`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
