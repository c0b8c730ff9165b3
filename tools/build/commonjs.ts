import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path/posix';
import process from 'node:process';
import type { Options } from 'tsup';

type Plugin = NonNullable<Options['esbuildPlugins']>[number];
type Esbuild = Parameters<Plugin['setup']>[0]['esbuild'];
type Exports = Readonly<
  Record<
    string,
    {
      readonly '@ws/source'?: string | { readonly default: string };
      readonly browser?: object;
      readonly require?: object;
    }
  >
>;

/** A comment that begins its line. esbuild leaves those of classes. The declarations have them too. */
const COMMENT = /^ *(?:\/\*\*[^]*?\*\/|\/\/ .*)\n/gm;

/** The CommonJS file of a package, with a namespace for each entry. */
const WHOLE = 'package.cjs';
/**
 * The door of a folder that is a CommonJS file of its own, for which {@link WHOLE} calls `require()` when
 * it first uses one of the exports. ES modules have no such way: there the folder is loaded at once.
 */
const DOOR = 'on-demand';

/**
 * Adds CommonJS to a build of ES modules. Every public entry gets three small files:
 *
 * - `NAME.cjs` for `require()`: the exports of the entry, out of the package's one CommonJS file;
 * - `NAME.mjs` for `import` in Node: the same exports, so that there is one copy of every class;
 * - `NAME.d.ts`: the declarations of `NAME.d.cts`.
 *
 * A folder with an `on-demand.ts` becomes a CommonJS file too.
 */
export function commonJS(): Plugin {
  return {
    name: 'commonjs',
    setup(build) {
      const { esbuild, initialOptions } = build;
      const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Exports };

      async function bundle(file: string, contents: string, plugin = externals()): Promise<string> {
        const { outputFiles } = await esbuild.build({
          stdin: { contents, resolveDir: process.cwd() },
          absWorkingDir: process.cwd(),
          bundle: true,
          format: 'cjs',
          platform: 'node',
          target: initialOptions.target ?? [],
          plugins: [plugin],
          write: false,
        });
        // Readable: a stack trace names the functions, and Node prints the line of an uncaught error.
        const text = onDemand(outputFiles[0]!.text.replaceAll(COMMENT, ''));
        write(file, await outdented(esbuild, text));
        return text;
      }

      build.onEnd(async ({ metafile }) => {
        const entries = publicEntries(exports);
        const used = new Set<string>();
        for (const door of doors()) {
          await bundle(
            `${door}.cjs`,
            `export * from './src/${door}.ts';`,
            within(dirname(door), used),
          );
        }
        const namespaces = [...new Set([...entries, ...used])].map(
          (name) => `export * as ${id(name)} from './src/${name}.ts';`,
        );
        const whole = await bundle(WHOLE, namespaces.join('\n'));
        for (const [path, { exports: names }] of Object.entries(metafile?.outputs ?? {})) {
          const name = path.replace(/^dist\/(.*)\.js$/, '$1');
          if (entries.includes(name)) writeEntry(name, names.toSorted(), whole);
          // For runtimes without CommonJS.
          else if (exports[`./${name}`] !== undefined) writeTypes(name);
        }
        // It loads other packages than the entry for Node.
        if (exports['.']?.browser !== undefined) {
          await bundle('browser.cjs', "export * from './src/browser.ts';");
          writeTypes('browser');
        }
      });
    },
  };
}

/** Removes the indentation, 8 % of a file, unless that changes more, such as a template of several lines. */
async function outdented({ transform }: Esbuild, text: string): Promise<string> {
  const short = text.replaceAll(/^ +/gm, '');
  const [before, after] = await Promise.all(
    [text, short].map((each) => transform(each, { minifyWhitespace: true })),
  );
  return before!.code === after!.code ? short : text;
}

/** Leaves every package, and each folder with a door, to `require()`. */
function externals(): Plugin {
  return {
    name: 'externals',
    setup(build) {
      leavePackages(build);
      build.onResolve({ filter: /\/on-demand\.ts$/ }, ({ path, resolveDir }) => ({
        path: `./${inSource(path, resolveDir)}.cjs`,
        external: true,
      }));
    },
  };
}

