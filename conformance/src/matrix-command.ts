import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Output, Values } from './command-options.ts';
import { selectCases } from './model/select.ts';
import { type Agent, matrixOf, matrixText } from './report/matrix.ts';
import { matrixHtml } from './report/matrix-html.ts';
import { readReport } from './report/read-report.ts';
import { countsOf } from './run/suite-report.ts';

/**
 * Runs `ws-conform matrix`: prints reports side by side.
 *
 * @param words - `FILE` or `NAME=FILE` for each target.
 * @returns The exit code.
 */
export function runMatrix(words: readonly string[], values: Values, output: Output): number {
  const matrix = matrixOf(namesOf(words.map((word) => agentOf(word, values))));
  if (matrix.rows.length === 0)
    throw new Error('no report has a case that --only and --exclude select');
  output.out(matrixText(matrix, values));
  if (values.html !== undefined) {
    writeFileSync(values.html, matrixHtml(matrix));
    output.error(`wrote ${values.html}\n`);
  }
  return 0;
}

interface NamedAgent extends Agent {
  readonly file: string;
}

function agentOf(word: string, { only = [], exclude = [] }: Values): NamedAgent {
  const [, given, path] = existsSync(word) ? [] : (/^([^=]+)=(.+)$/s.exec(word) ?? []);
  const file = path ?? word;
  const { complete, ...report } = readReport(readFileSync(file, 'utf8'), file);
  const results = selectCases(report.results, only, exclude, true);
  return {
    file,
    name: given ?? basename(file, '.json'),
    complete,
    report: { ...report, results, counts: countsOf(results) },
  };
}

/** Files with the same name in several folders get their paths as names. */
function namesOf(agents: readonly NamedAgent[]): Agent[] {
  return agents.map((agent) => {
    const alike = agents.filter(({ name }) => name === agent.name);
    return alike.length > 1 ? { ...agent, name: agent.file } : agent;
  });
}
