// Writes `exports` of every package that has ES modules and CommonJS: `node --import tsx
// tools/exports.ts`, after an entry was added with its `@ws/source`.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';

type Target = string | { readonly [condition: string]: Target };
type Entries = Readonly<Record<string, Target>>;

/** What package.json says about the files of a package. */
export interface Manifest {
  readonly private?: boolean;
  readonly main?: string;
  readonly types?: string;
  readonly typesVersions?: object;
  readonly exports: Entries;
  readonly publishConfig: { readonly exports: Entries };
}

/**
 * Packages whose exports have this shape. The CommonJS of compat is one class, as that of ws; cli is
 * a command, without an entry point.
 */
export function dualPackages(root: string): string[] {
  const packages = readdirSync(join(root, 'packages'))
    .filter((name) => !['cli', 'compat'].includes(name))
    .map((name) => join(root, 'packages', name, 'package.json'));
  return [...packages, join(root, 'conformance/package.json')];
}

/** The manifest as it should be, from the `@ws/source` of each entry. */
export function withExports<M extends Manifest>(manifest: M): M {
  const exports: Record<string, Target> = {};
  const published: Record<string, Target> = {};
  const subpaths: Record<string, [string]> = {};
  for (const [subpath, target] of Object.entries(manifest.exports)) {
    const source = typeof target === 'string' ? undefined : target['@ws/source'];
    if (typeof target === 'string' || source === undefined) {
      exports[subpath] = published[subpath] = target;
      continue;
    }
    if (typeof target['types'] === 'string') {
      // Only for runtimes without CommonJS.
      const { '@ws/source': _, ...rest } = target;
      exports[subpath] = target;
      published[subpath] = rest;
      continue;
    }
    const { main, others } = sourcesOf(source);
    const name = nameOf(main);
    const { browser } = target;
    published[subpath] = {
      ...(browser !== undefined && { browser }),
      ...others,
      ...conditions(name),
      // A runtime with a file of its own.
      ...others,
    };
    exports[subpath] = { '@ws/source': source, ...published[subpath] };
    if (subpath !== '.') subpaths[subpath.slice(2)] = [`./dist/${name}.d.cts`];
  }
  // Resolution without `exports`: moduleResolution node10, the default of `tsc --init` until 5.8.
  const older = {
    main: './dist/index.cjs',
    types: './dist/index.d.cts',
    ...(Object.keys(subpaths).length > 0 && { typesVersions: { '*': subpaths } }),
  };
  return ordered(manifest, exports, older, published);
}

/** The source of an entry, and the files of the runtimes that have another one. */
function sourcesOf(source: Target): { readonly main: string; readonly others: object } {
  if (typeof source === 'string') return { main: source, others: {} };
  const { default: main, ...others } = source as Readonly<Record<string, string>>;
  const files = Object.entries(others).map(([condition, file]) => [
    condition,
    `./dist/${nameOf(file)}.js`,
  ]);
  return { main: main!, others: Object.fromEntries(files) };
}

function nameOf(source: string): string {
  return source.replace(/^\.\/src\/(.*)\.ts$/, '$1');
}

/** The order matters: a runtime or a bundler takes the first condition that it knows. */
function conditions(name: string): { readonly [condition: string]: Target } {
  const module = `./dist/${name}.js`;
  return {
    bun: module,
    deno: module,
    // Bundlers alone know it. All of a bundle then gets the ES modules, for import and for require().
    module,
    import: {
      types: `./dist/${name}.d.ts`,
      // Node alone sets it: esbuild does not set `module` when its user sets a condition.
      'node-addons': `./dist/${name}.mjs`,
      default: module,
    },
    require: { types: `./dist/${name}.d.cts`, default: `./dist/${name}.cjs` },
    default: module,
  };
}

/** Puts the fields that replace `exports` behind it. */
function ordered<M extends Manifest>(
  manifest: M,
  exports: Entries,
  older: object,
  published: Entries,
): M {
  const fields = Object.entries({ ...manifest, exports }).flatMap(([key, value]) => {
    if (Object.hasOwn(older, key)) return [];
    if (key === 'exports') return [[key, value], ...Object.entries(older)];
    if (key === 'publishConfig') return [[key, { ...manifest.publishConfig, exports: published }]];
    return [[key, value]];
  });
  return Object.fromEntries(fields) as M;
}

if (import.meta.filename === resolve(process.argv[1] ?? '')) {
  for (const path of dualPackages('.')) {
    const manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest;
    writeFileSync(path, `${JSON.stringify(withExports(manifest), null, 2)}\n`);
  }
}
