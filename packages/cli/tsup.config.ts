import { defineConfig } from 'tsup';

// A start loads the chunks of the command at hand. The siblings are bundled from their sources: as
// packages they take 1.3 times as long to load.
export default defineConfig({
  entry: ['src/cli.ts'],
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  noExternal: [/^@ws\//],
  esbuildOptions(options) {
    options.conditions = ['@ws/source'];
  },
  splitting: true,
  minify: true,
  clean: true,
  silent: true,
});
