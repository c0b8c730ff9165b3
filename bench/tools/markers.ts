// The generated part of a page is between two comments:
//
//     <!-- bench: echo -->
//     ...
//     <!-- end of bench -->

const MARKED = /(<!-- bench: ([^>]*?) -->\n)[\s\S]*?(<!-- end of bench -->)/g;
const MARKER = /<!-- (?:bench: |end of bench)[^>]*-->/;

/**
 * The page with each section between its markers.
 *
 * @throws Error for a section without exactly one place, for a place without a section, and for a
 *   marker without its other half.
 */
export function fillMarkers(page: string, sections: ReadonlyMap<string, string>): string {
  const filled: string[] = [];
  const text = page.replace(MARKED, (_, begin: string, name: string, end: string) => {
    const section = sections.get(name);
    if (section === undefined) throw new Error(`unknown section '${name}'`);
    filled.push(name);
    return `${begin}${section}\n${end}`;
  });
  const [half] = MARKER.exec(withoutMarked(page)) ?? [];
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
  return page.replace(MARKED, (whole) => '\n'.repeat(whole.split('\n').length - 1));
}
