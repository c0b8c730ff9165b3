// docs/production.md, step by step: its programs in a fresh folder with our tarballs, its commands, and those of its
// Dockerfile in another folder.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { pnpm } from '../run.ts';

const root = join(import.meta.dirname, '../..');
const built = existsSync(join(root, 'packages/hub/dist/index.js'));
if (!built) console.log('skipped: docs/production.md, the packages are not built; pnpm build');

const page = readFileSync(join(root, 'docs/production.md'), 'utf8');
const blocks = [...page.matchAll(/^```(\w+)\n([^]*?)^```/gm)].map(([, language, code]) => ({
  language: language!,
  code: code!,
}));
/** The files of the page: the first line of each has its name. */
const files = new Map(
  blocks.flatMap(({ code }) => {
    const name = /^(?:\/\/|#) (\S+)\n/.exec(code)?.[1];
    return name === undefined ? [] : [[name, code] as const];
  }),
);
/** The commands of the page, in their order. */
const steps = blocks.filter(({ language }) => language === 'sh').map(({ code }) => code);
const step = (part: string): string => {
  const found = steps.filter((each) => each.includes(part));
  if (found.length !== 1) throw new Error(`expected one step with ${part}, got ${found.length}`);
  return found[0]!;
};

const scratch = mkdtempSync(join(tmpdir(), 'production '));
const project = join(scratch, 'service');
const PACKED = ['codec', 'conn', 'node-io', 'node-server', 'browser', 'node-client', 'hub'];

/** Node before 22.18 runs no TypeScript: there, a reader writes `npx tsx`. */
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const RUNS_TYPESCRIPT = 'typescript' in process.features && process.features.typescript !== false;

function environment(own: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_)/i.test(name));
  return {
    ...Object.fromEntries(inherited),
    // The packages have no dependency of a registry.
    npm_config_offline: 'true',
    npm_config_audit: 'false',
    ...(!RUNS_TYPESCRIPT && { NODE_OPTIONS: `--import ${TSX}` }),
    ...own,
  };
}

/** Runs a step as a shell does, and ends what it leaves. Resolves with its output. */
async function runStep(script: string, cwd: string, env?: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn('sh', ['-ec', script], {
    cwd,
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group.
    detached: true,
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await once(child, 'exit');
  await wait(100);
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // It has left nothing.
  }
  const [out, errors] = await output;
  expect(code, `${script}\n${out}${errors}`).toBe(0);
  return out;
}

async function freePorts(): Promise<{ PORT: string; METRICS_PORT: string }> {
  const servers = [createServer(), createServer()];
  for (const server of servers) await once(server.listen(0, '127.0.0.1'), 'listening');
  const [PORT, METRICS_PORT] = servers.map((server) =>
    String((server.address() as AddressInfo).port),
  );
  for (const server of servers) server.close();
  return { PORT: PORT!, METRICS_PORT: METRICS_PORT! };
}

interface Stored {
  readonly id: string;
  readonly seq: number;
}

function stored(file: string): Stored[] {
  return readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Stored);
}

/** The file has 500 messages of each program, each once. */
function expectAll(file: string, programs: number): void {
  const messages = stored(file);
  expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, i) => i + 1));
  expect(new Set(messages.map(({ id }) => id)).size).toBe(messages.length);
  expect(messages).toHaveLength(500 * programs);
}

beforeAll(async () => {
  if (!built) return;
  const pack = join(scratch, 'clone/.out/pack');
  mkdirSync(pack, { recursive: true });
  const filters = PACKED.map((name) => `--filter=./packages/${name}`);
  const [npx, ...args] = pnpm('--recursive', ...filters, 'pack', '--pack-destination', pack);
  execFileSync(npx, args, { cwd: root, stdio: 'pipe' });
  const manifests = PACKED.map((name) => {
    const manifest = readFileSync(join(root, 'packages', name, 'package.json'), 'utf8');
    return JSON.parse(manifest) as { name: string; version: string; dependencies?: object };
  });
  const known = manifests.map(({ name, version, dependencies = {} }) => [
    name,
    {
      file: `${name.replace('@', '').replace('/', '-')}-${version}.tgz`,
      dependencies: Object.keys(dependencies),
    },
  ]);
  writeFileSync(join(pack, 'packages.json'), JSON.stringify(Object.fromEntries(known)));
  copyFileSync(join(root, 'tools/install.mjs'), join(pack, 'install.mjs'));
  const install = step('install.mjs');
  expect(install).toContain('node <the clone>/.out/pack/install.mjs ');
  await runStep(install.replace('<the clone>', '../clone'), scratch);
  for (const [name, code] of files) writeFileSync(join(project, name), code);
}, 300_000);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

