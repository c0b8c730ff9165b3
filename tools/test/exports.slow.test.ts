import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '../exports.ts';

const root = join(import.meta.dirname, '../..');
/** The entries for the other packages of the workspace. */
const INTERNAL = './internal';

/** The source of every public entry of the published packages. */
function publicEntries(): string[] {
  const packages = readdirSync(join(root, 'packages')).map((name) => join('packages', name));
  return [...packages, 'conformance'].flatMap((name) => {
    const folder = join(root, name);
    const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
    if (manifest.private) return [];
    return Object.entries(manifest.exports).flatMap(([subpath, target]) => {
      const source = typeof target === 'string' ? undefined : target['@ws/source'];
      if (typeof source !== 'string' || subpath.startsWith(INTERNAL)) return [];
      return [join(folder, source)];
    });
  });
}

const entries = publicEntries();
const config = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path));
const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
// Exports are resolved, types are not: that needs no types of Node or of the language.
const program = ts.createProgram(entries, { ...options, noLib: true, types: [] });
const checker = program.getTypeChecker();
const exported = new Set(
  entries.flatMap((entry) => {
    const module = checker.getSymbolAtLocation(program.getSourceFile(entry)!)!;
    return checker
      .getExportsOfModule(module)
      .map((each) => (each.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(each) : each));
  }),
);

describe('an export of a package', () => {
  it('has a docstring', () => {
    expect(exported.size).toBeGreaterThan(300);
    const bare = [...exported].filter((each) => each.getDocumentationComment(checker).length === 0);
    expect(bare.map(placeOf)).toEqual([]);
  });

  it('has an example, or a link to an export that has one, if it is no type', () => {
    const shown = [...exported].filter((each) => docstringsOf(each).includes('```ts'));
    const names = new Set(shown.map(({ name }) => name));
    const without = [...exported].filter((each) => {
      if ((each.flags & ts.SymbolFlags.Value) === 0 || shown.includes(each)) return false;
      const links = docstringsOf(each).matchAll(/\{@link (\w+)/g);
      return ![...links].some(([, name]) => names.has(name!));
    });
    expect(without.map(placeOf)).toEqual([]);
  });
});

/** The docstrings of a symbol, with their tags. */
function docstringsOf({ declarations = [] }: ts.Symbol): string {
  return declarations
    .flatMap((each) => ts.getJSDocCommentsAndTags(each))
    .map((each) => each.getFullText())
    .join('\n');
}

function placeOf({ name, declarations = [] }: ts.Symbol): string {
  return `${relative(root, declarations[0]!.getSourceFile().fileName)}: ${name}`;
}
