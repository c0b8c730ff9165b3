import { defineConfig } from 'tsup';

/** One file without imports, for `<script type="module">`: a page cannot resolve bare names. */
export default defineConfig({
  entry: { standalone: 'src/index.ts' },
  format: ['esm'],
  target: 'es2022',
  platform: 'browser',
  minify: true,
  silent: true,
  noExternal: [/./],
  esbuildOptions(options) {
    options.conditions = ['@ws/source'];
  },
});
