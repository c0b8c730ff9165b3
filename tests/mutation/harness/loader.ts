import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import ts from 'typescript';
import { plantTestMeters } from './meters.ts';
import { parse } from './source.ts';

/** A module as a function, and what it imports: specifiers with the path of each, or nothing for a foreign package. */
interface Compiled {
  readonly run: Run;
  readonly imports: ReadonlyMap<string, string | undefined>;
}

type Require = (specifier: string) => unknown;
type Run = (
  exports: object,
  require: Require,
  module: object,
  meta: Readonly<Record<string, string>>,
) => void;

/**
 * Loads TypeScript into this process, again and again: our own modules are new each time, so that no mutant finds what
 * another has left in them, while packages of others and compiled code are kept.
 */
export class Loader {
  readonly #workspace: ReadonlyMap<string, string>;
  readonly #compiled = new Map<string, { readonly text: string; readonly code: Compiled }>();
  readonly #foreign = new Map<string, unknown>();
  #planted: Readonly<Record<string, string>> = {};
  /** The code of what is planted, for as long as it is: every test file loads it. */
  readonly #plantedCode = new Map<string, { readonly text: string; readonly code: Compiled }>();
  #modules = new Map<string, { exports: object }>();

  constructor(root: string) {
    this.#workspace = workspaceOf(root);
  }

  /** What files say instead of what stands on the disk, by absolute path, from the next {@link load} on. */
  plant(texts: Readonly<Record<string, string>>): void {
    this.#planted = texts;
    for (const [path, { text }] of this.#plantedCode) {
      if (texts[path] !== text) this.#plantedCode.delete(path);
    }
  }

  /** Forgets the modules that were loaded, as `vi.resetModules` does. */
  forget(): void {
    this.#modules = new Map();
  }

  /** Loads a module and all that it imports. */
  async load(path: string): Promise<void> {
    this.forget();
    await this.#prepare(path, new Set());
    this.#require(path);
  }

  /** Packages of others are imported, which takes a promise; what follows takes none. */
  async #prepare(path: string, seen: Set<string>): Promise<void> {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [specifier, target] of this.#compile(path).imports) {
      if (target !== undefined) await this.#prepare(target, seen);
      else if (!this.#foreign.has(specifier)) {
        this.#foreign.set(specifier, await importForeign(specifier, path));
      }
    }
  }

  #require(path: string): object {
    const known = this.#modules.get(path);
    if (known !== undefined) return known.exports;
    const module = { exports: {} };
    this.#modules.set(path, module);
    const { run, imports } = this.#compile(path);
    const require: Require = (specifier) => {
      const target = imports.get(specifier);
      return target === undefined ? this.#foreign.get(specifier) : this.#require(target);
    };
    const meta = { url: pathToFileURL(path).href, filename: path, dirname: dirname(path) };
    run(module.exports, require, module, meta);
    return module.exports;
  }

  #compile(path: string): Compiled {
    const planted = this.#planted[path];
    const kept = planted === undefined ? this.#compiled : this.#plantedCode;
    const known = kept.get(path);
    if (known !== undefined) return known.code;
    const text = planted ?? plantTestMeters(parse(path, readFileSync(path, 'utf8')));
    const code = { run: compile(path, text), imports: this.#importsOf(path, text) };
    kept.set(path, { text, code });
    return code;
  }

  #importsOf(path: string, text: string): Map<string, string | undefined> {
    const { importedFiles } = ts.preProcessFile(text, true, false);
    return new Map(
      importedFiles.map(({ fileName }) => [
        fileName,
        fileName.startsWith('.') ? join(dirname(path), fileName) : this.#workspace.get(fileName),
      ]),
    );
  }
}

function compile(path: string, text: string): Run {
  const { outputText } = ts.transpileModule(text.replaceAll('import.meta', '__meta'), {
    fileName: path,
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.CommonJS,
      verbatimModuleSyntax: false,
    },
  });
  const wrapped = `(function (exports, require, module, __meta) {${outputText}\n})`;
  return new Script(wrapped, { filename: path }).runInThisContext() as Run;
}

/** The sources behind the names of the workspace's packages. */
function workspaceOf(root: string): Map<string, string> {
  const packages = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
  const found = new Map<string, string>();
  for (const folder of [...packages, join(root, 'testkit')]) {
    const file = join(folder, 'package.json');
    if (!existsSync(file)) continue;
    const { name, exports } = JSON.parse(readFileSync(file, 'utf8')) as {
      name: string;
      exports: Readonly<Record<string, { readonly '@ws/source'?: string }>>;
    };
    for (const [entry, { '@ws/source': source }] of Object.entries(exports)) {
      if (source !== undefined) found.set(join(name, entry), join(folder, source));
    }
  }
  return found;
}

function importForeign(specifier: string, from: string): Promise<unknown> {
  if (isBuiltin(specifier) || specifier === 'vitest') return import(specifier);
  return import(pathToFileURL(createRequire(from).resolve(specifier)).href);
}
