/** The lines up to the first one that differs, with both versions of it. */
export function difference(expected: string, got: string): string {
  if (expected === got) return '';
  const [before, after] = [expected.split('\n'), got.split('\n')];
  const at = before.findIndex((line, i) => line !== after[i]);
  return [...before.slice(0, at), `expected ${before[at]}`, `got      ${after[at]}`].join('\n');
}
