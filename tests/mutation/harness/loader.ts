import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import ts from 'typescript';
import { instrumentTest } from './instrument.ts';
import { parse } from './source.ts';

/** A module as a function, and the path of each import; undefined for an external package. */
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
 * Loads TypeScript into this process repeatedly. Workspace modules are evaluated anew each time, so no
 * mutant sees state of another. External packages and compiled code are kept.
 */
export class Loader {
  readonly #workspace: ReadonlyMap<string, string>;
  readonly #compiled = new Map<string, { readonly text: string; readonly code: Compiled }>();
  readonly #external = new Map<string, unknown>();
  #overrides: Readonly<Record<string, string>> = {};
  /** Compiled overrides: every test file loads them. */
  readonly #overriddenCode = new Map<string, { readonly text: string; readonly code: Compiled }>();
  #modules = new Map<string, { exports: object }>();

  constructor(root: string) {
    this.#workspace = workspaceOf(root);
  }

  /** Replaces the text of files, by absolute path, from the next {@link load} on. */
  override(texts: Readonly<Record<string, string>>): void {
    this.#overrides = texts;
    for (const [path, { text }] of this.#overriddenCode) {
      if (texts[path] !== text) this.#overriddenCode.delete(path);
    }
  }

  /** Drops the loaded modules, as `vi.resetModules` does. */
  forget(): void {
    this.#modules = new Map();
  }

  /** Loads a module and its imports. */
  async load(path: string): Promise<void> {
    this.forget();
    await this.#prepare(path, new Set());
    this.#require(path);
  }

  /** Imports external packages, which is asynchronous; the evaluation is synchronous. */
  async #prepare(path: string, seen: Set<string>): Promise<void> {
    if (seen.has(path)) return;
    seen.add(path);
    for (const [specifier, target] of this.#compile(path).imports) {
      if (target !== undefined) await this.#prepare(target, seen);
      else if (!this.#external.has(specifier)) {
        this.#external.set(specifier, await importExternal(specifier, path));
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
      return target === undefined ? this.#external.get(specifier) : this.#require(target);
    };
    const meta = { url: pathToFileURL(path).href, filename: path, dirname: dirname(path) };
    run(module.exports, require, module, meta);
    return module.exports;
  }

  #compile(path: string): Compiled {
    const override = this.#overrides[path];
    const kept = override === undefined ? this.#compiled : this.#overriddenCode;
    const known = kept.get(path);
    if (known !== undefined) return known.code;
    const text = override ?? instrumentTest(parse(path, readFileSync(path, 'utf8')));
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

/** The source of each workspace package name. */
function workspaceOf(root: string): Map<string, string> {
  const packages = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
  const found = new Map<string, string>();
  for (const folder of [...packages, join(root, 'tests')]) {
    const file = join(folder, 'package.json');
    if (!existsSync(file)) continue;
    const { name, exports } = JSON.parse(readFileSync(file, 'utf8')) as {
      name: string;
      exports: Readonly<Record<string, string | { readonly '@ws/source'?: string }>>;
    };
    for (const [entry, target] of Object.entries(exports)) {
      const source = typeof target === 'string' ? target : target['@ws/source'];
      if (source?.endsWith('.ts')) found.set(join(name, entry), join(folder, source));
    }
  }
  return found;
}

function importExternal(specifier: string, from: string): Promise<unknown> {
  if (isBuiltin(specifier) || specifier === 'vitest') return import(specifier);
  return import(pathToFileURL(createRequire(from).resolve(specifier)).href);
}
