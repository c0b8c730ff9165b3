/** What a release needs to know of a package.json. */
export interface Manifest {
  readonly name: string;
  readonly license?: string;
  readonly repository?: { readonly url?: string; readonly directory?: string };
  readonly publishConfig?: { readonly access?: string; readonly provenance?: boolean };
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Scripts that npm runs at the users' machines. */
const AT_INSTALL = ['preinstall', 'install', 'postinstall', 'prepare'];

/** Why npm would not take a package, or should not. */
export function releaseFaults(manifest: Manifest, directory: string): string[] {
  const { license, publishConfig, repository, scripts = {} } = manifest;
  const faults: string[] = [];
  // npm compares it with the repository that the workflow runs in.
  if (!repository?.url?.includes('://')) {
    faults.push('no repository, which provenance needs: pnpm rename-scope @scope https://…');
  } else if (repository.directory !== directory) {
    faults.push(`repository.directory is not ${directory}`);
  }
  if (publishConfig?.access !== 'public') faults.push('publishConfig.access is not public');
  if (publishConfig?.provenance !== true) faults.push('publishConfig.provenance is not true');
  if (license !== 'MIT') faults.push('no license');
  for (const name of AT_INSTALL) if (name in scripts) faults.push(`runs ${name} at its users'`);
  return faults.map((fault) => `${manifest.name}: ${fault}`);
}
