#!/usr/bin/env node
// `node tools/ready.mjs tests... docs` installs what these workspace packages need, unless it is there. With dots a
// package brings those of the workspace that it depends on. Without arguments everything is installed. pnpm always adds
// what the root needs, and removes nothing that another command has installed. With `--run` first, development
// dependencies are left out, unless an earlier command has installed them.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import process from 'node:process';

const LOCK = 'pnpm-lock.yaml';
/** For each argument, the digest of the lock file when it was installed. pnpm keeps no such record. */
const RECORD = 'node_modules/.ready.json';
/** pnpm's record of its last installation. */
const STATE = 'node_modules/.pnpm-workspace-state-v1.json';

/** What the modules folder contains. */
const MODULES = 'node_modules/.modules.yaml';

const [first, ...others] = process.argv.slice(2);
const folders = first === '--run' ? others : process.argv.slice(2);
const isLight = first === '--run' && json(MODULES).included?.devDependencies !== true;
/** Names in the record. A light installation is not enough for another command. */
const wanted = folders.map((folder) => (isLight ? `--run ${folder}` : folder));
const digest = createHash('sha256').update(readFileSync(LOCK)).digest('hex');
const record = json(RECORD);
const isThere =
  isEverythingThere() || (wanted.length > 0 && wanted.every((name) => record[name] === digest));
if (!isThere) {
  const names = folders.map((folder) => folder.replace('...', '')).join(', ');
  console.error(`installing packages for ${names || 'the whole workspace'}`);
  install();
  const done = wanted.map((name) => [name, digest]);
  writeFileSync(RECORD, JSON.stringify({ ...json(RECORD), ...Object.fromEntries(done) }));
}

/** Whether the last installation was that of the whole workspace, with this lock file. */
function isEverythingThere() {
  const { filteredInstall, lastValidatedTimestamp } = json(STATE);
  return filteredInstall === false && lastValidatedTimestamp >= statSync(LOCK).mtimeMs;
}

/** Runs pnpm, and ends this process when it fails. Its output goes to stderr: that of the caller may be piped. */
function install() {
  const filters = folders.flatMap((folder) => {
    const [, path, dots] = /^(.*?)(\.\.\.)?$/.exec(folder);
    return ['--filter', `{${path}}${dots ?? ''}`];
  });
  const options = ['install', '--frozen-lockfile', '--loglevel=error', ...filters];
  if (isLight) options.push('--prod');
  const [program, ...args] = [...pnpm(), ...options];
  const { status, error } = spawnSync(program, args, {
    stdio: ['ignore', 2, 2],
    shell: program === 'npx' && process.platform === 'win32',
  });
  if (status === 0) return;
  console.error(`the installation failed: ${error?.message ?? `exit code ${status}`}`);
  process.exit(1);
}

/** The pnpm that runs this script, or else the one that package.json names. */
function pnpm() {
  const running = process.env['npm_execpath'] ?? '';
  if (/[\\/]pnpm\.[cm]?js$/.test(running)) return [process.execPath, running];
  const { packageManager } = json('package.json');
  return ['npx', '-y', packageManager.replace(/\+.*/, '')];
}

function json(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}
