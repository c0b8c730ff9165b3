import { defineConfig, type Options } from 'tsup';

const shared: Options = {
  format: ['cjs'],
  outExtension: () => ({ js: '.cjs' }),
  target: 'node20',
  platform: 'node',
  removeNodeProtocol: false,
  sourcemap: false,
  splitting: false,
  silent: true,
  treeshake: false,
};

/**
 * CommonJS files, whose `module.exports` is the class: one for a Node that can require the ES
 * modules it depends on, and one that contains them, for other loaders such as Jest's. The folder
 * `entry` has the ESM wrapper of the named exports, the file for browsers and the declarations.
 */
export default defineConfig([
  {
    ...shared,
    entry: { index: 'src/commonjs.ts' },
    publicDir: 'entry',
  },
  {
    ...shared,
    entry: { standalone: 'src/commonjs.ts' },
    noExternal: ['@ws/codec', '@ws/conn', '@ws/deflate', '@ws/node-io'],
  },
]);
