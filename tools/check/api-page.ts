import { readFileSync } from 'node:fs';
import { basename, join, relative, resolve, sep } from 'node:path';
import ts from 'typescript';
import type { Published } from '../published.ts';

/** An entry point that a user imports. */
interface Entry {
  /** `@ws/hub/rooms`. */
  readonly name: string;
  /** The page of its package: a file name without `.md`. */
  readonly page: string;
  /** Absolute path of its declarations. */
  readonly file: string;
}

type Target = string | { readonly [condition: string]: Target };

const PRINTER = ts.createPrinter({ removeComments: true });

/**
 * The pages of all packages, by their file names. Each has every export of every entry point except
 * those of siblings, `/internal…`, sorted, with its declaration. Then come the types that these name and that no entry
 * point exports: a change of one changes the surface, too.
 *
 * The declarations are those of `tsc -b`.
 */
export function pagesOf(packages: readonly Published[]): Map<string, string> {
  const entries = packages.flatMap(entriesOf);
  const program = ts.createProgram({
    rootNames: entries.map(({ file }) => file),
    options: {
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      allowImportingTsExtensions: true,
      noEmit: true,
      noLib: true,
      types: [],
      paths: Object.fromEntries(packages.flatMap(pathsOf)),
    },
  });
  const checker = program.getTypeChecker();
  const exported = new Map<ts.Symbol, Entry>();
  // A symbol is described where its package exports it first.
  for (const entry of entries) {
    for (const symbol of exportsOf(entry)) {
      const target = targetOf(symbol);
      if (!exported.has(target) && isOf(target, entry)) exported.set(target, entry);
    }
  }
  const pages = packages.filter(({ folder }) =>
    entries.some((one) => one.page === basename(folder)),
  );
  return new Map(
    pages.map(({ folder, manifest }) => [`${basename(folder)}.md`, page(folder, manifest.name)]),
  );

  function page(folder: string, name: string): string {
    const own = entries.filter((entry) => entry.page === basename(folder));
    const named = new Set<ts.Symbol>();
    const sections = own.map((entry) => section(entry, named));
    // Grows while it is read.
    const texts = [...iterate(named)];
    const others =
      texts.length === 0 ? '' : `\n## Named above, exported nowhere\n\n${block(texts.toSorted())}`;
    return `# API of ${name}\n\n<!-- Written by pnpm api. Do not edit. -->\n${sections.join('')}${others}`;
  }

  function* iterate(named: Set<ts.Symbol>): Generator<string> {
    for (const symbol of named) yield textOf(symbol, symbol.name, named);
  }

  function section(entry: Entry, named: Set<ts.Symbol>): string {
    const symbols = exportsOf(entry).toSorted((a, b) => compare(a.name, b.name));
    const texts = symbols.map((symbol) => {
      const target = targetOf(symbol);
      const home = exported.get(target);
      if (home === undefined || home === entry) return textOf(target, symbol.name, named);
      const renamed = target.name === symbol.name ? '' : `${target.name} as `;
      return `export { ${renamed}${symbol.name} } from '${home.name}';`;
    });
    return `\n## \`${entry.name}\`\n\n${block(texts)}`;
  }

  function exportsOf({ file }: Entry): ts.Symbol[] {
    const source = program.getSourceFile(file);
    const symbol = source && checker.getSymbolAtLocation(source);
    if (symbol === undefined) throw new Error(`${relative('.', file)} has no exports: run tsc -b`);
    return checker.getExportsOfModule(symbol);
  }

  function targetOf(symbol: ts.Symbol): ts.Symbol {
    return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  }

  /** The declarations of a symbol as text. Adds to `named` what they name and no entry point exports. */
  function textOf(symbol: ts.Symbol, name: string, named: Set<ts.Symbol>): string {
    const declarations = symbol.declarations ?? [];
    if (declarations.length === 0) throw new Error(`${name} has no declaration: run tsc -b`);
    return declarations
      .map((declaration) => {
        const node = ts.isVariableDeclaration(declaration)
          ? declaration.parent.parent
          : declaration;
        if (ts.isSourceFile(node)) return `namespace ${name} { … }`;
        const [shown] = ts.transform(node, [withoutInternals]).transformed;
        addNamed(shown!, named);
        return PRINTER.printNode(ts.EmitHint.Unspecified, shown!, node.getSourceFile())
          .replace(/^export (?:default )?(?:declare )?/, '')
          .replace(/^declare /, '');
      })
      .join('\n');
  }

  function addNamed(node: ts.Node, named: Set<ts.Symbol>): void {
    if (ts.isIdentifier(node)) {
      const found = checker.getSymbolAtLocation(node);
      const target = found && targetOf(found);
      if (target !== undefined && !exported.has(target) && isFollowed(node, target)) {
        named.add(target);
      }
    }
    ts.forEachChild(node, (child) => addNamed(child, named));
  }
}

