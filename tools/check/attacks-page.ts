import {
  type Bound,
  KIB,
  type Limit,
  MIB,
  memoryLimit,
  outcomeLimits,
  STALL_MS,
} from '../../tests/attacks/harness/bounds.ts';

/** An attack that a test passed, and the file of the test. */
export interface Survived {
  /** Path from the root. */
  readonly file: string;
  readonly bound: Bound;
}

const HEAD = `# Attacks

<!-- Written by tools/check/attacks.ts from the tests. Do not edit. -->

Every line is an attack that the tests make, with the bound that they assert and its source. An attack holds at most
64 KiB of memory and two bytes for each byte received, except where its line has another bound. No turn of
the event loop takes ${STALL_MS} ms of CPU time: that finds a hang, and noise of the machine does not reach it.
No attack causes an uncaught error or an unhandled rejection.

A bound has the names that its test uses. These are frequent: \`close\` is our close code and \`status\` the
HTTP status of our refusal. \`opened\` and \`served\` count the connections and the pages that the attacker
got. \`left\` is what is still held at the end, \`cases\` the number of variants that were tried.
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
    return `\n## [${name}](../${file})\n\n${[...new Set(lines)].join('')}`;
  });
  return HEAD + sections.join('');
}

/** `- a flood of pings: pings ≥ 300,000 (CWE-770)`. */
function lineOf(bound: Bound): string {
  const text = boundText(bound);
  const source = bound.source === undefined ? '' : ` (${bound.source})`;
  return `- ${bound.attack}${text === '' ? '' : `: ${text}`}${source}\n`;
}

/** A bound in words: `close 1002; read ≤ 14; memory ≤ 1 MiB`. */
export function boundText(bound: Bound): string {
  const { memory, perByte } = memoryLimit(bound);
  const parts = outcomeLimits(bound).map(([figure, limit]) => `${words(figure)} ${shown(limit)}`);
  if (bound.memory !== undefined) {
    const more = perByte > 0 ? ` + ${perByte} x bytes received` : '';
    parts.push(`memory ≤ ${bytes(memory)}${more}`);
  }
  return parts.join('; ');
}

/** `bytesInTurn` as `bytes in turn`. */
function words(figure: string): string {
  return figure.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function shown(limit: string | number | Limit): string {
  if (typeof limit === 'number') return grouped(limit);
  if (typeof limit === 'string') return limit === '' ? 'none' : `“${escaped(limit)}”`;
  const { atMost, atLeast } = limit;
  const bounds = [];
  if (atLeast !== undefined) bounds.push(`≥ ${grouped(atLeast)}`);
  if (atMost === 0) return '0';
  if (atMost !== undefined) bounds.push(`≤ ${grouped(atMost)}`);
  return bounds.join(' and ');
}

function escaped(text: string): string {
  return text.trim().replaceAll('\n', '\\n').replaceAll('<', '&lt;');
}

function bytes(size: number): string {
  if (size % MIB === 0) return `${size / MIB} MiB`;
  return size % KIB === 0 ? `${grouped(size / KIB)} KiB` : `${grouped(size)} bytes`;
}

function grouped(figure: number): string {
  return figure < 10_000 ? String(figure) : figure.toLocaleString('en-US');
}
