import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { nothingLeft } from '../peers/index.ts';
import { atLeast, atMost, claim, survives } from './harness/index.ts';

const root = join(import.meta.dirname, '../..');
const folders = [
  ...readdirSync(join(root, 'packages')).map((name) => join('packages', name)),
  'conformance',
];

interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly files?: readonly string[];
  readonly scripts?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const manifests = folders.map((folder) => JSON.parse(read(`${folder}/package.json`)) as Manifest);
/** The files of each package. Change this list when they change on purpose. */
const pinned = JSON.parse(read('tests/attacks/package-files.json')) as Readonly<
  Record<string, readonly string[]>
>;

/** Fields that add packages to an installation. */
const BRINGING = ['dependencies', 'optionalDependencies', 'peerDependencies', 'bundleDependencies'];
/** Scripts that npm runs during an installation. */
const LIFECYCLE = /^(pre|post)?(install|prepare|uninstall)$|^prepublish$|^dependencies$/;

describe('a published package', () => {
  it('adds no dependency, and runs no script during its installation', async () => {
    const ours = new Set(manifests.map(({ name }) => name));
    const foreign = (manifest: Manifest): string[] =>
      BRINGING.flatMap((field) => Object.keys(manifest[field] ?? {})).filter(
        (name) => !ours.has(name),
      );
    // pnpm runs the install scripts of the packages that pnpm-workspace.yaml names: esbuild.
    const attack = claim('a malicious dependency', 'CWE-1357');
    await survives(attack, { dependencies: 0 }, () => {
      const dependencies = manifests.flatMap(foreign);
      expect(dependencies).toEqual([]);
      // The lock file pins everything by digest. pnpm runs scripts of these packages only.
      expect(read('pnpm-lock.yaml')).toMatch(/^lockfileVersion: /);
      const [, builds = ''] =
        /^allowBuilds:\n((?: {2}.*\n)+)/m.exec(read('pnpm-workspace.yaml')) ?? [];
      expect(builds.match(/\w+(?=: true)/g)).toEqual(['esbuild']);
      return { dependencies: dependencies.length };
    });
    await survives(
      claim('install scripts and native add-ons in a package', 'CWE-829'),
      { scripts: 0 },
      () => {
        const scripts = manifests.flatMap(({ scripts = {} }) =>
          Object.keys(scripts).filter((name) => LIFECYCLE.test(name)),
        );
        const addOns = manifests.filter(({ gypfile }) => gypfile !== undefined);
        const recipes = folders.filter((folder) => existsSync(join(root, folder, 'binding.gyp')));
        expect([...addOns, ...recipes]).toEqual([]);
        return { scripts: scripts.length };
      },
    );
  });

  it('contains the listed files, and no test', async () => {
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
    const unbuilt = folders.filter((folder) =>
      // A command has no index.
      ['index.js', 'cli.js'].every((name) => !existsSync(join(root, folder, 'dist', name))),
    );
    if (unbuilt.length > 0) console.log(`not built, so without dist: ${unbuilt.join(', ')}`);
    await survives({ attack: 'test code in a published package' }, { files: atMost(70) }, () => {
      let files = 0;
      expect(packed.map(({ name }) => name)).toEqual(Object.keys(pinned));
      for (const [i, { name, files: found }] of packed.entries()) {
        const built = !unbuilt.includes(folders[i]!);
        const paths = found.map(({ path }) => path);
        // The build names chunks after what they share, and adds a digest.
        const listed = new Set(
          paths.map((path) => path.replace(/[^/]+-[A-Za-z0-9_-]{8}\./, '*-*.')),
        );
        const expected = pinned[name]!.filter((path) => built || !path.startsWith('dist/'));
        expect([...listed].toSorted(), name).toEqual(expected);
        files = Math.max(files, paths.length);
        for (const path of paths) expect(path).not.toMatch(/test(?!ing\/index\.)|\.node$/);
      }
      return { files };
    });
  });
});

/** Matches a header or a secret that is compared with `===`. */
const COMPARED =
  /\b(?:authorization|cookie|token|password|secret|ticket)\)?(?:\.\w+)? ?[!=]==? ?(?!undefined|null|'')|(?<!undefined|null|'') ?[!=]==? ?(?:\w+\.)*(?:authorization|cookie|token|password|secret|ticket)\b/i;

/** A comparison that takes the same time for every secret, or the search for a secret's hash. */
const CONSTANT_TIME = /timingSafeEqual\(|\.get\(hash\(/;

/** Returns the files of a folder, without dependencies and built files. */
function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (/^(node_modules|dist)$/.test(entry.name)) return [];
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesIn(path) : [path];
  });
}

function pages(): string[] {
  const files = ['examples', 'docs', 'packages'].flatMap(filesIn);
  return ['README.md', ...files].filter((path) => /\.md$|^examples.*\.ts$/.test(path)).map(read);
}

describe('a secret in an example', () => {
  nothingLeft();

  it('is compared in constant time', async () => {
    const all = pages();
    const planted = ["if (req.headers.authorization === 'x') {}", 'if (expected == token) {}'];
    const attack = claim('comparison of secrets in variable time', 'CVE-2021-33880');
    await survives(attack, { 'constant time': atLeast(4), compared: 0, planted: 2 }, () => {
      const compared = all.filter((text) => COMPARED.test(text));
      return {
        'constant time': all.filter((text) => CONSTANT_TIME.test(text)).length,
        compared: compared.length,
        planted: planted.filter((text) => COMPARED.test(text)).length,
      };
    });
  });
});
