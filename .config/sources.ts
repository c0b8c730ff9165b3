import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

/** For `ssr` of vitest: workspace packages resolve to their TypeScript sources, so tests need no build. */
export const sources = {
  resolve: { conditions: ['@ws/source', 'node', 'development|production'] },
};

/**
 * For `experimental` of vitest: a module is transformed once for all projects, and again when its text changes. Its
 * imports are resolved in it, so other manifests have another folder. `rm -r .out` removes all of them.
 */
export const transformed = {
  fsModuleCache: true,
  fsModuleCachePath: join(root, '.out/transformed', manifests()),
};

/** A digest of the manifests of all packages. */
function manifests(): string {
  const digest = createHash('sha256');
  for (const name of readdirSync(join(root, 'packages'))) {
    const file = join(root, 'packages', name, 'package.json');
    if (existsSync(file)) digest.update(readFileSync(file));
  }
  return digest.digest('hex').slice(0, 16);
}
