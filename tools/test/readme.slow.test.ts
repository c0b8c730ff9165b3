// The programs of README.md, and the chat of docs/compared.md: both chats in Chromium, while the network breaks.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { connect } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { Network, ownPort } from '@ws/tests';
import { type BrowserContext, lacksChromium, launchHeadlessShell } from '@ws/tests/chromium';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
// Inside the tree, so that the programs and the compiler find the packages by name.
const folder = join(root, '.out/readme');
const built = existsSync(join(root, 'packages/rpc/dist/index.js'));
if (!built) console.log('skipped: the chats of README.md, the packages are not built; pnpm build');

const read = (page: string): string => readFileSync(join(root, page), 'utf8');
const page = read('README.md');
const texts = `${page}\n${read('docs/compared.md')}`;
/** The programs of the two chats. The first line of each has its name. */
const programs = [...texts.matchAll(/^```[jt]s(?: project)?\n(\/\/ (\S+)\n[^]*?)^```/gm)].map(
  ([, code, name]) => ({ name: name!, code: code! }),
);
/** The third program of README.md. */
const { code: calls } = programs.find(({ name }) => name === 'calls.ts')!;

/** Lines with code of the programs of one chat. */
const linesOf = (extension: RegExp): number =>
  programs
    .filter(({ name, code }) => extension.test(name) && code !== calls)
    .flatMap(({ code }) => code.split('\n'))
    .filter((line) => !/^\s*(?:\/\/.*)?$/.test(line)).length;

const require = createRequire(import.meta.url);
/** What a page shows after the server has forgotten its messages. */
const GAP = 'messages may be missing';
const CHATS = [
  { name: 'our chat', server: 'server.ts', source: 'page.ts', extension: /\.ts$/ },
  { name: "socket.io's chat", server: 'server.mjs', source: 'page.mjs', extension: /\.mjs$/ },
];

it('README.md says how many lines each chat has', () => {
  const [ours, others] = CHATS.map(({ extension }) => linesOf(extension));
  expect(programs.map(({ name }) => name)).toEqual([
    'server.ts',
    'page.ts',
    'calls.ts',
    'server.mjs',
    'page.mjs',
  ]);
  expect(page).toContain(`in ${ours} lines`);
  expect(page).toContain(`${others} lines`);
});

