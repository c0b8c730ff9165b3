import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path/posix';
import process from 'node:process';
import type { Options } from 'tsup';

type Plugin = NonNullable<Options['esbuildPlugins']>[number];
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
 * Adds CommonJS to a build of ES modules. Every public entry gets three small files:
 *
 * - `NAME.cjs` for `require()`: the exports of the entry, out of the package's one CommonJS file;
 * - `NAME.mjs` for `import` in Node: the same exports, so that there is one copy of every class;
 * - `NAME.d.ts`: the declarations of `NAME.d.cts`.
 */
export function commonJS(): Plugin {
  return {
    name: 'commonjs',
    setup(build) {
      const { esbuild, initialOptions } = build;
      const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Exports };

      async function bundle(file: string, contents: string): Promise<void> {
        const { outputFiles } = await esbuild.build({
          stdin: { contents, resolveDir: process.cwd() },
          absWorkingDir: process.cwd(),
          bundle: true,
          format: 'cjs',
          platform: 'node',
          target: initialOptions.target ?? [],
          plugins: [externals()],
          write: false,
        });
        // Readable: a stack trace names the functions, and Node prints the line of an uncaught error.
        for (const { text } of outputFiles) write(file, text.replaceAll(COMMENT, ''));
      }

      build.onEnd(async ({ metafile }) => {
        const entries = publicEntries(exports);
        const namespaces = entries.map(
          (name) => `export * as ${id(name)} from './src/${name}.ts';`,
        );
        await bundle(WHOLE, namespaces.join('\n'));
        for (const [path, { exports: names }] of Object.entries(metafile?.outputs ?? {})) {
          const name = path.replace(/^dist\/(.*)\.js$/, '$1');
          if (entries.includes(name)) writeEntry(name, names.toSorted());
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

/** Leaves every package to `require()`. */
function externals(): Plugin {
  return {
    name: 'externals',
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, ({ path, kind }) =>
        kind === 'entry-point' ? undefined : { path, external: true },
      );
    },
  };
}

/** The entries with a source and with CommonJS, as paths in `src` without their extension. */
function publicEntries(exports: Exports): string[] {
  return Object.values(exports).flatMap(({ '@ws/source': source, require }) => {
    if (source === undefined || require === undefined) return [];
    const main = typeof source === 'string' ? source : source.default;
    return [main.replace(/^\.\/src\/(.*)\.ts$/, '$1')];
  });
}

function writeEntry(name: string, names: readonly string[]): void {
  const list = `{\n${names.map((each) => `  ${each},\n`).join('')}}`;
  const whole = relative(dirname(name), WHOLE);
  const path = whole.startsWith('.') ? whole : `./${whole}`;
  const file = basename(name);
  write(
    `${name}.cjs`,
    `const ${list} = require('${path}').${id(name)};\nmodule.exports = ${list};\n`,
  );
  write(`${name}.mjs`, `import entry from './${file}.cjs';\nexport const ${list} = entry;\n`);
  writeTypes(name);
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
