import type { CaseFacts } from './case.ts';

/**
 * Selects the cases whose id matches one of the globs, or all cases when there is no glob.
 * `*` matches any characters: `6.*`, `7.3.1*`. A chapter or a section alone selects all its cases:
 * `6`, `7.3`.
 */
export function selectCases<T extends { readonly id: string }>(
  cases: readonly T[],
  globs: readonly string[],
): T[] {
  if (globs.length === 0) return [...cases];
  const patterns = globs.map(
    (glob) =>
      new RegExp(
        `^${glob.replaceAll(/[^*]+/g, (text) => text.replaceAll(/\W/g, String.raw`\$&`)).replaceAll('*', '.*')}(?:\\..*)?$`,
      ),
  );
  return cases.filter(({ id }) => patterns.some((pattern) => pattern.test(id)));
}

/** Returns the description of a case without its `run` function. */
export function factsOf({ id, chapter, title, expects, section, level }: CaseFacts): CaseFacts {
  return { id, chapter, title, expects, section, level };
}