it('docs/production.md has no step that this file does not run', () => {
  expect(steps).toHaveLength(4);
  expect(step('docker').match(/^(?!docker |#).+$/gm)).toBe(null);
  expect([...files.keys()].toSorted()).toEqual([
    'Dockerfile',
    'client.ts',
    'health.ts',
    'server.ts',
    'service.test.ts',
    'service.ts',
    'talk.ts',
  ]);
  expect(blocks).toHaveLength(steps.length + files.size);
});

it('docs/production.md has programs that type-check', { timeout: 120_000 }, () => {
  // Inside the tree, so that the compiler finds the packages by name.
  const folder = join(root, '.out/production');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, code] of files) {
    if (name.endsWith('.ts')) writeFileSync(join(folder, name), code);
  }
  const compilerOptions = { noEmit: true, composite: false, incremental: false };
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions };
  const content = { ...config, include: ['*.ts'], exclude: [], references: [] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(content));
  const tsc = join(root, 'node_modules/typescript-7/bin/tsc');
  const args = [tsc, '-p', folder, '--listFiles'];
  const { stdout } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
  expect(stdout).toContain('.out/production/talk.ts');
  // `pnpm check types` checks the other files, with their options.
  expect(stdout.match(/^\w[\w.]*\(\d+,\d+\): .*$/gm)).toBe(null);
});

