import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { snippets } from '../snippets.ts';

// An application with `declaration: true` exports what it makes with the built packages. The compiler has to write down
// each type with the packages that the application depends on.

const root = join(import.meta.dirname, '../..');
const folder = join(root, '.out/declarations');
const published = readdirSync(join(root, 'packages')).filter((name) => name !== 'cli');
const built = published.every((name) => existsSync(join(root, 'packages', name, 'dist/index.js')));
if (!built) console.log('skipped: the packages are not built; run pnpm build');

/** Other packages that a snippet may import. */
const LIBRARIES = ['zod', 'valibot'];
const LAYOUTS = ['flat', 'pnpm'] as const;
type Layout = (typeof LAYOUTS)[number];

const OPTIONS: ts.CompilerOptions = {
  module: ts.ModuleKind.NodeNext,
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.esnext.disposable.d.ts'],
  strict: true,
  declaration: true,
  skipLibCheck: true,
  outDir: join(folder, 'out'),
  types: ['node'],
  typeRoots: [join(root, 'node_modules/@types')],
};

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  if (built) for (const name of published) install(name);
});

describe.skipIf(!built)('B6-3 with declarations', () => {
  // In the layout in which the compiler can name the fewest packages.
  it('every snippet compiles when it exports its declarations', { timeout: 600_000 }, () => {
    const faults = snippetsByImports().flatMap(([imports, codes]) => {
      const files = codes.map(
        (code) => code.replaceAll(DECLARATION, 'export $1 ') + '\nexport {};\n',
      );
      return unnamed('pnpm', imports, files);
    });
    expect(faults).toEqual([]);
  });
});

describe.skipIf(!built).each(LAYOUTS)('B6-3 with declarations, in the layout %s', (layout) => {
  it('every result of every entry can be exported', { timeout: 600_000 }, () => {
    const programs = entries().map((entry) => [entry, resultsOf(entry)] as const);
    expect(programs.map(([entry, lines]) => [entry, lines.length > 1])).not.toContainEqual([
      '@ws/node-server',
      false,
    ]);
    expect(programs.flatMap(([entry, lines]) => unnamed(layout, [entry], [lines]))).toEqual([]);
  });

  it('a type that no entry exports is found', () => {
    const planted = "import { resultOf } from '@ws/planted';\nexport const result = resultOf();\n";
    install('planted', {
      'package.json': JSON.stringify({
        name: '@ws/planted',
        exports: './index.js',
        type: 'module',
      }),
      'index.js': '',
      'index.d.ts': "import type { A } from './a.js';\nexport declare function resultOf(): A;\n",
      'a.d.ts': 'export interface A { a: 1 }\n',
    });
    expect(unnamed(layout, ['@ws/planted'], [planted])).toEqual([
      expect.stringContaining("cannot be named without a reference to 'A'"),
    ]);
  });
});

const DECLARATION = /^(const|let|class|function|async function) /gm;

/** The code of the snippets that import the same packages: no other import helps the compiler. */
function snippetsByImports(): [string[], string[]][] {
  const groups = new Map<string, string[]>();
  for (const { code } of snippets(root)) {
    const imports = [...new Set([...code.matchAll(/from '(@ws\/[^']+)/g)].map(([, id]) => id!))];
    if (imports.length === 0) continue;
    const key = imports.toSorted().join(' ');
    groups.set(key, [...(groups.get(key) ?? []), code]);
  }
  return [...groups].map(([key, codes]) => [key.split(' '), codes]);
}

/** The public entries of all packages, such as `@ws/hub/rooms`. */
function entries(): string[] {
  return published.flatMap((name) => {
    const names = Object.keys(manifestOf(name).exports).filter(
      (entry) => !/internal|package\.json|standalone/.test(entry),
    );
    return names.map((entry) => `@ws/${name}${entry.slice(1)}`);
  });
}

/** A line for each function, constructor, method and property of an entry, which exports its result. */
function resultsOf(entry: string): string {
  const probe = join(folder, 'flat', 'probe.ts');
  writeFileSync(probe, `export * from '${entry}';`);
  sources.delete(probe);
  const program = ts.createProgram([probe], OPTIONS, host);
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(probe)!)!;
  const lines = [`import type * as m from '${entry}';`, 'declare const a: any;'];
  for (const symbol of checker.getExportsOfModule(module)) {
    const isAlias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
    const { name } = symbol;
    if (!/^[a-zA-Z]\w*$/.test(name) || name === 'default') continue;
    if (target.flags & ts.SymbolFlags.Function) {
      lines.push(`export const ${name}_ = (e: typeof m) => e.${name}(...a);`);
    }
    if (target.flags & ts.SymbolFlags.Class) {
      lines.push(`export const ${name}_ = (e: typeof m) => new e.${name}(...a);`);
    }
    if (target.flags & (ts.SymbolFlags.Class | ts.SymbolFlags.Interface) && isMade(name)) {
      lines.push(...membersOf(checker, target, name));
    }
  }
  return lines.join('\n');
}

