// What a script writes into a page stands between two comments:
//
//     <!-- bench: echo -->
//     ...
//     <!-- end of bench -->

const MARKED = /(<!-- bench: ([^>]*?) -->\n)[\s\S]*?(<!-- end of bench -->)/g;
const MARKER = /<!-- (?:bench: |end of bench)[^>]*-->/;

/**
 * The page with what `sections` say between its markers.
 *
 * @throws Error for a section that has no place in the page or two of them, for a place that has no section, and for
 *   a marker without its other half.
 */
export function fillMarkers(page: string, sections: ReadonlyMap<string, string>): string {
  const filled: string[] = [];
  const text = page.replace(MARKED, (_, begin: string, name: string, end: string) => {
    const section = sections.get(name);
    if (section === undefined) throw new Error(`there is no section '${name}'`);
    filled.push(name);
    return `${begin}${section}\n${end}`;
  });
  const [half] = MARKER.exec(withoutMarked(page)) ?? [];
  if (half !== undefined) throw new Error(`'${half}' has no other half`);
  for (const name of sections.keys()) {
    const places = filled.filter((one) => one === name).length;
    if (places !== 1) throw new Error(`section '${name}' has ${places} places instead of one`);
  }
  return text;
}

/** What people wrote: the page with as many lines as before, and nothing between its markers. */
export function withoutMarked(page: string): string {
  return page.replace(MARKED, (whole) => '\n'.repeat(whole.split('\n').length - 1));
}
