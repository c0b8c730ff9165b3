// Parts of `pnpm record` that no other tool has: `tests` runs the test command and keeps its count and its time; `sizes`
// bundles the clients of other projects, and installs a server; `--quiet` says that nothing else runs on the machine.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { gzipSync } from 'node:zlib';
import type { Made } from '../conformance/page.ts';
import { pnpm } from '../run.ts';
import { type Records, type RivalSizes, readJSON, type TestRun } from './records.ts';

const require = createRequire(import.meta.url);
const { buildSync } = createRequire(require.resolve('tsx'))('esbuild') as {
  buildSync: (options: object) => {
    readonly outputFiles: readonly { readonly contents: Uint8Array }[];
  };
};

const FILE = 'docs/records.json';

/** Programs of a page that use most of each client. */
const RIVALS: Readonly<Record<string, string>> = {
  'socket.io-client@4.8.4': `import { io } from 'socket.io-client'; io().emit('a');`,
  'centrifuge@5.8.0': `import { Centrifuge } from 'centrifuge'; new Centrifuge('/').newSubscription('a').subscribe();`,
};

const RIVAL_SERVER = 'ws@8.23.0';

const made: Made = {
  date: new Date().toISOString().slice(0, 'yyyy-mm-dd'.length),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  node: process.versions.node,
};

function tests(busy: boolean): TestRun {
  const start = performance.now();
  const [program, ...args] = pnpm('test');
  const { stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 2 ** 30,
    shell: process.platform === 'win32',
  });
  const found = /^(\d+) passed, (\d+) failed$/m.exec(stdout);
  if (found === null) throw new Error(`the tests ended without their count:\n${stdout}${stderr}`);
  const seconds = Math.round((performance.now() - start) / 1000);
  return { made, passed: Number(found[1]), failed: Number(found[2]), seconds, busy };
}

function sizes(): RivalSizes {
  const folder = mkdtempSync(join(tmpdir(), 'sizes-'));
  writeFileSync(join(folder, 'package.json'), '{}');
  const npm = [
    'install',
    '--silent',
    '--no-audit',
    '--no-fund',
    ...Object.keys(RIVALS),
    RIVAL_SERVER,
  ];
  execFileSync('npm', npm, { cwd: folder, stdio: 'inherit', shell: process.platform === 'win32' });
  const bytes = Object.entries(RIVALS).map(([name, contents]) => {
    const { outputFiles } = buildSync({
      stdin: { contents, resolveDir: folder },
      bundle: true,
      minify: true,
      format: 'esm',
      platform: 'browser',
      write: false,
    });
    const { length } = gzipSync(outputFiles[0]!.contents, { level: 9 });
    return [name.replace('@', ' '), length] as const;
  });
  const [server = ''] = RIVAL_SERVER.split('@');
  const installed = {
    [RIVAL_SERVER.replace('@', ' ')]: bytesOf(join(folder, 'node_modules', server)),
  };
  rmSync(folder, { recursive: true });
  return { made, bytes: Object.fromEntries(bytes), installed };
}

/** The bytes of all files in a folder. */
function bytesOf(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const stats = files.map((file) => statSync(join(folder, file)));
  return stats.reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0);
}

const [part, option] = process.argv.slice(2);
if (part !== 'tests' && part !== 'sizes') throw new Error(`${part} is neither tests nor sizes`);
const found: Records =
  part === 'tests' ? { tests: tests(option !== '--quiet') } : { sizes: sizes() };
const records: Records = { ...(readJSON('.', FILE) as Records), ...found };
writeFileSync(FILE, `${JSON.stringify(records, undefined, 2)}\n`);
console.log(readFileSync(FILE, 'utf8'));
