// N3: the chat of README.md, word by word, in a project of `npm init -y`: the commands are those that the page prints. It
// uses the tarballs of `.out/pack`, and the registry for zod, esbuild and tsx.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { ownPort } from '@ws/tests';
import { expect, it, onTestFinished } from 'vitest';

/** The environment without the settings of the npm that runs this test. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)),
);
const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const programs = [...readme.matchAll(/^```ts project\n\/\/ (\S+)\n([^]*?)^```/gm)];
const [, install = ''] = /## Install[^]*?```sh\n([^]*?)```/.exec(readme) ?? [];
const [, bundle = '', start = ''] =
  /run `(npx esbuild [^`]+)`, then `(npx tsx [^`]+)`/.exec(readme) ?? [];
const [, cookie = ''] = /write `document\.cookie = '([^']+)'`/.exec(readme) ?? [];

it.each(['npm', 'pnpm'])(
  'N3 the chat of README.md runs as printed, by %s',
  { timeout: 600_000 },
  async (manager) => {
    const folder = mkdtempSync(join(tmpdir(), 'readme '));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const run = (line: string): void => {
      const { status, stderr } = spawnSync(line, {
        env,
        cwd: folder,
        shell: true,
        encoding: 'utf8',
      });
      expect(status, `${line}\n${stderr}`).toBe(0);
    };
    run('npm init -y');
    const [first, ...rest] = install.trim().split('\n');
    expect(first).toMatch(/pack-all$/);
    for (const line of rest) {
      const words = line.replace('<the clone>', `'${root}'`);
      run(
        manager === 'npm'
          ? words
          : words
              .replace('install.mjs', 'install.mjs --with pnpm')
              .replace(/^npm install/, 'npx -y pnpm@10 add'),
      );
    }
    const port = await ownPort();
    for (const [, name, code] of programs.slice(0, 2)) {
      writeFileSync(join(folder, name!), code!.replace('8080', String(port)));
    }
    run(`${bundle.replace('npx', 'npx -y')}`);
    const server: ChildProcess = spawn(start.replace('npx', 'npx -y'), {
      cwd: folder,
      shell: true,
      detached: true,
      stdio: 'inherit',
      env,
    });
    onTestFinished(() => void process.kill(-server.pid!, 'SIGKILL'));
    const page = (headers: Record<string, string>): Promise<string> =>
      fetch(`http://localhost:${port}/`, { headers }).then(
        (response) => response.text(),
        () => '',
      );
    await expect.poll(() => page({}), { timeout: 120_000 }).toBe('not logged in');
    expect(await page({ cookie })).toContain('<script type="module">');
  },
);
