import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Results } from '../conformance/page.ts';
import { type Records, readJSON } from './records.ts';

/** The parts of README.md that are made from records, by the names of their markers. */
export function sectionsOf(root: string): Map<string, string> {
  return new Map([
    ['sizes', sizes(root)],
    ['tested', tested(root)],
  ]);
}

const count = (n: number): string => n.toLocaleString('en');
const sum = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0);

/** The kB of an import in docs/maintainers/sizes.md. */
function sizeOf(page: string, name: string): string {
  const line = page.split('\n').find((each) => each.startsWith(`| ${name} | `));
  if (line === undefined) throw new Error(`docs/maintainers/sizes.md has no row ${name}`);
  return String(Math.round(Number(line.split(' | ')[1])));
}

function sizes(root: string): string {
  const page = readFileSync(join(root, 'docs/maintainers/sizes.md'), 'utf8');
  const [dial, live, rooms] = [
    '`@ws/browser`: dial and BrowserConn',
    '`@ws/browser`: all of it',
    '`@ws/rpc/rooms`: a page with ReconnectingConn, rpc and rooms',
  ].map((name) => sizeOf(page, name));
  const server = /^\| a server: .* \| \| (\d+) \|$/m.exec(page)?.[1];
  const { sizes } = readJSON(root, 'docs/records.json') as Records;
  const rivals = (bytes: Readonly<Record<string, number>> = {}): string =>
    Object.entries(bytes)
      .map(([name, size]) => `${name} ${Math.round(size / 1000)} kB`)
      .join(', ');
  return (
    `A page loads, gzipped: \`dial\` ${dial} kB, \`ReconnectingConn\` ${live} kB, rooms and calls ${rooms} kB; ` +
    `${rivals(sizes?.bytes)}.\nA server installs ${count(Number(server))} kB, ${rivals(sizes?.installed)}. [Sizes](docs/maintainers/sizes.md)\n`
  );
}

/** What was tested, with the figures of the last runs. */
function tested(root: string): string {
  const { suite, planted, mutation, fuzz } = readJSON(root, 'docs/conformance.json') as Results;
  const { tests } = readJSON(root, 'docs/records.json') as Records;
  const ours = suite.filter(({ target }) => target === 'this project');
  const cases = ours.map(({ role, options, counts }) => {
    const all = sum(Object.values(counts));
    const name = options.startsWith('HTTP/2') ? 'over HTTP/2' : `of a ${role}`;
    return `${count(all)} ${name}`;
  });
  const failed = sum(ours.map(({ counts }) => counts.fail + counts['non-strict']));
  const skipped = sum(ours.map(({ counts }) => counts.skipped));
  const autobahn = /suite has (\d+) cases/.exec(textOf(root, 'conformance/autobahn.md'))?.[1];
  const attacks = textOf(root, 'tests/attacks/README.md').match(/^- /gm)?.length ?? 0;
  const minutes = Math.round(sum(fuzz.map((one) => one.minutes)));
  const executions = sum(fuzz.map((one) => one.executions));
  const findings = sum(fuzz.map((one) => one.findings));
  const mutants = mutation.map(({ package: name, killed, timeout, survived, uncovered }) => {
    const noticed = killed + timeout;
    return `${name} ${((100 * noticed) / (noticed + survived + uncovered)).toFixed(1)} %`;
  });
  const lines = [
    tests &&
      `\`pnpm test\`: ${count(tests.passed)} tests in ${tests.seconds} s${tests.busy ? ', beside other work' : ''}`,
    `[\`ws-conform\`](conformance), cases: ${cases.join(', ')}; ${failed} fail, ${skipped} skipped; beside [Autobahn's ${autobahn}](conformance/autobahn.md)`,
    `${sum(planted.map((one) => one.faults))} faults planted in naive peers test that suite`,
    `[attacks](tests/attacks): ${attacks}, with bounds of memory and time`,
    `[fuzzer](fuzz): ${fuzz.length} targets, ${minutes} min, ${count(executions)} executions, ${findings} ${findings === 1 ? 'finding' : 'findings'}`,
    `[mutation](tests/mutation): ${mutants.length === 0 ? 'no run is recorded' : mutants.join(', ')}`,
    '[pairs of operations](tests/pairs) against a model; [chaos](tests/chaos); [soak](tests/soak)',
    'hubs while Redis, NATS and nodes are killed',
    'every program of these pages; 29 of them are only compiled',
  ];
  return `${lines.flatMap((line) => (line === undefined ? [] : [`- ${line}`])).join('\n')}\n`;
}

function textOf(root: string, path: string): string {
  return readFileSync(join(root, path), 'utf8');
}
