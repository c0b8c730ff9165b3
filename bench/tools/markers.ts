// The generated part of a page is between two comments:
//
//     <!-- bench: echo -->
//     ...
//     <!-- end of bench -->
//
// Parts of the kind `records` are made by `pnpm record`.

const KINDS = ['bench', 'records'] as const;
type Kind = (typeof KINDS)[number];

const markedBy = (kind: string): RegExp =>
  RegExp(String.raw`(<!-- ${kind}: ([^>]*?) -->\n)[\s\S]*?(<!-- end of ${kind} -->)`, 'g');

/**
 * The page with each section between its markers.
 *
 * @throws Error for a section without exactly one place, for a place without a section, and for a
 *   marker without its other half.
 */
export function fillMarkers(
  page: string,
  sections: ReadonlyMap<string, string>,
  kind: Kind = 'bench',
): string {
  const filled: string[] = [];
  const text = page.replace(markedBy(kind), (_, begin: string, name: string, end: string) => {
    const section = sections.get(name);
    if (section === undefined) throw new Error(`unknown section '${name}'`);
    filled.push(name);
    return `${begin}${section}\n${end}`;
  });
  const [half] =
    RegExp(`<!-- (?:${kind}: |end of ${kind})[^>]*-->`).exec(withoutMarked(page)) ?? [];
  if (half !== undefined) throw new Error(`'${half}' lacks its other half`);
  for (const name of sections.keys()) {
    const places = filled.filter((one) => one === name).length;
    if (places !== 1) throw new Error(`section '${name}' has ${places} places, expected 1`);
  }
  return text;
}

/**
 * The handwritten text: the page with the same number of lines, and nothing between the markers.
 */
export function withoutMarked(page: string): string {
  return page.replace(markedBy(`(?:${KINDS.join('|')})`), (whole) =>
    '\n'.repeat(whole.split('\n').length - 1),
  );
}
