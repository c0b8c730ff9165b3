import { defineConfig } from 'vitest/config';

// Workspace packages resolve to their TypeScript sources, so tests need no build.
const conditions = ['@ws/source', 'module', 'node', 'development|production'];

export default defineConfig({
  ssr: { resolve: { conditions } },
  test: {
    testTimeout: 10_000,
    include: ['packages/*/test/**/*.test.ts', 'testkit/test/**/*.test.ts', 'fuzz/**/*.test.ts', 'examples/*/test/**/*.test.ts'],
  },
});
