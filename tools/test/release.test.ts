import { describe, expect, it } from 'vitest';
import { type Manifest, releaseFaults } from '../check/release-faults.ts';

const good: Manifest = {
  name: 'x',
  license: 'MIT',
  repository: { url: 'git+https://git.example/x.git', directory: 'packages/x' },
  publishConfig: { access: 'public', provenance: true },
};

describe('releaseFaults', () => {
  it('is empty for a complete package', () => {
    expect(releaseFaults(good, 'packages/x')).toEqual([]);
  });

  it.each<[Partial<Manifest>, string]>([
    [
      { repository: {} },
      'no repository, which provenance needs: node --import tsx tools/rename-scope.ts @scope https://…',
    ],
    [
      { repository: { url: 'https://git.example/x', directory: 'x' } },
      'repository.directory is not packages/x',
    ],
    [{ publishConfig: { provenance: true } }, 'publishConfig.access is not public'],
    [{ publishConfig: { access: 'public' } }, 'publishConfig.provenance is not true'],
    [{ license: 'UNLICENSED' }, 'no license'],
    [{ scripts: { postinstall: 'node x' } }, "runs postinstall at its users'"],
  ])('reports a package with %o', (changed, fault) => {
    expect(releaseFaults({ ...good, ...changed }, 'packages/x')).toEqual([`x: ${fault}`]);
  });
});
