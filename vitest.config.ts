import { defineConfig } from 'vitest/config';

// Workspace packages resolve to their TypeScript sources, so tests need no build.
const conditions = ['@ws/source', 'module', 'node', 'development|production'];
const all = { lines: 95, branches: 95 };

export default defineConfig({
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 10_000,
    include: [
      'packages/*/test/**/*.test.ts',
      'testkit/test/**/*.test.ts',
      'fuzz/**/*.test.ts',
      'mutation/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'examples/*/test/**/*.test.ts',
      'scripts/test/**/*.test.ts',
    ],
    coverage: {
      provider: 'v8',
      include: ['packages/codec/src/**/*.ts', 'packages/conn/src/**/*.ts'],
      exclude: ['**/*.d.ts'],
      reporter: ['text', 'lcovonly'],
      reportsDirectory: '.out/coverage',
      thresholds: { 'packages/codec/src/**': all, 'packages/conn/src/**': all },
    },
  },
});
