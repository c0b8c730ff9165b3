import { describe, expect, it } from 'vitest';
import { type Manifest, releaseFaults } from '../release.ts';

const good: Manifest = {
  name: 'x',
  license: 'MIT',
  repository: { url: 'git+https://git.example/x.git', directory: 'packages/x' },
  publishConfig: { access: 'public', provenance: true },
};

describe('before a release', () => {
  it('nothing is wrong with a package that has everything', () => {
    expect(releaseFaults(good, 'packages/x')).toEqual([]);
  });

  it.each<[Partial<Manifest>, string]>([
    [
      { repository: {} },
      'no repository, which provenance needs: pnpm rename-scope @scope https://…',
    ],
    [
      { repository: { url: 'https://git.example/x', directory: 'x' } },
      'repository.directory is not packages/x',
    ],
    [{ publishConfig: { provenance: true } }, 'publishConfig.access is not public'],
    [{ publishConfig: { access: 'public' } }, 'publishConfig.provenance is not true'],
    [{ license: 'UNLICENSED' }, 'no license'],
    [{ scripts: { postinstall: 'node x' } }, "runs postinstall at its users'"],
  ])('a package with %o is named', (changed, fault) => {
    expect(releaseFaults({ ...good, ...changed }, 'packages/x')).toEqual([`x: ${fault}`]);
  });
});
