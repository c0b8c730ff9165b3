import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';

const root = join(import.meta.dirname, '../../..');
const folders = readdirSync(join(root, 'packages')).map((name) => join('packages', name));

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly files?: readonly string[];
  readonly scripts?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifests = folders.map((folder) => JSON.parse(read(`${folder}/package.json`)) as Manifest);
/** What each package delivers: to be changed here when it is meant to change. */
const pinned = JSON.parse(read('testkit/test/hostile/package-files.json')) as Readonly<
  Record<string, readonly string[]>
>;

/** The proxy libraries that node-client may load: it does with none, so far. */
const LISTED: readonly string[] = [];
/** Fields by which a package brings others along. */
const BRINGING = ['dependencies', 'optionalDependencies', 'peerDependencies', 'bundleDependencies'];
/** What npm runs by itself for somebody who installs. */
const LIFECYCLE = /^(pre|post)?(install|prepare|uninstall)$|^prepublish$|^dependencies$/;

describe('a published package', () => {
  it('brings nobody else along, and runs nothing when it is installed', async () => {
    const ours = new Set(manifests.map(({ name }) => name));
    const foreign = (manifest: Manifest): string[] =>
      BRINGING.flatMap((field) => Object.keys(manifest[field] ?? {}))
        .filter((name) => !ours.has(name))
        .filter((name) => manifest.name !== '@ws/node-client' || !LISTED.includes(name));
    await survives(137, () => {
      const dependencies = manifests.flatMap(foreign);
      expect(dependencies).toEqual([]);
      // The lock file has the whole of it, by digest, and pnpm runs the scripts of no package but these.
      expect(read('pnpm-lock.yaml')).toMatch(/^lockfileVersion: /);
      const allowed = /^onlyBuiltDependencies:\n((?: {2}- .*\n)+)/m.exec(
        read('pnpm-workspace.yaml'),
      );
      expect(allowed?.[1]).toBe('  - esbuild\n');
      return { dependencies: dependencies.length };
    });
    await survives(138, () => {
      const scripts = manifests.flatMap(({ scripts = {} }) =>
        Object.keys(scripts).filter((name) => LIFECYCLE.test(name)),
      );
      const addOns = manifests.filter(({ gypfile }) => gypfile !== undefined);
      const recipes = folders.filter((folder) => existsSync(join(root, folder, 'binding.gyp')));
      expect([...addOns, ...recipes]).toEqual([]);
      return { scripts: scripts.length };
    });
  });

  it('delivers the files of the list, and no test among them', async () => {
    const { stdout } = await promisify(execFile)(
      'npm',
      ['pack', '--dry-run', '--json', '--ignore-scripts', ...folders.map((path) => `./${path}`)],
      { cwd: root },
    );
    interface Packed {
      readonly name: string;
      readonly files: readonly { readonly path: string }[];
    }
    const packed = JSON.parse(stdout) as readonly Packed[];
    const unbuilt = folders.filter((folder) => !existsSync(join(root, folder, 'dist/index.js')));
    if (unbuilt.length > 0) console.log(`not built, so without dist: ${unbuilt.join(', ')}`);
    await survives(142, () => {
      let files = 0;
      expect(packed.map(({ name }) => name)).toEqual(Object.keys(pinned));
      for (const [i, { name, files: found }] of packed.entries()) {
        const built = !unbuilt.includes(folders[i]!);
        // The names of shared chunks have a digest in them.
        const paths = found.map(({ path }) => path.replace(/-[A-Za-z0-9_-]{8}\./, '-*.'));
        const expected = pinned[name]!.filter((path) => built || !path.startsWith('dist/'));
        expect(paths.toSorted(), name).toEqual(expected);
        files = Math.max(files, pinned[name]!.length);
        for (const path of [...paths, ...pinned[name]!]) expect(path).not.toMatch(/test|\.node$/);
      }
      return { files };
    });
  }, 60_000);
});
