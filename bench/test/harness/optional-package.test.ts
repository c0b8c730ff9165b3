import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { lackOfPackage, packageVersion } from '../../src/harness/optional-package.ts';
import { CONTENDERS, packageOf } from '../../src/rivals/contenders.ts';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { readonly optional: boolean }>>;
}

const manifest = createRequire(import.meta.url)('../../package.json') as Manifest;

describe('package.json', () => {
  it('has every contender but ws as an optional peer, in the version of the workspace', () => {
    const { dependencies, devDependencies, peerDependencies, peerDependenciesMeta } = manifest;
    for (const [name, range] of Object.entries(peerDependencies)) {
      expect(peerDependenciesMeta[name]).toEqual({ optional: true });
      // The root of the workspace has it, which not every system can install.
      if (name !== 'bun') expect(range).toBe(`^${devDependencies[name]}`);
    }
    const foreign = Object.entries(dependencies).flatMap(([name, version]) =>
      version.startsWith('workspace:') ? [] : [name],
    );
    expect(foreign).toEqual(['cli-progress', 'tinybench', 'ws']);
  });
});

describe('packageVersion', () => {
  it('finds a package that does not export its package.json', () => {
    expect(packageVersion('httpxy')).toBe(manifest.devDependencies['httpxy']);
  });
});

describe('lackOfPackage', () => {
  it('is undefined for an installed package', () => {
    expect(lackOfPackage('socket.io')).toBeUndefined();
  });
});

describe('packageOf', () => {
  it('is undefined for the contenders of echoes, and names those that are packages', () => {
    expect(CONTENDERS.filter((name) => packageOf(name) !== undefined)).toEqual([]);
    expect(['socket.io, compat', 'httpxy'].map(packageOf)).toEqual(['socket.io', 'httpxy']);
  });
});
