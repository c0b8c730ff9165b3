// Counts what makes the code long to read: files above MOST_LINES lines of code, and interfaces of
// codec and conn with one implementation. Fails above the bounds. With --list it prints the names.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import ts from 'typescript';

/** Today's counts. Lower a bound when its count falls; never raise it. */
const BOUNDS = { longFiles: 6, singleInterfaces: 9 };

/** Lines of code in a file, without blank lines and comments. */
const MOST_LINES = 400;

const PACKAGES = ['codec', 'conn'];
/** An implementation in any package counts. */
const SOURCES = readdirSync('packages').map((name) => `packages/${name}/src`);
const FOLDERS = [...SOURCES, 'bench/src', 'bench/tools', 'fuzz', 'tools'];

const { values } = parseArgs({ options: { list: { type: 'boolean', default: false } } });
judge(`files above ${MOST_LINES} lines of code`, longFiles(), BOUNDS.longFiles);
judge(
  'interfaces of codec and conn with one implementation, outside of options',
  singleInterfaces(),
  BOUNDS.singleInterfaces,
);

function judge(what: string, names: readonly string[], bound: number): void {
  const { length } = names;
  console.log(`${length} ${what} (bound ${bound})`);
  if (length < bound) console.log(`lower the bound in tools/check/shape.ts to ${length}`);
  if (length > bound || values.list) console.log(names.map((name) => `  ${name}`).join('\n'));
  if (length > bound) process.exitCode = 1;
}

/** The handwritten files of a folder, without tests. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
    .filter((file) => /(?<!\.d)\.ts$/.test(file))
    .filter((file) => !/\/(node_modules|generated|test)\//.test(file));
}

function longFiles(): string[] {
  return FOLDERS.flatMap(filesOf)
    .map((file) => ({ file, lines: linesOfCode(file) }))
    .filter(({ lines }) => lines > MOST_LINES)
    .toSorted((a, b) => b.lines - a.lines)
    .map(({ file, lines }) => `${lines} ${file}`);
}

/** The lines with a part of a token. */
function linesOfCode(file: string): number {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest);
  const lines = new Set<number>();
  const lineOf = (position: number): number => source.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    if (ts.isJSDoc(node)) return;
    const children = node.getChildren(source);
    if (children.length > 0) return children.forEach(visit);
    const [start, end] = [node.getStart(source), node.getEnd()];
    // The end of the file has no characters.
    if (start === end) return;
    for (let line = lineOf(start); line <= lineOf(end); line++) lines.add(line);
  };
  visit(source);
  return lines.size;
}

/**
 * The interfaces that no public type needs, that at most one class implements, and that no object
 * literal implements.
 */
function singleInterfaces(): string[] {
  const program = ts.createProgram(SOURCES.flatMap(filesOf), compilerOptions());
  const checker = program.getTypeChecker();
  const isPublic = publicSymbols(program, checker);
  const classes = new Map<ts.Symbol, number>();
  const literals = new Set<ts.Symbol>();
  const declared = new Map<ts.Symbol, string>();
  const visit = (node: ts.Node): void => {
    if (ts.isInterfaceDeclaration(node)) {
      const file = fileOf(node);
      const symbol = checker.getSymbolAtLocation(node.name)!;
      if (PACKAGES.some((name) => file.startsWith(`packages/${name}/`)) && !isPublic.has(symbol)) {
        declared.set(symbol, `${node.name.text} ${file}`);
      }
    } else if (ts.isClassLike(node)) {
      const bases = node.heritageClauses?.flatMap(({ types }) => types) ?? [];
      const implemented = new Set(
        bases.flatMap((base) => withBases(checker, checker.getTypeAtLocation(base))),
      );
      for (const symbol of implemented) classes.set(symbol, (classes.get(symbol) ?? 0) + 1);
    } else if (ts.isObjectLiteralExpression(node)) {
      const type = checker.getContextualType(node);
      for (const symbol of type === undefined ? [] : withBases(checker, type)) literals.add(symbol);
    }
    node.forEachChild(visit);
  };
  for (const source of program.getSourceFiles()) {
    if (fileOf(source).startsWith('packages/')) visit(source);
  }
  return [...declared]
    .filter(([symbol]) => (classes.get(symbol) ?? 0) < 2 && !literals.has(symbol))
    .map(([, text]) => text);
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile('tsconfig.base.json', (path) => ts.sys.readFile(path));
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, process.cwd());
  return { ...options, composite: false, incremental: false, noEmit: true };
}

function fileOf(node: ts.Node): string {
  return relative(process.cwd(), node.getSourceFile().fileName).replaceAll('\\', '/');
}

/** The symbols of `type`, of its parts and of their bases. */
function withBases(checker: ts.TypeChecker, type: ts.Type): ts.Symbol[] {
  if (type.isUnionOrIntersection()) return type.types.flatMap((part) => withBases(checker, part));
  const { symbol } = type as { readonly symbol?: ts.Symbol };
  if (symbol === undefined) return [];
  const bases = checker.getDeclaredTypeOfSymbol(symbol).getBaseTypes() ?? [];
  return [symbol, ...bases.flatMap((base) => withBases(checker, base))];
}

/** The symbols that the types of the entry points name, directly or through other types. */
function publicSymbols(program: ts.Program, checker: ts.TypeChecker): Set<ts.Symbol> {
  const found = new Set<ts.Symbol>();
  const add = (named: ts.Symbol | undefined): void => {
    if (named === undefined) return;
    const isAlias = (named.flags & ts.SymbolFlags.Alias) !== 0;
    const symbol = isAlias ? checker.getAliasedSymbol(named) : named;
    if (found.has(symbol)) return;
    found.add(symbol);
    for (const declaration of symbol.declarations ?? []) {
      if (fileOf(declaration).startsWith('packages/')) visit(declaration);
    }
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBlock(node) || isHidden(node)) return;
    if (ts.isTypeReferenceNode(node)) add(checker.getSymbolAtLocation(node.typeName));
    if (ts.isTypeQueryNode(node)) add(checker.getSymbolAtLocation(node.exprName));
    if (ts.isExpressionWithTypeArguments(node)) add(checker.getSymbolAtLocation(node.expression));
    node.forEachChild(visit);
  };
  for (const file of PACKAGES.flatMap(entryPoints)) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!);
    for (const symbol of checker.getExportsOfModule(module!)) add(symbol);
  }
  return found;
}

/** The sources of the documented entry points of a package. */
function entryPoints(name: string): string[] {
  const folder = join('packages', name);
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    exports: Record<string, string | { '@ws/source': string }>;
  };
  return Object.entries(exports)
    .filter(([path]) => !['./internal', './package.json'].includes(path))
    .map(([, entry]) => join(folder, (entry as { '@ws/source': string })['@ws/source']));
}

/** Whether a user cannot see the member of a class. */
function isHidden(node: ts.Node): boolean {
  if (!ts.isClassElement(node)) return false;
  const isPrivate = node.name !== undefined && ts.isPrivateIdentifier(node.name);
  return isPrivate || ts.getJSDocTags(node).some(({ tagName }) => tagName.text === 'internal');
}
