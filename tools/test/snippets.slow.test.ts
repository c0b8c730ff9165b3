import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { PROJECTS, type Snippet, snippets } from '../snippets.ts';
import { goodHandshake, throwBadRequests } from './bad-requests.ts';

const root = join(import.meta.dirname, '../..');
// Inside the tree, so that Node finds the packages by name.
const folder = join(root, '.out/snippets');
const all = snippets(root);
const built = existsSync(join(root, 'packages/node-server/dist/index.js'));
if (!built) console.log('skipped: snippets do not run, the packages are not built; pnpm build');

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const snippet of all) writeFileSync(pathOf(snippet), `${snippet.code}\nexport {};\n`);
});

/** JavaScript that other tests run. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'docs/compared.md': 'tools/test/readme.slow.test.ts',
  'docs/frameworks.md': 'tests/frameworks/page.ts',
  'bench/README.md': 'bench/test/load/users.slow.test.ts',
  'docs/runtimes.md': 'tools/test/install.long.test.ts',
  'docs/testing.md': 'tools/test/install.long.test.ts',
  'conformance/README.md': 'conformance/test/client/command.slow.test.ts',
  'docs/fetch.md': 'packages/fetch/test/runtimes.slow.test.ts',
};

/** Pages whose JavaScript is a program for another library, beside the same one for ours. */
const OF_OTHERS = ['docs/from-ws.md'];