/** False for what applications write themselves: its members are no results. */
function isMade(name: string): boolean {
  return !/(Options|Rules|Events|Like|Extension|Deflate)$/.test(name);
}

function membersOf(checker: ts.TypeChecker, symbol: ts.Symbol, name: string): string[] {
  const declared = symbol.declarations?.find(
    (each) =>
      (ts.isClassDeclaration(each) || ts.isInterfaceDeclaration(each)) && each.typeParameters,
  ) as ts.ClassDeclaration | undefined;
  const parameters = declared?.typeParameters?.map(() => 'any') ?? [];
  const type = `m.${name}${parameters.length > 0 ? `<${parameters.join(', ')}>` : ''}`;
  return checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol)).flatMap((member) => {
    const [declaration] = member.declarations ?? [];
    const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected;
    if (!/^[a-zA-Z]\w*$/.test(member.name)) return [];
    if (declaration && ts.getCombinedModifierFlags(declaration) & hidden) return [];
    const call = member.flags & ts.SymbolFlags.Method ? '(...a)' : '';
    return [`export const ${name}_${member.name} = (x: ${type}) => x.${member.name}${call};`];
  });
}

/** Read once for all programs. */
const sources = new Map<string, ts.SourceFile | undefined>();
const base = ts.createCompilerHost(OPTIONS);
const host: ts.CompilerHost = {
  ...base,
  getSourceFile(file, options) {
    if (!sources.has(file)) sources.set(file, base.getSourceFile(file, options));
    return sources.get(file);
  },
};

let applications = 0;

/** What the compiler cannot write down of these files of an application that depends on `imports`. */
function unnamed(layout: Layout, imports: readonly string[], files: readonly string[]): string[] {
  const application = join(folder, layout, `application-${++applications}`);
  const packages = [...new Set(imports.map((id) => id.split('/').slice(0, 2).join('/')))];
  const dependencies = Object.fromEntries(packages.map((name) => [name, '0.1.0']));
  mkdirSync(join(application, 'node_modules/@ws'), { recursive: true });
  writeFileSync(
    join(application, 'package.json'),
    JSON.stringify({ type: 'module', dependencies }),
  );
  if (layout === 'pnpm') {
    for (const name of packages) symlinkSync(stored(name), join(application, 'node_modules', name));
  }
  for (const name of LIBRARIES) {
    symlinkSync(
      realpathSync(join(root, 'node_modules', name)),
      join(application, 'node_modules', name),
    );
  }
  const paths = files.map((code, i) => {
    const path = join(application, `${i}.ts`);
    writeFileSync(path, code);
    return path;
  });
  const program = ts.createProgram(paths, OPTIONS, host);
  return paths.flatMap((path) =>
    program
      .getDeclarationDiagnostics(program.getSourceFile(path))
      .map(({ file, start, messageText }) => {
        const line = file?.text.slice(start).split('\n', 1)[0] ?? '';
        return `${imports.join(' ')}: ${line}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
      }),
  );
}

interface Manifest {
  exports: Record<string, unknown>;
  readonly dependencies?: Record<string, string>;
  readonly publishConfig: { readonly exports: Record<string, unknown> };
}

function manifestOf(name: string): Manifest {
  const text = readFileSync(join(root, 'packages', name, 'package.json'), 'utf8');
  return JSON.parse(text) as Manifest;
}

/** Folder of a package in the store of pnpm's layout. */
function stored(name: string): string {
  return join(folder, 'pnpm/node_modules/.pnpm', name.replace('/', '+'), 'node_modules', name);
}

/** Copies a built package, or writes these files, into both layouts: a link would lead to the sources. */
function install(name: string, files?: Readonly<Record<string, string>>): void {
  const id = `@ws/${name}`;
  for (const to of [join(folder, 'flat/node_modules', id), stored(id)]) {
    mkdirSync(to, { recursive: true });
    if (files !== undefined) {
      for (const [path, text] of Object.entries(files)) writeFileSync(join(to, path), text);
      continue;
    }
    const manifest = manifestOf(name);
    cpSync(join(root, 'packages', name, 'dist'), join(to, 'dist'), { recursive: true });
    const content = { ...manifest, exports: manifest.publishConfig.exports };
    writeFileSync(join(to, 'package.json'), JSON.stringify(content));
  }
  if (files !== undefined) return;
  for (const dependency of Object.keys(manifestOf(name).dependencies ?? {})) {
    const link = join(dirname(dirname(stored(id))), dependency);
    symlinkSync(stored(dependency), link);
  }
}
