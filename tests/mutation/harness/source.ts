import ts from 'typescript';
import type { Mutant } from './mutants.ts';

export function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true);
}

/** The source with one mutant. */
export function applied(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

/** A readable mutant: its first line, and `old → new`. */
export function shown(
  text: string,
  mutant: Mutant,
): { readonly line: string; readonly change: string } {
  const { start, end, replacement } = mutant;
  const from = text.slice(start, end).replace(/\s+/g, ' ');
  const short = from.length > 70 ? `${from.slice(0, 40)} … ${from.slice(-20)}` : from;
  const line = text.split('\n')[mutant.line - 1]!.trim();
  return { line, change: `${short} → ${replacement === '' ? 'nothing' : replacement}` };
}
