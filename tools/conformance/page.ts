import { type Finding, idsText, titlesText } from '../../conformance/src/report/findings.ts';
import { causesText } from '../../conformance/src/report/text.ts';

/** What the suite found at one target. */
export interface Asked {
  /** Name and version, such as `ws 8.23.0`. */
  readonly target: string;
  readonly role: 'server' | 'client';
  readonly options: string;
  readonly made: Made;
  readonly counts: Readonly<Record<Finding['verdict'], number>>;
  readonly findings: readonly {
    readonly verdict: Finding['verdict'];
    readonly weight: Finding['weight'];
    readonly cases: number;
    /** Titles of the first cases. */
    readonly titles: string;
    readonly cause: string;
    readonly section: string;
    readonly ids: string;
  }[];
}

/** When and on what a result was made. */
export interface Made {
  readonly date: string;
  readonly commit: string;
  readonly node: string;
}

/** The planted faults of one role, and the cases that no fault of their chapter fails. */
export interface Planted {
  readonly role: 'server' | 'client';
  readonly faults: number;
  readonly cases: number;
  readonly unfailed: number;
  /** Ids of these cases, with ranges. */
  readonly ids: string;
  readonly made: Made;
}

/** A run of the mutation tests. */
export interface Mutated {
  readonly package: string;
  /** The files whose mutants were tried. */
  readonly files: readonly string[];
  readonly made: Made;
  readonly killed: number;
  readonly timeout: number;
  readonly survived: number;
  readonly uncovered: number;
}

/** A run of one target of the fuzzer. */
export interface Fuzzed {
  readonly target: string;
  readonly minutes: number;
  readonly executions: number;
  readonly findings: number;
  /** What was found, in words, by hand. */
  readonly note?: string;
  readonly made: Made;
}

/** The content of docs/conformance.json. */
export interface Results {
  readonly suite: readonly Asked[];
  readonly planted: readonly Planted[];
  readonly mutation: readonly Mutated[];
  readonly fuzz: readonly Fuzzed[];
}

/** The causes of a report, short enough for a page. */
export function causesOf(findings: readonly Finding[]): Asked['findings'] {
  return findings.map(({ verdict, weight, results }) => ({
    verdict,
    weight,
    cases: results.length,
    titles: titlesText(results, MAX_TITLES),
    cause: results[0]!.because.join('; ').replaceAll(/\s+/g, ' ').slice(0, MAX_CAUSE),
    section: results[0]!.section,
    ids: idsText(results),
  }));
}

const MAX_CAUSE = 160;
const MAX_TITLES = 3;
const PERCENT = 100;

/** The page of these results. */
export function pageOf({ suite, planted, mutation, fuzz }: Results): string {
  return `# What was tested?

This command runs [\`ws-conform\`](../conformance), and writes this page and [conformance.json](conformance.json), which has each
cause:

\`\`\`sh
node --import tsx tools/conformance.ts
\`\`\`

## The suite

Causes count, not cases: many cases may fail for one cause. [Reports](../conformance/README.md#reports) explains the
verdicts and the weights.

${suiteTable(suite)}
## Planted faults

A naive server and a naive client have planted faults. A mistake could hide in a case that no fault of its chapter fails.
\`node --import tsx tools/conformance.ts faults\` counts them again.

${plantedTable(planted)}
## Mutation tests

A mutant is the source with one small change. The score is the share of mutants that a test notices.
\`pnpm long mutation-codec\` and \`pnpm long mutation-conn\` try them: [how](../tests/mutation).

${mutationTable(mutation)}
## The fuzzer

\`pnpm fuzz\` searches for inputs that break a rule: [how](../fuzz). \`pnpm test\` replays the corpus.

${fuzzTable(fuzz)}`;
}

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |\n`;

const madeText = ({ date, commit, node }: Made): string => `${date}, ${commit}, Node ${node}`;

function suiteTable(suite: readonly Asked[]): string {
  return [
    row(['target', 'options', 'cases', 'pass', 'fail', 'non-strict', 'advice', 'skipped', 'made']),
    row(['---', '---', '---:', '---:', '---:', '---:', '---:', '---:', '---']),
    ...suite.map(({ target, role, options, counts, findings, made }) => {
      const { pass, skipped } = counts;
      const causes = (verdict: Finding['verdict']): string => {
        const found = findings.filter((one) => one.verdict === verdict).length;
        return found === 0 ? '0' : `${counts[verdict]} (${causesText(found)})`;
      };
      const all = Object.values(counts).reduce((a, b) => a + b);
      const cells = [all, pass, causes('fail'), causes('non-strict'), causes('advice'), skipped];
      return row([`${target}, ${role}`, options, ...cells, madeText(made)]);
    }),
  ].join('');
}

function plantedTable(planted: readonly Planted[]): string {
  if (planted.length === 0) return 'No run is recorded.\n';
  return [
    row(['role', 'faults', 'cases', 'never failed', 'made']),
    row(['---', '---:', '---:', '---:', '---']),
    ...planted.map(({ role, faults, cases, unfailed, made }) =>
      row([role, faults, cases, unfailed, madeText(made)]),
    ),
  ].join('');
}

function mutationTable(mutation: readonly Mutated[]): string {
  if (mutation.length === 0) return 'No run is recorded.\n';
  return [
    row(['package', 'files', 'mutants', 'noticed', 'survived', 'no test', 'score', 'made']),
    row(['---', '---', '---:', '---:', '---:', '---:', '---:', '---']),
    ...mutation.map(({ killed, timeout, survived, uncovered, ...rest }) => {
      const [noticed, all] = [killed + timeout, killed + timeout + survived + uncovered];
      const score = `${((PERCENT * noticed) / all).toFixed(1)} %`;
      const files = rest.files.map((file) => `\`${file}\``).join(' ');
      return row([
        rest.package,
        files,
        all,
        noticed,
        survived,
        uncovered,
        score,
        madeText(rest.made),
      ]);
    }),
  ].join('');
}

function fuzzTable(fuzz: readonly Fuzzed[]): string {
  const hours = fuzz.reduce((sum, { minutes }) => sum + minutes, 0) / MINUTES;
  const executions = fuzz.reduce((sum, one) => sum + one.executions, 0);
  return [
    row(['target', 'executions', 'findings']),
    row(['---', '---:', '---']),
    ...fuzz.map(({ target, executions, findings, note }) => {
      const found = note === undefined ? findings : `${findings}: ${note}`;
      return row([`\`${target}\``, executions, found]);
    }),
    row([`${fuzz.length} targets, ${hours.toFixed(2)} hours`, executions, madeText(fuzz[0]!.made)]),
  ].join('');
}

const MINUTES = 60;
