import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import process from 'node:process';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { dial } from '@ws/node-client';
import { afterAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Starts the program of the script `example` of the workspace. */
function start(cwd: string, args: readonly string[]): ChildProcess {
  const program = join(root, 'tools/example.ts');
  return spawn(process.execPath, ['--import', TSX, program, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

interface Result {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

async function run(cwd: string, ...args: string[]): Promise<Result> {
  const child = start(cwd, args);
  const [out, errors, [code]] = await Promise.all([
    text(child.stdout!),
    text(child.stderr!),
    once(child, 'exit'),
  ]);
  return { code, out, errors };
}

/** A workspace with the example `page`, which needs the module of a package for pages. */
function workspace(): string {
  const folder = mkdtempSync(join(scratch, 'workspace '));
  const build = "mkdir('dist',{recursive:true});write('dist/standalone.js','')";
  const program = "const {mkdirSync:mkdir,writeFileSync:write}=require('fs');";
  const files = {
    'package.json': { name: 'workspace', packageManager: 'pnpm@10.34.9+sha512.0' },
    'packages/page/package.json': {
      name: '@ws/page',
      scripts: { standalone: `node -e "${program}${build}"` },
    },
    'node_modules/@ws/page/package.json': {},
    // Everything is installed.
    'pnpm-lock.yaml': '',
    'node_modules/.pnpm-workspace-state-v1.json': {
      filteredInstall: false,
      lastValidatedTimestamp: Number.MAX_SAFE_INTEGER,
    },
    'packages/page/src/index.js': '',
    'examples/page/package.json': {
      name: '@ws/example-page',
      description: 'a page',
      type: 'module',
      scripts: { start: 'exec node server.mjs' },
      dependencies: { '@ws/page': 'workspace:^' },
    },
    'examples/page/server.mjs': `process.on('SIGINT', () => process.exit(0));
console.log('server', process.argv.slice(2), process.env.PORT);
setInterval(() => {}, 1000);
if (process.argv[2] === 'end') process.exit(3);`,
  };
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    const isText = typeof content === 'string';
    writeFileSync(join(folder, name), isText ? content : JSON.stringify(content));
  }
  return folder;
}

const scratch = mkdtempSync(join(tmpdir(), 'example '));

describe('pnpm example', () => {
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('lists the examples with one line each', async () => {
    const { code, out } = await run(root);
    expect(code).toBe(0);
    expect(out).toContain('usage: pnpm example <name>');
    const listed = [...out.matchAll(/^ {2}(\S+) {2,}\S/gm)].map(([, name]) => name);
    expect(listed).toEqual(readdirSync(join(root, 'examples')));
  });

  it('suggests the nearest name', async () => {
    expect(await run(root, 'chta')).toEqual({
      code: 2,
      out: '',
      errors: 'there is no example chta; did you mean chat?\n',
    });
    const { errors } = await run(root, 'something-else');
    expect(errors).toMatch(
      /^there is no example something-else; there are agent-stream, board, chat, /,
    );
  });

  it('builds what is missing or older than its sources, and says so', async () => {
    const folder = workspace();
    const says = 'building the module of @ws/page for pages\n';
    const first = await run(folder, 'page', 'end');
    expect(first).toEqual({ code: 3, out: "server [ 'end' ] undefined\n", errors: says });
    expect((await run(folder, 'page', 'end')).errors).toBe('');
    rmSync(join(folder, 'packages/page/dist'), { recursive: true });
    expect((await run(folder, 'page', 'end')).errors).toBe(says);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'serves on PORT by the command of the READMEs, and %s closes its connections and ends it',
    async (signal) => {
      const env = Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)),
      );
      const child = spawn('npx', ['-y', 'pnpm@10.34.9', '--silent', 'example', 'echo'], {
        cwd: root,
        env: { ...env, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
        // A new process group, as in a terminal.
        detached: true,
      });
      const ended = once(child, 'close');
      const [line] = await once(child.stdout, 'data');
      const conn = await dial(/ws:\S+/.exec(String(line))![0]);
      void conn.discardReads();
      // The terminal sends SIGINT to the group, a service manager SIGTERM to the process.
      process.kill(signal === 'SIGINT' ? -child.pid! : child.pid!, signal);
      expect((await conn.closed).code).toBe(1001);
      // The output closes when the program has ended.
      await ended;
    },
    // npx and pnpm start slowly on a busy machine.
    300_000,
  );
});
