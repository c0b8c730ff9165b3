import type { CaseFacts } from './case.ts';

/**
 * Selects the cases whose id matches one of the globs, or all cases when there is no glob.
 * `*` matches any characters: `6.*`, `7.3.1*`. A chapter or a section alone selects all its cases:
 * `6`, `7.3`. Cases that match `excluded` are left
 * out. Floods are left out unless `floods` is true or a glob is the id of the flood.
 */
export function selectCases<T extends { readonly id: string; readonly flood?: boolean }>(
  cases: readonly T[],
  globs: readonly string[],
  excluded: readonly string[] = [],
  floods = false,
): T[] {
  const [wanted, unwanted] = [globs.map(patternOf), excluded.map(patternOf)];
  return cases.filter(
    ({ id, flood = false }) =>
      (floods || !flood || globs.includes(id)) &&
      (wanted.length === 0 || wanted.some((pattern) => pattern.test(id))) &&
      !unwanted.some((pattern) => pattern.test(id)),
  );
}

function patternOf(glob: string): RegExp {
  const text = glob
    .replaceAll(/[^*]+/g, (plain) => plain.replaceAll(/\W/g, String.raw`\$&`))
    .replaceAll('*', '.*');
  return new RegExp(`^${text}(?:\\..*)?$`);
}

/** Returns the description of a case without its `run` function. */
export function factsOf(one: CaseFacts): CaseFacts {
  const { id, chapter, title, expects, section, level, weight } = one;
  return { id, chapter, title, expects, section, level, weight };
}
