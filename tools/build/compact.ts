import type { Options } from 'tsup';

type Plugin = NonNullable<Options['esbuildPlugins']>[number];

const PURE = '/* @__PURE__ */ ';
/** Occurs in no source. Like {@link PURE} it stands before a call. */
const MARK = 'typeof typeof ';
/** Without white space, no space follows where a string or an array begins. */
const MARKS = /\btypeof typeof\b ?/g;

/**
 * An import of a chunk for its effects. esbuild writes them for the order of evaluation; the chunks have
 * none, and each bundler of an application would warn about each of them.
 */
const ORDER = /\bimport\s*"[./]+chunk-\w+\.js";/g;

/**
 * Removes comments and white space from ES modules. esbuild's `minifyWhitespace` would remove
 * `@__PURE__` too, and bundlers would keep constants that nothing uses. Lines stay short: Node
 * prints the whole line of an uncaught error.
 */
export const compact: Plugin = {
  name: 'compact',
  setup(build) {
    const { esbuild } = build;
    build.onEnd(async ({ outputFiles = [] }) => {
      for (const file of outputFiles) {
        const { code } = await esbuild.transform(file.text.replaceAll(PURE, MARK), {
          format: 'esm',
          minifyWhitespace: true,
          lineLimit: 300,
        });
        const kept = code.replaceAll(ORDER, '').replaceAll(MARKS, PURE);
        file.contents = new TextEncoder().encode(kept);
      }
    });
  },
};