describe('the pages', () => {
  it('contain only programs that a test runs', () => {
    const listed = execFileSync('git', ['ls-files', '-z', '*.md'], { cwd: root, encoding: 'utf8' });
    const unknown = listed.split('\0').flatMap((file) => {
      // Declarations are no programs.
      if (file === '' || file.startsWith('api/') || !existsSync(join(root, file))) return [];
      const fences =
        readFileSync(join(root, file), 'utf8').match(/^[ \t]*```\w+(?! project)(?!\w)/gm) ?? [];
      const count = (name: RegExp): number => fences.filter((fence) => name.test(fence)).length;
      const here = all.filter((snippet) => snippet.file === file).length;
      return [
        ...(count(/`ts$/) === here || file in PROJECTS ? [] : [`${file}: ts`]),
        ...(count(/`js$/) === 0 || file in ELSEWHERE || OF_OTHERS.includes(file)
          ? []
          : [`${file}: js`]),
        ...(count(/`([mc]?[jt]sx?|typescript|javascript)$/) === count(/`[jt]s$/) ? [] : [file]),
      ];
    });
    expect(unknown).toEqual([]);
    for (const [page, test] of Object.entries({ ...ELSEWHERE, ...PROJECTS })) {
      const name = page.split('/').at(-1)!;
      expect(readFileSync(join(root, test), 'utf8')).toContain(name);
    }
  });

  it('mark a program as no-run only if it needs something absent', () => {
    // The reader's function, a foreign server, a certificate, a test runner, a page, a runtime or more processes.
    const needs =
      /^declare |\bexample\.org\b|'key\.pem'|'vitest'|'@ws\/(browser'|fetch|hub\/cluster')/m;
    const unrun = all.filter(({ run, code }) => !run && !needs.test(code));
    expect(unrun.map(titleOf)).toEqual([]);
  });
});

describe('every snippet', () => {
  let faults: Map<string, string[]>;

  beforeAll(() => {
    faults = typeFaults();
  }, 60_000);

  it.each(all.map((snippet) => ({ title: titleOf(snippet), snippet })))(
    'type-checks: $title',
    ({ snippet }) => {
      expect(faults.get(fileOf(snippet))).toEqual([]);
    },
  );
});

it.skipIf(!built)(
  'every snippet type-checks against the built types, with those of the DOM',
  () => {
    const faults = typeFaults({ lib: ['es2023', 'dom'], customConditions: [] });
    expect([...faults].filter(([, found]) => found.length > 0)).toEqual([]);
  },
  60_000,
);

describe.skipIf(!built).concurrent('a snippet', { timeout: 60_000 }, () => {
  const runnable = all.filter((snippet) => snippet.run);
  const plain = runnable.filter((snippet) => !isServer(snippet) && !isClient(snippet));
  const [examples, programs] = [plain.filter(isExample), plain.filter((s) => !isExample(s))];
  const withTitle = (list: readonly Snippet[]): { title: string; snippet: Snippet }[] =>
    list.map((snippet) => ({ title: titleOf(snippet), snippet }));

  it.each(withTitle(programs))('runs to its end: $title', async ({ snippet }) => {
    await runToEnd(snippet);
  });

  // A process for each of a hundred examples would cost half a minute.
  it('of a docstring runs to its end', async () => {
    const steps = examples.map((example) => {
      const url = JSON.stringify(pathToFileURL(writeProgram(example)));
      return `console.log('# ${titleOf(example)}');\nawait import(${url});`;
    });
    const path = join(folder, 'examples.mjs');
    writeFileSync(path, steps.join('\n'));
    const { child, ended, output } = run(path);
    await ended;
    expect(child.exitCode, output()).toBe(0);
  });

  it.each(withTitle(runnable.filter((snippet) => isServer(snippet))))(
    'serves after every bad request: $title',
    async ({ snippet }) => {
      await using server = await startServer(snippet);
      await throwBadRequests(server.port);
      const status = await goodHandshake(server.port, pathOfRoute(snippet));
      expect(status).toBe('HTTP/1.1 101 Switching Protocols');
      expect(server.child.exitCode).toBe(null);
    },
  );

  it.each(withTitle(runnable.filter((snippet) => isClient(snippet))))(
    'runs to its end with the server of its page: $title',
    async ({ snippet }) => {
      const page = runnable.find((other) => other.file === snippet.file && isServer(other));
      if (page === undefined) throw new Error(`${snippet.file} has no server to talk to`);
      await using server = await startServer(page);
      await runToEnd(snippet, server.port);
    },
  );
});

function titleOf({ file, line }: Snippet): string {
  return `${file}:${line}`;
}

function fileOf(snippet: Snippet): string {
  return `${titleOf(snippet).replaceAll(/[^a-z0-9]+/gi, '_')}.ts`;
}

function pathOf(snippet: Snippet): string {
  return join(folder, fileOf(snippet));
}

/**
 * Pages use port 8080. A server gets port 0 here, a client the port that its server has printed.
 */
function isServer({ code }: Snippet): boolean {
  return /port: 8080|listen\(8080/.test(code);
}

/** A path of the only route of a snippet; `/` without a route of its own. */
function pathOfRoute({ code }: Snippet): string {
  const [, route = '/'] = /\{ '(\/[^']+)': hub\.handler \}/.exec(code) ?? [];
  return route.replaceAll(':', '');
}

function isClient(snippet: Snippet): boolean {
  return !isServer(snippet) && /:8080\b/.test(snippet.code);
}

/** Whether the snippet is in a docstring. */
function isExample({ file }: Snippet): boolean {
  return file.endsWith('.ts');
}

let written = 0;

/** Writes the snippet as JavaScript. It uses the built packages. */
function writeProgram(snippet: Snippet, port = 8080): string {
  const path = pathOf(snippet).replace(/\.ts$/, `_${++written}.mjs`);
  const code = snippet.code.replaceAll('8080', String(port));
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  writeFileSync(path, ts.transpileModule(code, { compilerOptions }).outputText);
  return path;
}

function run(path: string): Running {
  const child = spawn(process.execPath, ['--import', REPORT_PORT, path], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, ended: once(child, 'exit'), output: () => output };
}

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  /** Its output so far. */
  readonly output: () => string;
}

/** Loaded before a snippet: reports the port of the snippet to this test. */
const REPORT_PORT = `data:text/javascript,${encodeURIComponent(`
  import net from 'node:net';
  const { listen } = net.Server.prototype;
  net.Server.prototype.listen = function (...args) {
    // The self-test of the read buffer has a server of its own.
    const isOwn = args[0]?.exclusive === true;
    if (!isOwn) this.once('listening', () => process.connected && process.send(this.address().port ?? 0));
    process.channel?.unref();
    return listen.apply(this, args);
  };
  process.channel?.unref();`)}`;

async function runToEnd(snippet: Snippet, port = 8080): Promise<void> {
  const { child, ended, output } = run(writeProgram(snippet, port));
  await ended;
  expect(child.exitCode, output()).toBe(0);
}

interface Serving extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly port: number;
}

async function startServer(snippet: Snippet): Promise<Serving> {
  const { child, ended, output } = run(writeProgram(snippet, 0));
  const [port] = (await Promise.race([once(child, 'message'), ended])) as [number | null];
  if (child.exitCode !== null) {
    throw new Error(`${titleOf(snippet)} ended instead of serving\n${output()}`);
  }
  return {
    child,
    port: Number(port),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await ended;
    },
  };
}

/** A file with a type error. If the compiler does not report it, it has checked nothing. */
const PLANTED = 'planted.ts';

/** Errors of the compiler for each file, with the options of the tests. */
function typeFaults(compilerOptions: object = {}): Map<string, string[]> {
  const config = join(folder, 'tsconfig.json');
  const options = { noEmit: true, composite: false, incremental: false, ...compilerOptions };
  const content = { extends: join(root, 'tsconfig.json'), compilerOptions: options };
  writeFileSync(config, JSON.stringify({ ...content, include: ['*.ts'], references: [] }));
  writeFileSync(join(folder, PLANTED), "export const n: number = 'text';\n");
  const tsc = join(root, 'tools/node_modules/typescript-7/bin/tsc');
  const { stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', config, '--listFiles'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const lines = stdout.split('\n');
  const faults = new Map<string, string[]>([[PLANTED, []]]);
  for (const name of all.map(fileOf)) {
    if (!lines.some((line) => line.endsWith(`/${name}`))) {
      throw new Error(`${name} was not read\n${stdout}${stderr}`);
    }
    faults.set(name, []);
  }
  // `pnpm check types` checks the other files, with their options.
  for (const [, name, ...fault] of stdout.matchAll(/^([^/\n]+\.ts)\((\d+),\d+\): (.*)$/gm)) {
    faults.get(name!)!.push(`line ${fault.join(': ')}`);
  }
  if (faults.get(PLANTED)!.length !== 1) throw new Error(`no fault in ${PLANTED}\n${stdout}`);
  faults.delete(PLANTED);
  return faults;
}
