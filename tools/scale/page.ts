import { SECTIONS } from './model.ts';

const MARKED = /(<!-- scale: (\w+) -->\n)[^]*?(\n<!-- end of scale -->)/g;

/**
 * The page with the present tables between its markers.
 *
 * @throws Error for a marker without a table.
 */
export function withTables(page: string): string {
  return page.replace(MARKED, (_, begin: string, name: string, end: string) => {
    const section = SECTIONS[name];
    if (section === undefined) throw new Error(`there is no table '${name}'`);
    return `${begin}\n${section()}\n${end}`;
  });
}
