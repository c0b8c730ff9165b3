import type { CaseFacts } from './case.ts';

/**
 * Those of `cases` whose id fits one of `globs`; all when there is none. `*` stands for any characters: `6.*`, `7.3.1*`.
 */
export function selectCases<T extends { readonly id: string }>(
  cases: readonly T[],
  globs: readonly string[],
): T[] {
  if (globs.length === 0) return [...cases];
  const patterns = globs.map(
    (glob) =>
      new RegExp(
        `^${glob.replaceAll(/[^*]+/g, (text) => text.replaceAll(/\W/g, String.raw`\$&`)).replaceAll('*', '.*')}$`,
      ),
  );
  return cases.filter(({ id }) => patterns.some((pattern) => pattern.test(id)));
}

/** A case without what it does. */
export function factsOf({ id, chapter, title, expects, section, level }: CaseFacts): CaseFacts {
  return { id, chapter, title, expects, section, level };
}
