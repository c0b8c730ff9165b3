// Reasons not to publish: of the manifests, which are cheap to find, and of the packed tarballs.
import { relativeLinks } from '../pack-texts.ts';
import { librariesOf, type Manifest, type Published, TOOLS } from '../published.ts';

/** Scripts that npm runs on the machines of users. */
const AT_INSTALL = ['preinstall', 'install', 'postinstall', 'prepare'];

/** Faults of each package.json. */
export function manifestFaults({ manifest, folder }: Published, scope: string): string[] {
  const { name, license, publishConfig, repository, scripts = {} } = manifest;
  const faults: string[] = [];
  // The rules of npm for new names, 214 characters at most.
  const isName = /^@[a-z0-9][\w.-]*\/[a-z0-9][a-z0-9._-]*$/.test(name) && name.length <= 214;
  if (!isName) faults.push('npm rejects the name');
  else if (!name.startsWith(`${scope}/`)) {
    faults.push(`not in the scope ${scope} of tools/scope.json`);
  }
  // npm compares both with the repository of the workflow.
  if (repository !== undefined) {
    if (!/^git\+https:\/\/[^/]+\/.+\.git$/.test(repository.url ?? '')) {
      faults.push(`repository.url is ${repository.url}, not git+https://….git`);
    }
    if (repository.directory !== folder) faults.push(`repository.directory is not ${folder}`);
  }
  if (publishConfig?.access !== 'public') faults.push('publishConfig.access is not public');
  if (publishConfig?.provenance !== true) faults.push('publishConfig.provenance is not true');
  if (license !== 'MIT') faults.push('license is not MIT');
  for (const script of AT_INSTALL) {
    if (script in scripts) faults.push(`runs ${script} on the machines of its users`);
  }
  return faults.map((fault) => `${name}: ${fault}`);
}

/** Faults of all packages together: one version except that of the tools, one repository, no name twice. */
export function commonFaults(packages: readonly Published[]): string[] {
  const manifests = packages.map(({ manifest }) => manifest);
  const { repository } = manifests[0]!;
  const { version: first = '' } = librariesOf(packages)[0]!.manifest;
  const faults: string[] = [];
  for (const { folder, manifest } of packages) {
    const { name, version = '', repository: own } = manifest;
    if (!/^\d+\.\d+\.\d+(?:-[\w.-]+)?$/.test(version) || version === '0.0.0') {
      faults.push(`${name}: npm needs a version such as 0.1.0, got ${version}`);
    } else if (version !== first && !TOOLS.includes(folder)) {
      faults.push(`${name}: has version ${version}, the others ${first}`);
    }
    if (own?.url !== repository?.url) {
      faults.push(`${name}: has repository ${own?.url}, the others ${repository?.url}`);
    }
  }
  const names = manifests.map(({ name }) => name);
  const twice = names.filter((name, i) => names.indexOf(name) !== i);
  return [...faults, ...twice.map((name) => `${name}: two packages have this name`)];
}

/**
 * Faults of a changelog.
 *
 * @param text - Undefined without a file.
 */
export function changelogFaults(file: string, text: string | undefined, version = ''): string[] {
  if (text === undefined) return [`${file}: does not exist`];
  const [, section] = text.split(`\n## ${version}\n`);
  if (section === undefined) return [`${file}: has no section "## ${version}"`];
  const entry = section.split('\n## ')[0]!.trim();
  return entry === '' ? [`${file}: the section "## ${version}" is empty`] : [];
}

/**
 * Faults of a tarball, which npm publishes as it is.
 *
 * @param files - By their paths: `package/package.json`.
 * @param license - The text of the repository's license.
 * @param versions - The versions of all published packages, by name.
 */
export function tarballFaults(
  tarball: string,
  files: ReadonlyMap<string, Uint8Array>,
  license: string,
  versions: ReadonlyMap<string, string | undefined>,
): string[] {
  const text = (name: string): string | undefined => {
    const bytes = files.get(`package/${name}`);
    return bytes && Buffer.from(bytes).toString();
  };
  const faults: string[] = [];
  if (text('LICENSE') === undefined) faults.push('has no LICENSE');
  else if (text('LICENSE') !== license) faults.push('LICENSE is not that of the repository');
  const readme = text('README.md');
  if (readme === undefined) faults.push('has no README.md');
  for (const link of relativeLinks(readme ?? '')) faults.push(`README.md has ${link}`);
  if (text('llms.txt') === undefined) faults.push('has no llms.txt');
  const manifest = JSON.parse(text('package.json') ?? '{}') as Partial<Manifest>;
  for (const [name, path] of Object.entries(manifest.bin ?? {})) {
    const program = text(path.replace('./', ''));
    if (program === undefined) faults.push(`does not contain ${path}, the command ${name}`);
    else if (!program.startsWith('#!')) faults.push(`${path} does not start with #!`);
  }
  for (const [name, wanted] of Object.entries(manifest.dependencies ?? {})) {
    if (wanted.startsWith('workspace:')) faults.push(`depends on ${name} by ${wanted}`);
    else if (versions.has(name) && versions.get(name) !== wanted) {
      faults.push(`depends on ${name} ${wanted}, not on ${versions.get(name)}`);
    }
  }
  return faults.map((fault) => `${tarball}: ${fault}`);
}
