import { defineConfig } from 'tsup';

// Built before it runs, so that no loader sits in the process that measures.
export default defineConfig({
  entry: {
    cli: 'src/cli.ts',
    'codec-worker': 'src/scenarios/codec-worker.ts',
    'echo-worker': 'src/rivals/echo-worker.ts',
    'load-worker': 'src/load/load-worker.ts',
  },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  clean: true,
  // The workers are found beside the command that starts them.
  splitting: false,
  treeshake: false,
});
