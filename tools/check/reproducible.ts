// `pnpm long reproducible`: packs the last commit twice, from clones in other folders, with another time zone, locale,
// umask and a clock of tomorrow, and compares every file of `.out/pack`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { allowClosedOutput } from '../run.ts';

interface Build {
  /** The start of the name of its folder. */
  readonly folder: string;
  readonly umask: string;
  readonly env: Readonly<Record<string, string>>;
  /** What runs the command that packs. */
  readonly under: readonly string[];
}

const BUILDS: readonly [Build, Build] = [
  { folder: 'a-', umask: '022', env: { TZ: 'UTC', LC_ALL: 'C' }, under: [] },
  {
    folder: 'another folder ',
    umask: '077',
    env: { TZ: 'Pacific/Chatham', LC_ALL: 'tr_TR.UTF-8' },
    under: ['faketime', '-f', '+1d'],
  },
];

/** @throws Error when the command fails. */
function run(cwd: string, { umask, env }: Build, ...command: string[]): void {
  const args = ['-c', `umask ${umask}; exec "$@"`, 'sh', ...command];
  const options = { cwd, env: { ...process.env, ...env }, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync('sh', args, options);
  if (status !== 0) throw new Error(`${command.join(' ')} failed:\n${stdout}${stderr}`);
}

/** Packs the last commit. @returns The files of `.out/pack` by name. */
function pack(build: Build): Map<string, Buffer> {
  const folder = mkdtempSync(join(tmpdir(), build.folder));
  try {
    run('.', build, 'git', 'clone', '--quiet', '--no-local', '.', folder);
    run(folder, build, '.ci/pnpm', 'install', '--frozen-lockfile');
    run(folder, build, ...build.under, '.ci/pnpm', 'pack-all');
    const out = join(folder, '.out/pack');
    return new Map(readdirSync(out).map((name) => [name, readFileSync(join(out, name))]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

allowClosedOutput();
if (spawnSync('faketime', ['--version']).error !== undefined) {
  console.error('reproducible: there is no faketime; install the package faketime of Debian');
  process.exit(1);
}
const [first, second] = BUILDS.map(pack) as [Map<string, Buffer>, Map<string, Buffer>];
const names = [...new Set([...first.keys(), ...second.keys()])].toSorted();
const different = names.filter((name) => !first.get(name)?.equals(second.get(name) ?? Buffer.of()));
for (const name of different) console.error(`${name} differs`);
console.log(`${names.length - different.length} passed, ${different.length} failed`);
process.exitCode = different.length === 0 ? 0 : 1;
