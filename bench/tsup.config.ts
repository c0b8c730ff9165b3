import { defineConfig } from 'tsup';

const built = {
  target: 'node20',
  platform: 'node',
  // A process starts its workers from files beside it.
  splitting: false,
  treeshake: false,
} as const;

// Built before it runs, so that no loader runs in the process that measures.
export default defineConfig([
  {
    ...built,
    entry: {
      cli: 'src/cli.ts',
      'codec-worker': 'src/scenarios/codec-worker.ts',
      'echo-worker': 'src/rivals/echo-worker.ts',
      'load-worker': 'src/load/load-worker.ts',
      'load-url-worker': 'src/client/load-url-worker.ts',
      'audience-worker': 'src/load/audience-worker.ts',
      'sink-worker': 'src/load/sink-worker.ts',
      'broadcast-worker': 'src/rivals/broadcast-worker.ts',
      'runtime-worker': 'src/rivals/runtime-worker.ts',
      'sender-worker': 'src/rivals/sender-worker.ts',
      'stream-worker': 'src/rivals/stream-worker.ts',
    },
    format: ['esm'],
    // Only `ws-bench commits` needs it, and loads it then.
    external: ['tsup'],
    clean: ['!dist/draw.js'],
  },
  {
    // The script of an HTML report, with ECharts in it.
    entry: { draw: 'src/report/draw-charts.ts' },
    format: ['iife'],
    target: 'es2022',
    platform: 'browser',
    minify: true,
    noExternal: [/./],
    outExtension: () => ({ js: '.js' }),
  },
]);
