// `pnpm release`: checks everything that cannot be changed after publishing, leaves the tarballs in
// `.out/pack`, and prints what a maintainer does by hand. It publishes nothing.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import process from 'node:process';
import {
  librariesOf,
  type Published,
  publishedPackages,
  scopeOf,
  tarballOf,
} from '../published.ts';
import { ageFaults, recordAges } from '../records/records.ts';
import { allowClosedOutput, pnpm, runAll, source } from '../run.ts';
import { changelogFaults, commonFaults, manifestFaults } from './release-faults.ts';
import { stepsOf, textOf } from './release-steps.ts';

const USAGE = `usage: pnpm release [--dry-run]

Checks what a release publishes: names, versions, provenance, changelogs, licenses, and the exports and
sizes of the tarballs (publint, attw). It builds the packages and leaves the tarballs in .out/pack.
It publishes nothing: the workflow release does, and the first time a maintainer by hand.

  --dry-run   also print everything that a maintainer has to do by hand, in order. Steps that are
              open do not fail. Without it an open step refuses the release.
  --help      this text

The exit code is 0 when nothing was found, 1 for a fault or a refusal, 2 for an invalid command line.`;

allowClosedOutput();
const [option, ...rest] = process.argv.slice(2);
if (option === '--help' || option === '-h') console.log(USAGE);
else if (rest.length > 0 || !['--dry-run', undefined].includes(option)) {
  console.error(`unexpected: ${process.argv.slice(2).join(' ')}\n\n${USAGE}`);
  process.exitCode = 2;
} else process.exitCode = await release(option === '--dry-run');

/** @returns The exit code. */
async function release(isDry: boolean): Promise<number> {
  const packages = publishedPackages();
  const { version } = librariesOf(packages)[0]!.manifest;
  const steps = stepsOf({
    scope: scopeOf(),
    repository: packages[0]!.manifest.repository?.url,
    changesets: readdirSync('.changeset').filter((name) => /^(?!README).*\.md$/.test(name)),
    tarballs: inOrder(packages).map(({ manifest }) => tarballOf(manifest)),
    isFilledIn: ['MAINTAINERS.md', 'docs/public/.well-known/security.txt'].every(
      (file) => !readFileSync(file, 'utf8').includes('FILL IN'),
    ),
  });
  const open = isDry
    ? []
    : [...steps.flatMap((step) => step.open ?? []), ...ageFaults(recordAges('.'))];
  const cheap = [...faultsOf(packages), ...open];
  if (cheap.length > 0) return refuse(cheap, 'Nothing was built.');
  console.log(`manifests and changelogs: nothing found in ${packages.length} packages`);

  const packed = [pnpm('--silent', 'run', 'build'), source('tools/check/packages.ts')];
  if (!(await runAll(packed))) return refuse(['the build or a tarball has the faults above']);

  if (isDry) {
    console.log(
      `\nnothing found in ${version}. By hand, in this order; pnpm release refuses while a step is open:\n`,
    );
    console.log(textOf(steps));
  } else {
    console.log(
      `\n${version} is in .out/pack, and nothing was published. The workflow release publishes it when
main has this version. The first time it is done by hand: pnpm release --dry-run prints how.`,
    );
  }
  return 0;
}

function refuse(faults: readonly string[], also = ''): number {
  for (const fault of faults) console.error(fault);
  console.error(`\nrefused: ${faults.length} found. Nothing was published. ${also}`.trimEnd());
  return 1;
}

/** The faults that the sources of the packages show, before anything is built. */
function faultsOf(packages: readonly Published[]): string[] {
  const scope = scopeOf();
  const { version } = librariesOf(packages)[0]!.manifest;
  const changelogs = [
    ['CHANGELOG.md', version],
    ...packages.map(({ folder, manifest }) => [`${folder}/CHANGELOG.md`, manifest.version]),
  ] as const;
  return [
    ...packages.flatMap((each) => manifestFaults(each, scope)),
    ...commonFaults(packages),
    ...changelogs.flatMap(([file = '', of]) =>
      changelogFaults(file, existsSync(file) ? readFileSync(file, 'utf8') : undefined, of),
    ),
  ];
}

/** The packages, each after those that it depends on. */
function inOrder(packages: readonly Published[]): Published[] {
  const ordered = new Set<Published>();
  const add = (one: Published): void => {
    for (const name of Object.keys(one.manifest.dependencies ?? {})) {
      const needed = packages.find(({ manifest }) => manifest.name === name);
      if (needed !== undefined && !ordered.has(needed)) add(needed);
    }
    ordered.add(one);
  };
  for (const one of packages) add(one);
  return [...ordered];
}
