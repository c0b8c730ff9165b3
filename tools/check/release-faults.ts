/** The fields of a package.json that a release checks. */
export interface Manifest {
  readonly name: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly repository?: { readonly url?: string; readonly directory?: string };
  readonly publishConfig?: { readonly access?: string; readonly provenance?: boolean };
  readonly scripts?: Readonly<Record<string, string>>;
}

/** Scripts that npm runs on the machines of users. */
const AT_INSTALL = ['preinstall', 'install', 'postinstall', 'prepare'];

/** Reasons not to publish a package, or for npm to reject it. */
export function releaseFaults(manifest: Manifest, directory: string): string[] {
  const { license, publishConfig, repository, scripts = {} } = manifest;
  const faults: string[] = [];
  // npm compares it with the repository of the workflow.
  if (!repository?.url?.includes('://')) {
    faults.push(
      'no repository, which provenance needs: node --import tsx tools/rename-scope.ts @scope https://…',
    );
  } else if (repository.directory !== directory) {
    faults.push(`repository.directory is not ${directory}`);
  }
  if (publishConfig?.access !== 'public') faults.push('publishConfig.access is not public');
  if (publishConfig?.provenance !== true) faults.push('publishConfig.provenance is not true');
  if (license !== 'MIT') faults.push('no license');
  for (const name of AT_INSTALL) if (name in scripts) faults.push(`runs ${name} at its users'`);
  return faults.map((fault) => `${manifest.name}: ${fault}`);
}
