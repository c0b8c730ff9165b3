#!/usr/bin/env node
// Installs packages of this folder in the project of the current folder. `pnpm pack-all` copies it to `.out/pack`,
// beside the tarballs. It has no dependency, and runs where the repository is not installed.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const HERE = dirname(fileURLToPath(import.meta.url));
/** The folder of the project that the tarballs are copied to: commit it with the project. */
const VENDOR = 'vendor/ws';

/** @type {Record<string, { file: string, dependencies: string[] }>} */
const PACKAGES = JSON.parse(readFileSync(join(HERE, 'packages.json'), 'utf8'));
const NAMES = Object.keys(PACKAGES);

const USAGE = `usage: node install.mjs [--with npm|pnpm|yarn] [package]... [-- options of the package manager]

Installs packages in the project of the current folder, for example ${NAMES.find((name) => name.endsWith('/node-server'))}.
It copies their tarballs to ${VENDOR}, adds them to package.json and calls the package manager. Without --with
it is the one of package.json or of the lock file, or else npm. In a copy of a folder of examples/ it also installs
what package.json has from the workspace.

packages: ${NAMES.join(' ')}`;

function fail(message) {
  console.error(message);
  process.exit(2);
}

/** Never the name of a package of a registry: whoever forgot the scope would install a stranger's. */
function cureOf(name) {
  const near = NAMES.find((each) => each.slice('@ws/'.length) === name.replace(/^@?ws[/-]/, ''));
  if (near !== undefined) return `did you mean ${near}? `;
  if (name !== '@ws/bench') return '';
  return 'run pnpm bench --help in the clone, then pnpm pack-all again; ';
}

/** Packages of this folder that `names` need, themselves included. */
function closure(names) {
  const all = new Set(names);
  for (const name of all) for (const each of PACKAGES[name].dependencies) all.add(each);
  return [...all];
}

function packageManager(manifest) {
  const named = /^(npm|pnpm|yarn)@/.exec(manifest.packageManager ?? '');
  if (named) return named[1];
  if (existsSync('pnpm-lock.yaml')) return 'pnpm';
  return existsSync('yarn.lock') ? 'yarn' : 'npm';
}

/** The tarballs depend on versions that no registry has, so each manager gets their places by its own setting. */
function override(manager, manifest, places) {
  switch (manager) {
    case 'npm':
      manifest.overrides = { ...manifest.overrides, ...places };
      break;
    case 'yarn':
      manifest.resolutions = { ...manifest.resolutions, ...places };
      break;
    case 'pnpm':
      overrideInWorkspace(places);
  }
}

/** pnpm 10 and later read overrides there. */
function overrideInWorkspace(places) {
  const file = 'pnpm-workspace.yaml';
  const before = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const lines = Object.entries(places).map(([name, place]) => `  '${name}': '${place}'\n`);
  // Those of another version are replaced.
  const isOld = (line) => Object.keys(places).some((name) => line.startsWith(`  '${name}': `));
  const kept = before
    .split(/(?<=\n)/)
    .filter((line) => !isOld(line))
    .join('');
  const at = kept.search(/^overrides:[ \t]*$/m);
  if (at < 0 && /^overrides:/m.test(kept)) {
    fail(`${file} has overrides in one line; add these to them and try again:\n${lines.join('')}`);
  }
  const rest = kept === '' || kept.endsWith('\n') ? kept : `${kept}\n`;
  const added = `overrides:\n${lines.join('')}`;
  const after =
    at < 0 ? rest + added : `${rest.slice(0, at)}${added}${rest.slice(rest.indexOf('\n', at) + 1)}`;
  writeFileSync(file, after);
}

/** Removes what a copied example has from the workspace. @returns Its dependencies; its tests need the repository. */
function fromWorkspace(manifest) {
  const names = [];
  for (const field of ['dependencies', 'devDependencies']) {
    for (const [name, version] of Object.entries(manifest[field] ?? {})) {
      if (!version.startsWith('workspace:')) continue;
      if (field === 'dependencies') names.push(name);
      delete manifest[field][name];
    }
  }
  return names;
}

function run(program, ...args) {
  return spawnSync(program, args, { stdio: 'inherit', shell: process.platform === 'win32' });
}

/** What npx runs when the manager is not on the path: the version of package.json, or one that this program knows. */
function versioned(manager) {
  const [named = ''] = (manifest.packageManager ?? '').split('+');
  if (named.startsWith(`${manager}@`)) return named;
  return { npm: 'npm', pnpm: 'pnpm@10', yarn: 'yarn@1' }[manager];
}

const { values, positionals, tokens } = (() => {
  try {
    return parseArgs({
      options: { with: { type: 'string' }, help: { type: 'boolean', default: false } },
      allowPositionals: true,
      tokens: true,
    });
  } catch (error) {
    return fail(`${error.message}\n\n${USAGE}`);
  }
})();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const end = tokens.find(({ kind }) => kind === 'option-terminator');
const options = end === undefined ? [] : process.argv.slice(2).slice(end.index + 1);
const given = positionals.slice(0, positionals.length - options.length);
const unknown = given.find((name) => PACKAGES[name] === undefined);
if (unknown !== undefined) {
  fail(`the clone has no package ${unknown}; ${cureOf(unknown)}it has ${NAMES.join(' ')}`);
}
const wanted = values.with ?? 'npm';
if (!['npm', 'pnpm', 'yarn'].includes(wanted))
  fail(`--with: expected npm, pnpm or yarn, got ${wanted}`);
const known = existsSync('package.json')
  ? JSON.parse(readFileSync('package.json', 'utf8'))
  : undefined;
const names = [...new Set([...given, ...fromWorkspace(known ?? {})])];
if (names.length === 0) fail(USAGE);
const manifest =
  known ?? fail('there is no package.json here; run npm init -y and npm pkg set type=module first');
const manager = values.with ?? packageManager(manifest);

const needed = closure(names);
const place = (name) => `file:${VENDOR}/${PACKAGES[name].file}`;
mkdirSync(VENDOR, { recursive: true });
let hasOthers = false;
for (const name of needed) {
  const [from, to] = [HERE, VENDOR].map((folder) => join(folder, PACKAGES[name].file));
  hasOthers ||= existsSync(to) && !readFileSync(from).equals(readFileSync(to));
  copyFileSync(from, to);
}
manifest.dependencies = {
  ...manifest.dependencies,
  ...Object.fromEntries(names.map((name) => [name, place(name)])),
};
// npm refuses an override of a direct dependency that differs from it. These are equal.
override(manager, manifest, Object.fromEntries(needed.map((name) => [name, place(name)])));
writeFileSync('package.json', `${JSON.stringify(manifest, undefined, 2)}\n`);

const own = run(manager, 'install', ...options);
const isMissing = own.error?.code === 'ENOENT';
const { status, error } = isMissing
  ? run('npx', '-y', versioned(manager), 'install', ...options)
  : own;
if (error !== undefined) fail(`${manager} cannot be started: ${error.message}`);
process.exitCode = status ?? 1;
// The lock file has the version, which is the same.
if (hasOthers) {
  console.log(
    `${VENDOR} has other tarballs than before, and ${manager} may keep the old packages: remove node_modules and the lock file, then run ${manager} install`,
  );
}
