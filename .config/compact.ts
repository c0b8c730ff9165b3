import type { Options } from 'tsup';

type Plugin = NonNullable<Options['esbuildPlugins']>[number];

const COMMENTS = [/^ *\/\*\*[^]*?\*\/\n/gm, /^ *\/\/.*\n/gm];
const INDENTATION = /^ +/gm;

/**
 * Removes comments and indentation from ES modules, if no string of several lines contains any.
 * esbuild's own way, `minifyWhitespace`, removes `@__PURE__` too, and bundlers would keep constants
 * that nothing uses.
 */
export const compact: Plugin = {
  name: 'compact',
  setup(build) {
    const { esbuild } = build;
    const minified = async (code: string): Promise<string> =>
      (await esbuild.transform(code, { minify: true, format: 'esm' })).code;

    build.onEnd(async ({ outputFiles = [] }) => {
      for (const file of outputFiles) {
        let code = file.text;
        const meaning = await minified(code);
        for (const pattern of [...COMMENTS, INDENTATION]) {
          const shorter = code.replaceAll(pattern, '');
          if ((await minified(shorter)) === meaning) code = shorter;
        }
        file.contents = new TextEncoder().encode(code);
      }
    });
  },
};
