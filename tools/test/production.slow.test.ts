// docs/production.md: its programs, as files of one folder, by the commands of the page.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
// Inside the tree, so that the programs and the compiler find the packages by name.
const folder = join(root, '.out/production');
const built = existsSync(join(root, 'packages/hub/dist/index.js'));
if (!built) console.log('skipped: docs/production.md, the packages are not built; pnpm build');

const page = readFileSync(join(root, 'docs/production.md'), 'utf8');
const blocks = [...page.matchAll(/^```(\w+)\n([^]*?)^```/gm)].map(([, language, code]) => ({
  language: language!,
  code: code!,
}));
/** The programs of the page. The first line of each has its name. */
const programs = blocks.filter(({ language }) => language === 'ts').map(({ code }) => code);
const nameOf = (code: string): string => /^\/\/ (\S+)\n/.exec(code)![1]!;

/** The only command of the page with this text. */
function step(part: string): string {
  const found = blocks.filter(({ language, code }) => language === 'sh' && code.includes(part));
  expect(found).toHaveLength(1);
  return found[0]!.code;
}

/** Node before 22.18 runs no TypeScript. There, a reader writes `npx tsx`. */
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Runs a step as a shell does, and ends the programs that it leaves. Resolves with its output. */
async function runStep(script: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn('sh', ['-ec', script], {
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: `--import ${TSX}`, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A process group.
    detached: true,
  });
  const output = Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await once(child, 'exit');
  try {
    process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // All programs have ended.
  }
  const [out, errors] = await output;
  expect(code, `${script}\n${out}${errors}`).toBe(0);
  return out;
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return String(port);
}

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const code of programs) writeFileSync(join(folder, nameOf(code)), code);
});

it('the programs of docs/production.md type-check', { timeout: 120_000 }, () => {
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
  it('has a test that passes', async () => {
    expect(await runStep(step('node --test'))).toMatch(/^(?:#|ℹ) pass 1$/m);
  });

  it('restarts the server under load without losing or repeating a message', async () => {
    const env = { PORT: await freePort(), METRICS_PORT: await freePort() };
    expect(await runStep(step('talk.ts'), env)).toBe('true\n');
    const lines = readFileSync(join(folder, 'messages.jsonl'), 'utf8').trim().split('\n');
    const messages = lines.map((line) => JSON.parse(line) as { id: string; seq: number });
    expect(messages.map(({ seq }) => seq)).toEqual(messages.map((_, i) => i + 1));
    expect(new Set(messages.map(({ id }) => id)).size).toBe(500);
    expect(messages).toHaveLength(500);
  });
});
