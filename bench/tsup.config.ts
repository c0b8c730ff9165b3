import { defineConfig } from 'tsup';

// Built before it runs, so that no loader runs in the process that measures.
export default defineConfig({
  entry: {
    cli: 'src/cli.ts',
    'bun-worker': 'src/rivals/bun-worker.ts',
    'client-worker': 'src/rivals/client-worker.ts',
    'http2-worker': 'src/rivals/http2-worker.ts',
    'in-memory-worker': 'src/rivals/in-memory-worker.ts',
    'items-worker': 'src/rivals/items-worker.ts',
    'kernels-worker': 'src/kernels/kernels-worker.ts',
    'load-worker': 'src/load/load-worker.ts',
    'presence-worker': 'src/rivals/presence-worker.ts',
    'proxy-worker': 'src/rivals/proxy-worker.ts',
    'room-cluster-worker': 'src/rivals/room-cluster-worker.ts',
    'room-load-worker': 'src/load/room-load-worker.ts',
    'room-server-worker': 'src/rivals/room-server-worker.ts',
    'script-worker': 'src/load/script-worker.ts',
    'server-worker': 'src/rivals/server-worker.ts',
    'sink-worker': 'src/load/sink-worker.ts',
    'storm-worker': 'src/rivals/storm-worker.ts',
    'stream-worker': 'src/rivals/stream-worker.ts',
  },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  // A process starts its workers from files beside it.
  splitting: false,
  treeshake: false,
  clean: true,
  silent: true,
});
