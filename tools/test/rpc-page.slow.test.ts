// docs/rpc.md: its programs, as files of one folder, by the commands of the page; its page in Chromium.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { dial } from '@ws/node-client';
import { contract, event, method } from '@ws/rpc';
import { ownPort } from '@ws/tests';
import { lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const root = join(import.meta.dirname, '../..');
// Inside the tree, so that the programs and the compiler find the packages by name.
const folder = join(root, '.out/rpc');
const built = existsSync(join(root, 'packages/rpc/dist/index.js'));
if (!built) console.log('skipped: docs/rpc.md, the packages are not built; pnpm build');

const page = readFileSync(join(root, 'docs/rpc.md'), 'utf8');
/** The programs of the page. The first line of each has its name. */
const programs = [...page.matchAll(/^```ts\n([^]*?)^```/gm)].map(([, code]) => ({
  name: /^\/\/ (\S+)\n/.exec(code!)![1]!,
  code: code!,
}));

const require = createRequire(import.meta.url);
const children: ChildProcess[] = [];

/** Starts a program. Resolves with what it has printed once `ends` is part of it. */
async function run(name: string, ends: string): Promise<string> {
  const child = spawn(process.execPath, ['--import', require.resolve('tsx'), name], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  let output = '';
  return new Promise((resolve, reject) => {
    const take = (chunk: Buffer): void => {
      output += String(chunk);
      if (output.includes(ends)) resolve(output);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('exit', () => reject(new Error(`${name} ended: ${output}`)));
  });
}

/** Instead of 8080 and of 8081. */
let ports: number[] = [];

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  ports = [await ownPort(), await ownPort()];
  for (const { name, code } of programs) {
    // In one pass, for a port such as 18081.
    const own = code.replaceAll(/808[01]/g, (port) => `${ports[Number(port) - 8080]}`);
    writeFileSync(join(folder, name), own);
  }
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

describe.skipIf(!built)('docs/rpc.md', () => {
  it('has programs that type-check, together', { timeout: 120_000 }, () => {
    const compilerOptions = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      allowImportingTsExtensions: true,
      lib: ['es2022', 'dom', 'esnext.disposable'],
      types: ['node'],
    };
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, include: ['*.ts'] }),
    );
    const tsc = join(root, 'tools/node_modules/typescript-7/bin/tsc');
    const { stdout } = spawnSync(process.execPath, [tsc, '-p', folder], { encoding: 'utf8' });
    expect(stdout).toBe('');
  });

  const { buildSync } = createRequire(require.resolve('tsx'))('esbuild') as {
    buildSync: (options: object) => unknown;
  };

  function bundle(name: string): void {
    buildSync({
      absWorkingDir: folder,
      entryPoints: [name],
      bundle: true,
      minify: true,
      format: 'esm',
      outfile: 'page.js',
    });
  }

  it.skipIf(lacksChromium())('has a page that asks the server and shows the answer', async () => {
    expect(page).toContain('npx esbuild page.ts --bundle --minify --format=esm --outfile=page.js');
    bundle('page.ts');
    await run('server.ts', 'ws://');
    const browser = await launchHeadlessShell();
    try {
      const tab = await browser.newPage();
      await tab.goto(`http://localhost:${ports[0]}`);
      await tab.waitForFunction('/^HELLO at [0-9]+$/.test(document.body.textContent)');
    } finally {
      await browser.close();
    }
  });

  it.skipIf(lacksChromium())('has a page that shows a stream until a click', async () => {
    bundle('agent-page.ts');
    void run('agent-server.ts', 'it prints nothing').catch(() => {});
    const browser = await launchHeadlessShell();
    try {
      const tab = await browser.newPage();
      const address = `http://localhost:${ports[0]}`;
      while ((await tab.goto(address).catch(() => null)) === null) await sleep(50);
      await tab.waitForFunction("document.body.textContent === 'hello world'");
      // The next word comes after 200 ms, and the driver's click may come later.
      await tab.addInitScript(`new MutationObserver(() => {
        if (document.body?.textContent === 'hello') document.body.click();
      }).observe(document, { childList: true, subtree: true })`);
      await tab.reload();
      await tab.waitForFunction("document.body.textContent === 'hello'");
      await sleep(1_000);
      expect(await tab.textContent('body')).toBe('hello');
    } finally {
      await browser.close();
    }
  });

  it('has a chat with a login', async () => {
    await run('lobby.ts', 'ws://');
    const url = `ws://127.0.0.1:${ports[1]}`;
    await expect(dial(url)).rejects.toMatchObject({ status: 401 });
    const conn = await dial(url, { headers: { Cookie: 'user=ann' } });
    const said: string[] = [];
    const text = z.object({ text: z.string() });
    const chat = contract({
      server: { say: method(text, z.object({ at: z.number() })) },
      client: { said: event(text) },
    });
    const peer = chat.connect(conn, { said: ({ text }) => void said.push(text) });
    expect(await peer.say({ text: 'hello' })).toEqual({ at: expect.any(Number) });
    await conn.close();
    expect(said).toEqual(['ann: hello']);
  });
});
