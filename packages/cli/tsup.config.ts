import { defineConfig } from 'tsup';

// One chunk for each command: a start loads only the code of the command at hand.
export default defineConfig({
  entry: ['src/cli.ts'],
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  clean: true,
  silent: true,
});