/** Types and constants of our packages. Of a class only what an exported one inherits is public. */
function isFollowed(node: ts.Identifier, { flags, declarations }: ts.Symbol): boolean {
  const isClass = (flags & ts.SymbolFlags.Class) !== 0;
  if (isClass && !ts.isExpressionWithTypeArguments(node.parent)) return false;
  const kinds = ts.SymbolFlags.Type | ts.SymbolFlags.Variable;
  return (
    (flags & kinds) !== 0 &&
    (declarations ?? []).some((one) => {
      const statement = ts.isVariableDeclaration(one) ? one.parent.parent : one;
      return ts.isSourceFile(statement.parent) && one.getSourceFile().fileName.includes('/.tsc/');
    })
  );
}

/** Without private members, and without those marked `@internal`, which the published declarations lack. */
const withoutInternals: ts.TransformerFactory<ts.Node> = (context) => (root) => {
  const visit = (node: ts.Node): ts.Node | undefined => {
    const isMember = ts.isClassElement(node) || ts.isTypeElement(node);
    if (isMember && isInternal(node)) return undefined;
    return ts.visitEachChild(node, visit, context);
  };
  return ts.visitEachChild(root, visit, context);
};

function isInternal(node: ts.ClassElement | ts.TypeElement): boolean {
  const { name } = node;
  if (name !== undefined && ts.isPrivateIdentifier(name)) return true;
  // compat has the private names of ws.
  if (name !== undefined && ts.isIdentifier(name) && name.text.startsWith('_')) return true;
  const isPrivate = ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private;
  return isPrivate !== 0 || ts.getJSDocTags(node).some((tag) => tag.tagName.text === 'internal');
}

/** Whether a symbol is declared at the top of a file of the package of this entry. */
function isOf(symbol: ts.Symbol, { file }: Entry): boolean {
  const folder = file.slice(0, file.indexOf(`${sep}.tsc${sep}`) + 1);
  return (
    symbol.declarations?.some((one) => resolve(one.getSourceFile().fileName).startsWith(folder)) ??
    false
  );
}

function block(texts: readonly string[]): string {
  return `\`\`\`ts\n${texts.join('\n\n')}\n\`\`\`\n`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function exportsIn({ folder }: Published): [subpath: string, source: string][] {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    readonly exports?: Readonly<Record<string, Target>>;
  };
  return Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) => {
    let source = typeof target === 'string' ? undefined : target['@ws/source'];
    if (typeof source === 'object') source = source['default'];
    return typeof source === 'string' ? [[subpath, source]] : [];
  });
}

/** `./src/rooms/index.ts` of packages/hub → its declarations. */
function declarationsOf(folder: string, source: string): string {
  return resolve(folder, source.replace('./src/', '.tsc/').replace(/\.ts$/, '.d.ts'));
}

function entriesOf(one: Published): Entry[] {
  return exportsIn(one)
    .filter(([subpath]) => !subpath.startsWith('./internal'))
    .map(([subpath, source]) => ({
      name: one.manifest.name + subpath.slice(1),
      page: basename(one.folder),
      file: declarationsOf(one.folder, source),
    }));
}

function pathsOf(one: Published): [name: string, files: string[]][] {
  return exportsIn(one).map(([subpath, source]) => [
    one.manifest.name + subpath.slice(1),
    [declarationsOf(one.folder, source)],
  ]);
}
