import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** The fields of a package.json that the tools read. */
export interface Manifest {
  readonly name: string;
  readonly version?: string;
  readonly description?: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly repository?: { readonly url?: string; readonly directory?: string };
  readonly publishConfig?: { readonly access?: string; readonly provenance?: boolean };
  readonly bin?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** A package that a release publishes. */
export interface Published {
  /** From the root: `packages/conn`. */
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Folders of packages with versions of their own: programs that no other package depends on. */
export const TOOLS: readonly string[] = ['bench', 'conformance'];

/** The packages that have one version. */
export function librariesOf(packages: readonly Published[]): Published[] {
  return packages.filter(({ folder }) => !TOOLS.includes(folder));
}

/** The npm scope of all packages. */
export function scopeOf(root = '.'): string {
  const text = readFileSync(join(root, 'tools/scope.json'), 'utf8');
  return (JSON.parse(text) as { readonly scope: string }).scope;
}

/** The packages that a release publishes, by name. */
export function publishedPackages(root = '.'): Published[] {
  const folders = readdirSync(join(root, 'packages')).map((name) => `packages/${name}`);
  folders.push('conformance');
  folders.sort((a, b) => basename(a).localeCompare(basename(b)));
  return ['bench', ...folders]
    .map((folder) => ({ folder, file: join(root, folder, 'package.json') }))
    .filter(({ file }) => existsSync(file))
    .map(({ folder, file }) => ({
      folder,
      manifest: JSON.parse(readFileSync(file, 'utf8')) as Manifest,
    }))
    .filter(({ manifest }) => manifest.private !== true);
}

/** The name of the file that packing writes. */
export function tarballOf({ name, version }: Manifest): string {
  return `${name.replace('@', '').replace('/', '-')}-${version}.tgz`;
}
