import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import ts from 'typescript';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Snippet, snippets } from '../snippets.ts';
import { goodHandshake, throwBadRequests } from './bad-requests.ts';

const root = join(import.meta.dirname, '../..');
// Inside the tree, so that the packages are found by name.
const folder = join(root, '.out/snippets');
const all = snippets(root);
const running: ChildProcess[] = [];

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const snippet of all) writeFileSync(pathOf(snippet), `${snippet.code}\nexport {};\n`);
});

afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill();
    await once(child, 'exit');
  }
});

/** JavaScript that other tests run: the code of ws beside ours, and a client for a Node with a WebSocket of its own. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'docs/from-ws.md': 'scripts/test/migration.test.ts',
  'packages/conformance/README.md': 'packages/conformance/test/client/command.test.ts',
};

describe('the pages', () => {
  it('have no program that is not here, but for those that another test runs', () => {
    const listed = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: root, encoding: 'utf8' });
    const unknown = listed.split('\0').flatMap((file) => {
      if (file === '' || !existsSync(join(root, file))) return [];
      const fences = readFileSync(join(root, file), 'utf8').match(/^[ \t]*```\w+/gm) ?? [];
      const count = (name: RegExp): number => fences.filter((fence) => name.test(fence)).length;
      const here = all.filter((snippet) => snippet.file === file).length;
      return [
        ...(count(/`ts$/) === here ? [] : [`${file}: ts`]),
        ...(count(/`js$/) === 0 || file in ELSEWHERE ? [] : [`${file}: js`]),
        ...(count(/`([mc]?[jt]sx?|typescript|javascript)$/) === count(/`[jt]s$/) ? [] : [file]),
      ];
    });
    expect(unknown).toEqual([]);
    for (const [page, test] of Object.entries(ELSEWHERE)) {
      const name = page.split('/').at(-1)!;
      expect(readFileSync(join(root, test), 'utf8')).toContain(name);
    }
  });

  it('leave a program unrun only where it needs what is not there', () => {
    // A function of yours, somebody's server, a certificate.
    const needs = /^declare |\bexample\.org\b|'key\.pem'/m;
    const unrun = all.filter(({ run, code }) => !run && !needs.test(code));
    expect(unrun.map(titleOf)).toEqual([]);
  });
});

describe('every snippet', () => {
  let faults: Map<string, string[]>;

  beforeAll(() => {
    faults = typeFaults(all.map((snippet) => pathOf(snippet)));
  }, 60_000);

  it.each(all.map((snippet) => ({ title: titleOf(snippet), snippet })))(
    'type-checks: $title',
    ({ snippet }) => {
      expect(faults.get(pathOf(snippet)) ?? []).toEqual([]);
    },
  );
});

describe('a snippet', () => {
  const runnable = all.filter((snippet) => snippet.run);
  const plain = runnable.filter((snippet) => !isServer(snippet) && !isClient(snippet));
  const withTitle = (list: readonly Snippet[]): { title: string; snippet: Snippet }[] =>
    list.map((snippet) => ({ title: titleOf(snippet), snippet }));

  it.each(withTitle(plain))('runs to its end: $title', { timeout: 30_000 }, async ({ snippet }) => {
    await runToEnd(pathOf(snippet));
  });

  it.each(withTitle(runnable.filter((snippet) => isServer(snippet))))(
    'serves, and outlives every bad request: $title',
    { timeout: 60_000 },
    async ({ snippet }) => {
      const { child, port } = await startServer(snippet);
      await throwBadRequests(port);
      expect(await goodHandshake(port)).toBe('HTTP/1.1 101 Switching Protocols');
      expect(child.exitCode).toBe(null);
    },
  );

  it.each(withTitle(runnable.filter((snippet) => isClient(snippet))))(
    "runs to its end against its page's server: $title",
    { timeout: 30_000 },
    async ({ snippet }) => {
      const server = runnable.find((other) => other.file === snippet.file && isServer(other));
      if (server === undefined) throw new Error(`${snippet.file} has no server to talk to`);
      const { port } = await startServer(server);
      await runToEnd(writeWithPort(snippet, port));
    },
  );
});

function titleOf({ file, line }: Snippet): string {
  return `${file}:${line}`;
}

function pathOf(snippet: Snippet): string {
  return join(folder, `${titleOf(snippet).replaceAll(/[^a-z0-9]+/gi, '_')}.ts`);
}

/** Pages say port 8080; a test gives them one that is free. */
function isServer({ code }: Snippet): boolean {
  return /port: 8080|listen\(8080/.test(code);
}

function isClient(snippet: Snippet): boolean {
  return !isServer(snippet) && /:8080\b/.test(snippet.code);
}

function writeWithPort(snippet: Snippet, port: number): string {
  const path = pathOf(snippet).replace('.ts', `_at_${port}.ts`);
  writeFileSync(path, `${snippet.code.replaceAll('8080', String(port))}\nexport {};\n`);
  return path;
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  /** What it has printed. */
  readonly output: () => string;
}

function start(path: string): Running {
  const args = ['--conditions=@ws/source', '--import', 'tsx', path];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, ended: once(child, 'exit'), output: () => output };
}

async function runToEnd(path: string): Promise<void> {
  const { child, ended, output } = start(path);
  await ended;
  expect(child.exitCode, output()).toBe(0);
}

async function startServer(snippet: Snippet): Promise<{ child: ChildProcess; port: number }> {
  const port = await freePort();
  const { child, ended, output } = start(writeWithPort(snippet, port));
  let over = false;
  const end = ended.then(() => {
    over = true;
  });
  // A snippet need not say that it listens, so this knocks until it does.
  while (!over && !(await accepts(port))) await Promise.race([end, nextKnock()]);
  if (over) throw new Error(`${titleOf(snippet)} ended instead of serving\n${output()}`);
  return { child, port };
}

function nextKnock(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => socket.end(() => resolve(true)));
    socket.on('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** What the compiler says about each file, under the options that tests are checked with. */
function typeFaults(files: readonly string[]): Map<string, string[]> {
  const config = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file));
  const { options } = ts.parseJsonConfigFileContent(config.config, ts.sys, root);
  const program = ts.createProgram(files, { ...options, incremental: false });
  const faults = new Map<string, string[]>();
  for (const file of files) {
    const source = program.getSourceFile(file);
    if (source === undefined) throw new Error(`${file} was not read`);
    const found = [
      ...program.getSyntacticDiagnostics(source),
      ...program.getSemanticDiagnostics(source),
    ];
    faults.set(
      file,
      found.map(({ messageText, start = 0 }) => {
        const { line } = source.getLineAndCharacterOfPosition(start);
        return `line ${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
      }),
    );
  }
  return faults;
}
