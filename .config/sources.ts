/** For `ssr` of vitest: workspace packages resolve to their TypeScript sources, so tests need no build. */
export const sources = {
  resolve: { conditions: ['@ws/source', 'node', 'development|production'] },
};