/**
 * For the file of a folder: leaves packages and the rest of this package to `require()`.
 *
 * @param used - Gets the paths of what the folder uses of the rest.
 */
function within(folder: string, used: Set<string>): Plugin {
  const whole = join(relative(folder, '.'), WHOLE);
  return {
    name: 'within',
    setup(build) {
      leavePackages(build);
      build.onResolve({ filter: /^\./ }, ({ path, resolveDir }) => {
        const name = inSource(path, resolveDir);
        if (name.startsWith(`${folder}/`)) return undefined;
        used.add(name);
        return { path: `${whole}#${id(name)}`, external: true };
      });
    },
  };
}

function leavePackages(build: Parameters<Plugin['setup']>[0]): void {
  build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
    kind === 'entry-point' ? undefined : { path, external: true },
  );
}

/** The path of an imported source in `src`, without its extension. */
function inSource(path: string, resolveDir: string): string {
  return relative(join(process.cwd(), 'src'), join(resolveDir, path)).replace(/\.ts$/, '');
}

/** The doors of the package, as paths in `src` without their extension. */
function doors(): string[] {
  return readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => basename(file) === `${DOOR}.ts`)
    .map((file) => file.replace(/\.ts$/, ''));
}

/** Makes getters of what a file uses of `require('./FOLDER/on-demand.cjs')`. */
function onDemand(text: string): string {
  return text
    .replaceAll(/^var (\w+) = (require\("\.\/.*\/on-demand\.cjs"\));$/gm, (_, name, call) => {
      const uses = text.matchAll(new RegExp(`\\b${name}\\.(\\w+)`, 'g'));
      const getters = [...new Set([...uses].map(([, each]) => each!))].map(
        (each) => `  get ${each}() { return ${call}.${each}; },\n`,
      );
      return `var ${name} = {\n${getters.join('')}};`;
    })
    .replaceAll(/require\("(.*)#(\w+)"\)/g, 'require("$1").$2');
}

/** The entries with a source and with CommonJS, as paths in `src` without their extension. */
function publicEntries(exports: Exports): string[] {
  return Object.values(exports).flatMap(({ '@ws/source': source, require }) => {
    if (source === undefined || require === undefined) return [];
    const main = typeof source === 'string' ? source : source.default;
    return [main.replace(/^\.\/src\/(.*)\.ts$/, '$1')];
  });
}

/** @param whole - The text of the file that has the exports. */
function writeEntry(name: string, names: readonly string[], whole: string): void {
  const list = listOf(names);
  const path = relative(dirname(name), WHOLE).replace(/^(?!\.)/, './');
  const file = basename(name);
  const isOnDemand = (each: string): boolean => whole.includes(`  ${each}: () => import_`);
  const own = listOf(names.filter((each) => !isOnDemand(each)));
  const getters = names
    .filter(isOnDemand)
    .map((each) => `  ${each}: { enumerable: true, get: () => entry.${each} },\n`);
  // Not as getters of the literal: V8 would look up each of its exports in a dictionary.
  const exported =
    getters.length === 0 ? own : `Object.defineProperties(${own}, {\n${getters.join('')}})`;
  write(
    `${name}.cjs`,
    `const entry = require('${path}').${id(name)};\nconst ${own} = entry;\nmodule.exports = ${exported};\n`,
  );
  write(`${name}.mjs`, `import entry from './${file}.cjs';\nexport const ${list} = entry;\n`);
  writeTypes(name);
}

function listOf(names: readonly string[]): string {
  return `{\n${names.map((each) => `  ${each},\n`).join('')}}`;
}

function writeTypes(name: string): void {
  write(`${name}.d.ts`, `export * from './${basename(name)}.cjs';\n`);
}

/** The identifier of an entry such as `reconnecting/index`. */
function id(name: string): string {
  return name.replaceAll(/\W/g, '_');
}

function write(name: string, contents: string): void {
  const path = join('dist', name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, contents);
}
