import { relative } from 'node:path/posix';
import { type Bound, KIB, MIB, memoryLimit, STALL_MS } from '../../tests/attacks/harness/bounds.ts';

/** An attack that a test passed, and the file of the test. */
export interface Survived {
  /** Path from the root. */
  readonly file: string;
  readonly bound: Bound;
}

const HEAD = `# Attacks

<!-- Written by tools/check/attacks.ts from the tests. Do not edit. -->

Every line is an attack that the tests make, with the close code or the HTTP status that it gets, and its source. The
linked test asserts more. An attack holds at most 64 KiB of memory and two bytes for each byte received, except where its
line has another bound. No turn of the event loop takes ${STALL_MS} ms of CPU time: that finds a hang, and noise of the
machine does not reach it. No attack causes an uncaught error or an unhandled rejection.
`;

/**
 * The page of all attacks: a section for each file of tests. An attack that several tests repeat
 * has one line.
 */
export function attacksPage(survived: readonly Survived[]): string {
  const files = [...new Set(survived.map(({ file }) => file))].toSorted();
  const sections = files.map((file) => {
    const name = file.replace(/.*\//, '').replace('.test.ts', '');
    const lines = survived.filter((each) => each.file === file).map(({ bound }) => lineOf(bound));
    return `\n## [${name}](${relative('tests/attacks', file)})\n\n${[...new Set(lines)].join('')}`;
  });
  return HEAD + sections.join('');
}

/** `- a flood of pings: close 1008; memory ≤ 1 MiB (CWE-770)`. */
function lineOf(bound: Bound): string {
  const parts = ['close', 'status'].flatMap((figure) => {
    const limit = bound[figure];
    return typeof limit === 'number' ? [`${figure} ${limit}`] : [];
  });
  if (bound.memory !== undefined) {
    const { memory, perByte } = memoryLimit(bound);
    const more = perByte > 0 ? ` + ${perByte} x bytes received` : '';
    parts.push(`memory ≤ ${bytes(memory)}${more}`);
  }
  const text = parts.length === 0 ? '' : `: ${parts.join('; ')}`;
  const source = bound.source === undefined ? '' : ` (${bound.source})`;
  return `- ${bound.attack}${text}${source}\n`;
}

function bytes(size: number): string {
  if (size % MIB === 0) return `${size / MIB} MiB`;
  return size % KIB === 0 ? `${grouped(size / KIB)} KiB` : `${grouped(size)} bytes`;
}

function grouped(figure: number): string {
  return figure < 10_000 ? String(figure) : figure.toLocaleString('en-US');
}