describe.skipIf(!built || lacksChromium()).each(CHATS)('$name of README.md', (chat) => {
  const place = join(folder, chat.extension.source.replaceAll(/\W/g, ''));
  let server: ChildProcess;
  let network: Network;
  let context: BrowserContext;
  let url: string;

  beforeAll(async () => {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(join(place, 'node_modules'), { recursive: true });
    writeFileSync(join(place, 'package.json'), '{ "type": "module" }');
    const port = await ownPort();
    for (const { name, code } of programs) {
      if (chat.extension.test(name)) {
        writeFileSync(join(place, name), code.replaceAll('8080', String(port)));
      }
    }
    for (const name of ['socket.io', 'socket.io-client']) {
      symlinkSync(
        join(root, 'packages/compat/test/node_modules', name),
        join(place, 'node_modules', name),
      );
    }
    const { buildSync } = createRequire(require.resolve('tsx'))('esbuild') as {
      buildSync: (options: object) => unknown;
    };
    expect(page).toContain('npx esbuild page.ts --bundle --minify --format=esm --outfile=page.js');
    buildSync({
      absWorkingDir: place,
      entryPoints: [chat.source],
      bundle: true,
      minify: true,
      format: 'esm',
      outfile: 'page.js',
    });
    const args = ['--import', require.resolve('tsx'), chat.server];
    server = spawn(process.execPath, args, { cwd: place, stdio: 'inherit' });
    await answers(port);
    network = await Network.to(port);
    url = `http://localhost:${port}`;
    const browser = await launchHeadlessShell();
    context = await browser.newContext();
    await context.addCookies([{ name: 'session', value: '4f1c', domain: 'localhost', path: '/' }]);
  }, 60_000);

  afterAll(async () => {
    await context?.browser()?.close();
    server?.kill('SIGKILL');
    await network?.close();
  });

  it('shows each message once and in order, over three breaks', { timeout: 120_000 }, async () => {
    const [ann, bob] = [await context.newPage(), await context.newPage()];
    await ann.goto(url);
    await bob.goto(`http://localhost:${network.port}`);
    const expected: string[] = [];
    const say = async (who: typeof ann, text: string): Promise<void> => {
      await who.fill('input', text);
      await who.press('input', 'Enter');
      // Both pages have the cookie of Ann.
      expected.push(`ann: ${text}`);
    };
    const shows = (who: typeof ann): Promise<unknown> =>
      who.waitForFunction(
        `document.querySelectorAll('li').length >= ${expected.length}`,
        undefined,
        { timeout: 60_000 },
      );
    const listOf = (who: typeof ann): Promise<string[]> => who.locator('li').allTextContents();
    await say(ann, 'hello');
    await shows(bob);
    for (let cut = 1; cut <= 3; cut++) {
      await network.cut();
      for (const part of ['a', 'b', 'c']) await say(ann, `${cut}${part}`);
      await shows(ann);
      // Sent while there is no network.
      await say(bob, `${cut} from bob`);
      network.mend();
      await Promise.all([shows(ann), shows(bob)]);
    }
    expect(await listOf(ann)).toEqual(expected);
    expect(await listOf(bob)).toEqual(expected);
  });

  it('tells a page that messages may be missing after the server has forgotten them', async () => {
    // Another run of the server has another history.
    const ann = await context.newPage();
    await ann.goto(url);
    await ann.waitForFunction(`document.querySelectorAll('li').length > 0`);
    server.kill('SIGKILL');
    await once(server, 'exit');
    const args = ['--import', require.resolve('tsx'), chat.server];
    server = spawn(process.execPath, args, { cwd: place, stdio: 'inherit' });
    await ann.waitForFunction(
      `[...document.querySelectorAll('li')].at(-1).textContent === '${GAP}'`,
      undefined,
      { timeout: 60_000 },
    );
  });

  it('refuses a page without a login', async () => {
    const stranger = await (await context.browser()!.newContext()).newPage();
    await stranger.goto(url);
    if ((await stranger.textContent('body')) === 'not logged in') {
      const opens = await stranger.evaluate(`new Promise((resolve) => {
        const socket = new WebSocket('/');
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      })`);
      expect(opens).toBe(false);
    } else {
      await stranger.fill('input', 'spam');
      await stranger.press('input', 'Enter');
    }
    const ann = await context.newPage();
    await ann.goto(url);
    await ann.fill('input', 'after the stranger');
    await ann.press('input', 'Enter');
    await ann.waitForFunction(`document.body.textContent.includes('after the stranger')`);
    expect(await ann.textContent('body')).not.toContain('spam');
    expect(await stranger.locator('li').count()).toBe(0);
  });
});

describe.skipIf(!built)('the programs of README.md', () => {
  const place = join(folder, 'types');

  beforeAll(() => {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'package.json'), '{ "type": "module" }');
    for (const { name, code } of programs) {
      if (name.endsWith('.ts')) writeFileSync(join(place, name), code);
    }
  });

  it('type-check', { timeout: 60_000 }, () => {
    const compilerOptions = {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      lib: ['es2023', 'dom', 'dom.iterable', 'esnext.disposable'],
      types: ['node'],
    };
    const files = ['server.ts', 'page.ts', 'calls.ts'];
    writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }));
    const tsc = join(root, 'tools/node_modules/typescript-7/bin/tsc');
    expect(spawnSync(process.execPath, [tsc, '-p', place], { encoding: 'utf8' }).stdout).toBe('');
  });

  it('print what their comments say, and end', { timeout: 30_000 }, () => {
    const args = ['--import', require.resolve('tsx'), 'calls.ts'];
    const options = { cwd: place, encoding: 'utf8', timeout: 20_000 } as const;
    const { stdout, stderr, status } = spawnSync(process.execPath, args, options);
    const comments = [...calls.matchAll(/ \/\/ (.*)$/gm)].map(([, text]) => `${text}\n`);
    expect({ stdout, stderr, status }).toEqual({
      stdout: comments.join(''),
      stderr: '',
      status: 0,
    });
  });
});

/** Waits until the server listens. */
async function answers(port: number): Promise<void> {
  for (let i = 0; i < 500; i++) {
    const socket = connect(port, '127.0.0.1');
    const [event] = await Promise.race([
      once(socket, 'connect').then(() => ['connect']),
      once(socket, 'error').then(() => ['error']),
    ]).catch(() => ['error']);
    socket.destroy();
    if (event === 'connect') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the server does not listen');
}
