// The README's first command, as a new user runs it: in a fresh clone, without a cache. It fails when the page does not
// answer, when a warning is printed, or when more is installed than the chat needs. CI does this on Windows and macOS too.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';

const MAX_PACKAGES = 60;
const MAX_MEGABYTES = 60;

const home = mkdtempSync(join(tmpdir(), 'new-user-'));
const clone = join(home, 'clone');
execFileSync('git', ['clone', '--quiet', '.', clone]);
const { packageManager } = JSON.parse(readFileSync('package.json', 'utf8'));

const since = performance.now();
const child = spawn('npx', ['-y', packageManager.replace(/\+.*/, ''), 'start'], {
  cwd: clone,
  stdio: ['ignore', 'pipe', 'pipe'],
  env: { ...withoutNpm(), HOME: home, USERPROFILE: home, LOCALAPPDATA: home, PORT: '0' },
  shell: process.platform === 'win32',
});
let output = '';
for (const stream of [child.stdout, child.stderr]) {
  stream.setEncoding('utf8').on('data', (text) => {
    output += text;
    const url = /http:\S+/.exec(output)?.[0];
    if (url !== undefined) child.emit('page', url);
  });
}
const [url] = await Promise.race([
  once(child, 'page'),
  once(child, 'exit').then(([code]) => Promise.reject(new Error(`ended with ${code}\n${output}`))),
]);
const seconds = ((performance.now() - since) / 1000).toFixed(1);
const { status } = await fetch(url);
child.kill();
await once(child, 'exit');

const modules = join(clone, 'node_modules');
const packages = readdirSync(join(modules, '.pnpm')).filter((name) => name.includes('@')).length;
const megabytes = Math.ceil(bytes(modules) / 1e6);
console.log(`${output}${url}: ${status} after ${seconds} s, ${packages} packages, ${megabytes} MB`);
rmSync(home, { recursive: true, force: true, maxRetries: 5 });
const isLight = packages <= MAX_PACKAGES && megabytes <= MAX_MEGABYTES;
if (status !== 200 || /\bwarn\b/i.test(output) || !isLight) process.exitCode = 1;

/** The environment without the settings of npm and of the pnpm that runs this. */
function withoutNpm() {
  const entries = Object.entries(process.env);
  return Object.fromEntries(entries.filter(([name]) => !/^(?:npm|pnpm)_/i.test(name)));
}

/** Bytes of a folder's files. A link counts as none. */
function bytes(path) {
  const stats = lstatSync(path);
  if (!stats.isDirectory()) return stats.isFile() ? stats.size : 0;
  return readdirSync(path).reduce((sum, name) => sum + bytes(join(path, name)), 0);
}