describe.skipIf(!built)('docs/production.md', { timeout: 300_000 }, () => {
  it('installs our packages only', () => {
    const names = readdirSync(join(project, 'node_modules/@ws'));
    expect(names.toSorted()).toEqual(PACKED.toSorted());
  });

  it('has a test that passes', async () => {
    expect(await runStep(step('node --test'), project)).toMatch(/^(?:#|ℹ) pass 1$/m);
  });

  it('accepts only cookies that it has signed, with a user that it knows', async () => {
    const program = `
      import { login, userOf } from './service.ts';
      const basic = (text) => 'Basic ' + Buffer.from(text).toString('base64');
      const cookie = 'a=b; session=' + login(basic('ada:engine'));
      const [claim, mac] = [cookie.slice(0, -64), cookie.slice(-64)];
      const changed = [cookie.replace('ada', 'bob'), cookie.slice(0, -1), claim + '0'.repeat(64)];
      console.log(userOf(cookie), changed.map((each) => userOf(each)), userOf(), userOf(mac));
      const wrong = ['ada', 'ada:', 'ada:steam', ':', '', 'bob:engine', 'constructor:'];
      console.log(login(), wrong.map((each) => login(basic(each))));
      Date.now = () => 10 ** 15;
      console.log(userOf(cookie));`;
    writeFileSync(join(project, 'cookies.ts'), program);
    const env = { SECRET: 'secret', DATA: '/dev/null' };
    const none = (count: number): string => `[ ${Array(count).fill('undefined').join(', ')} ]`;
    const out = (await runStep('node cookies.ts', project, env)).replaceAll(/\s+/g, ' ');
    expect(out.trim()).toBe(`ada ${none(3)} undefined undefined undefined ${none(7)} undefined`);
    rmSync(join(project, 'cookies.ts'));
  });

  it('restarts the server under load without losing or repeating a message', async () => {
    const file = join(project, 'messages.jsonl');
    rmSync(file, { force: true });
    expect(await runStep(step('talk.ts'), project, await freePorts())).toBe('true\n');
    expectAll(file, 1);
  });
});

/** The Dockerfile of the page: its instructions as commands in a folder. */
interface Image {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  readonly user: string;
  readonly cmd: readonly string[];
  readonly healthcheck: readonly string[];
}

/** Does what a build of the image does: `folder` stands for its WORKDIR, and files come from `context`. */
async function buildImage(context: string, folder: string): Promise<Image> {
  const env: Record<string, string> = {};
  const single = new Map<string, string>();
  mkdirSync(folder);
  for (const line of files.get('Dockerfile')!.replaceAll('\\\n', '').split('\n')) {
    const [, instruction, rest] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    switch (instruction) {
      case 'ENV':
        for (const pair of rest!.split(' ')) env[pair.split('=')[0]!] = pair.split('=')[1]!;
        break;
      case 'COPY': {
        const words = rest!.split(' ');
        const to = join(folder, words.pop()!);
        for (const name of words.flatMap((word) => matching(context, word))) {
          // COPY copies the content of a folder.
          const isFolder = statSync(join(context, name)).isDirectory();
          cpSync(join(context, name), isFolder ? to : join(to, name), { recursive: true });
        }
        break;
      }
      case 'RUN':
        await runStep(rest!, folder, env);
        break;
      case undefined:
        expect(line).toMatch(/^(?:#.*)?$/);
        break;
      default:
        expect(single.has(instruction)).toBe(false);
        single.set(instruction, rest!);
    }
  }
  expect([...single.keys()].toSorted()).toEqual(
    ['FROM', 'USER', 'WORKDIR', 'HEALTHCHECK', 'CMD'].toSorted(),
  );
  // The exec form: no shell, which would not forward SIGTERM.
  const argv = (text: string): string[] => JSON.parse(text.slice(text.indexOf('['))) as string[];
  return {
    folder,
    env,
    user: single.get('USER')!,
    cmd: argv(single.get('CMD')!),
    healthcheck: argv(/CMD (.*)/.exec(single.get('HEALTHCHECK')!)![1]!),
  };
}

function matching(context: string, word: string): string[] {
  const pattern = new RegExp(`^${word.replaceAll('.', '\\.').replaceAll('*', '.*')}$`);
  const names = readdirSync(context).filter((name) => pattern.test(name));
  expect(names).not.toEqual([]);
  return names;
}

describe.skipIf(!built)('the container of docs/production.md', { timeout: 300_000 }, () => {
  let image: Image;

  beforeAll(async () => {
    image = await buildImage(project, join(scratch, 'image'));
  }, 120_000);

  function start(argv: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
    const child = spawn(argv[0]!, argv.slice(1), {
      cwd: image.folder,
      env: environment({ ...image.env, ...env }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  }

  async function becomesHealthy(env: NodeJS.ProcessEnv): Promise<void> {
    for (;;) {
      const [code] = await once(start(image.healthcheck, env), 'exit');
      if (code === 0) return;
      await wait(100);
    }
  }

  it('runs as a user without privileges, for production, without packages for development', () => {
    expect(image.user).toBe('node');
    expect(image.env).toMatchObject({ NODE_ENV: 'production' });
    expect(image.cmd).toEqual(['node', 'server.ts']);
    expect(existsSync(join(image.folder, 'package-lock.json'))).toBe(true);
    expect(readdirSync(join(image.folder, 'node_modules/@ws'))).toHaveLength(PACKED.length);
  });

  it('serves metrics, and is unhealthy without a server', async () => {
    const env = { ...(await freePorts()), SECRET: 'secret' };
    const [code] = await once(start(image.healthcheck, env), 'exit');
    expect(code).toBe(1);
    const server = start(image.cmd, env);
    await becomesHealthy(env);
    const metrics = await fetch(`http://127.0.0.1:${env.METRICS_PORT}/`);
    expect(await metrics.text()).toMatch(/^hub_sessions 0$/m);
    server.kill('SIGTERM');
    expect(await once(server, 'exit')).toEqual([0, null]);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'loses no message and repeats none when %s restarts it under the load of three clients',
    async (signal) => {
      const file = join(scratch, `${signal}.jsonl`);
      const env = { ...(await freePorts()), SECRET: 'secret', DATA: file };
      let server = start(image.cmd, env);
      const errors = text(server.stderr!);
      await becomesHealthy(env);
      const talks = [1, 2, 3].map(() => start(['node', 'talk.ts'], env));
      const outputs = talks.map((talk) => text(talk.stdout!));
      await expect.poll(() => (existsSync(file) ? stored(file).length : 0)).toBeGreaterThan(200);
      const ended = once(server, 'exit');
      server.kill(signal);
      expect(await ended).toEqual(signal === 'SIGTERM' ? [0, null] : [null, signal]);
      expect(await errors).toBe('');
      const before = stored(file).length;
      server = start(image.cmd, env);
      expect(await Promise.all(outputs)).toEqual(talks.map(() => 'true\n'));
      expect(before).toBeLessThan(1_500);
      expectAll(file, 3);
      const end = once(server, 'exit');
      server.kill('SIGTERM');
      expect(await end).toEqual([0, null]);
    },
  );
});
