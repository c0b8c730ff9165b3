// The tarballs of `.out/pack`, installed by its installer with npm: the README's quick starts in every dialect, and
// the commands ws-conform and ws-bench. `pnpm check packages` packs them and runs this.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { ownPort } from '@ws/tests';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { snippets } from '../snippets.ts';

const root = join(import.meta.dirname, '../..');
const readme = readFileSync(join(root, 'README.md'), 'utf8');
const starts = snippets(root).filter(({ file, run }) => file === 'README.md' && run);

const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;
const COMPILER = {
  strict: true,
  skipLibCheck: false,
  target: 'es2022',
  lib: ['es2023'],
  // As `tsc --init` writes it.
  types: [],
  typeRoots: [join(root, 'node_modules/@types')],
};

const INSTALL = join(root, '.out/pack/install.mjs');
const PACKAGES = Object.keys(
  JSON.parse(readFileSync(join(root, '.out/pack/packages.json'), 'utf8')) as object,
);

const BENCH = PACKAGES.find((name) => name.endsWith('/bench'))!;
const LIBRARIES = PACKAGES.filter((name) => name !== BENCH);

/** Where everything is; a name with a space, as people have them. */
let scratch = '';
/** Where the packages are installed. */
let project = '';

describe('the installed packages', () => {
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'installed '));
    project = join(scratch, 'fresh');
    mkdirSync(project);
    execFileSync('npm', ['init', '-y'], { cwd: project, stdio: 'pipe' });
    const quietly = ['--offline', '--no-audit', '--no-fund', '--ignore-scripts'];
    // No registry is needed: none of these depends on a package of others.
    execFileSync(process.execPath, [INSTALL, ...LIBRARIES, '--', ...quietly], {
      cwd: project,
      stdio: 'pipe',
    });
  }, 120_000);

  afterAll(() => rmSync(scratch, { recursive: true, force: true }), 60_000);

  it.each([
    ['nodenext', { module: 'nodenext', moduleResolution: 'nodenext' }],
    ['bundler', { module: 'esnext', moduleResolution: 'bundler' }],
  ])(
    'compile and run the quick starts in TypeScript, moduleResolution %s',
    { timeout: 60_000 },
    async (name, resolution) => {
      const folder = join(project, name);
      const programs = await written(folder, 'mts');
      const compilerOptions = { ...COMPILER, ...resolution };
      write(folder, 'tsconfig.json', JSON.stringify({ compilerOptions }));
      execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: folder });
      await runAll(programs.map((each) => ({ ...each, path: each.path.replace(/mts$/, 'mjs') })));
    },
  );

  it.each(
    ['typescript-5.4', 'typescript', 'typescript-7'].flatMap((compiler) => [
      { compiler, name: 'program', lib: COMPILER.lib },
      {
        compiler,
        name: 'page',
        lib: [...COMPILER.lib, 'dom', 'dom.iterable', 'dom.asynciterable'],
      },
    ]),
  )('infer the types of a $name by $compiler', { timeout: 60_000 }, ({ compiler, name, lib }) => {
    const folder = join(project, `${compiler}-${name}`);
    const program = readFileSync(join(import.meta.dirname, `inference/${name}.mts`), 'utf8');
    write(folder, 'program.mts', program);
    const compilerOptions = { ...COMPILER, lib, module: 'nodenext', noEmit: true };
    write(folder, 'tsconfig.json', JSON.stringify({ compilerOptions }));
    const tsc = join(root, 'tools/node_modules', compiler, 'bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder]);
    expect([status, String(stdout)]).toEqual([0, '']);
  });

  it('have types that compile with skipLibCheck: false', { timeout: 60_000 }, () => {
    const entries = LIBRARIES.flatMap((name) => {
      const file = join(project, 'node_modules', name, 'package.json');
      const { exports = {} } = JSON.parse(readFileSync(file, 'utf8')) as { exports?: object };
      return (
        Object.keys(exports)
          // `workers` needs the types of Workers.
          .filter((entry) => !entry.endsWith('.json') && entry !== './workers')
          .map((entry) => name + entry.slice(1))
      );
    });
    expect(entries.length).toBeGreaterThan(20);
    const folder = join(project, 'entries');
    write(folder, 'program.mts', entries.map((entry) => `import '${entry}';\n`).join(''));
    const compilerOptions = { ...COMPILER, types: ['node'], module: 'nodenext', noEmit: true };
    write(folder, 'tsconfig.json', JSON.stringify({ compilerOptions }));
    const tsc = join(root, 'tools/node_modules/typescript-7/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', folder]);
    expect([status, String(stdout)]).toEqual([0, '']);
  });

  it.each([
    ['as they stand, by node', 'mjs', []],
    ['as they stand, by tsx', 'ts', ['--import', TSX]],
    ['by require', 'cjs', []],
  ])('run the quick starts %s', { timeout: 60_000 }, async (_, ending, args) => {
    expect(readme).toContain(`server.${ending === 'cjs' ? 'mjs' : ending}\``);
    // As docs/runtimes.md says. The endings of the others do not depend on it.
    if (ending === 'ts') execFileSync('npm', ['pkg', 'set', 'type=module'], { cwd: project });
    const dialect = ending === 'cjs' ? required : undefined;
    await runAll(await written(project, ending, dialect), args);
  });

  it.each(['runtimes.md', 'testing.md'])(
    'run the CommonJS program of docs/%s',
    { timeout: 60_000 },
    async (page) => {
      const text = readFileSync(join(root, 'docs', page), 'utf8');
      const [, code] = /^```js no-run\n([^]*?)^```/m.exec(text)!;
      // A test of the page names the functions of Jest.
      const jest = `const { test } = require('node:test');
        const expect = (got) => ({ toBe: (want) => require('node:assert').strictEqual(got, want) });\n`;
      await toItsEnd(write(project, `${page}.cjs`, jest + code), []);
    },
  );

  it.each([
    [
      'finds nothing in a server that echoes',
      'message.type',
      0,
      /^([1-9]\d*) cases in [\d.]+ s: \1 passed, 0 failed, 0 non-strict, 0 advice, 0 skipped$/,
    ],
    [
      'finds a server that answers text with bytes',
      '2',
      1,
      /^\d+ cases in [\d.]+ s: \d+ passed, [1-9]\d* failed \(1 cause\), 0 non-strict, 0 advice, 0 skipped$/,
    ],
  ])('run the command ws-conform %s', { timeout: 60_000 }, async (_, type, status, last) => {
    const server = start(write(join(project, 'conform'), `${status}.mjs`, answering(type)));
    const [url] = await once(createInterface(server.stdout!), 'line');
    const args = ['server', String(url), '--only', '1.1.*', '--only', '7.1.*'];
    expect(await conform(args)).toEqual({
      status,
      errors: '',
      last: expect.stringMatching(last),
    });
  });

  it('report an invalid command line of ws-conform', async () => {
    expect(await conform(['serve', 'ws://127.0.0.1'])).toEqual({
      status: 2,
      errors: 'ws-conform: serve is none of server, client and matrix; did you mean server?\n',
      last: '',
    });
  });
});

describe('the installed ws-bench', () => {
  let folder = '';

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench '));
    execFileSync('npm', ['init', '-y'], { cwd: folder, stdio: 'pipe' });
    // It depends on ws and on three tools.
    const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
    execFileSync(process.execPath, [INSTALL, BENCH, '--', ...quietly], {
      cwd: folder,
      stdio: 'pipe',
    });
  }, 180_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }), 60_000);

  function bench(...args: string[]): { status: number | null; stdout: string; stderr: string } {
    const command = join(folder, 'node_modules/.bin/ws-bench');
    // Without the folders of this workspace, which the programs of pnpm add.
    const env = { ...process.env, NODE_PATH: '' };
    return spawnSync(command, args, { cwd: folder, encoding: 'utf8', env, timeout: 60_000 });
  }

  it('brings no contender but ws', () => {
    const installed = readdirSync(join(folder, 'node_modules'));
    expect(installed).toContain('ws');
    const { peerDependencies } = JSON.parse(
      readFileSync(join(folder, 'node_modules', BENCH, 'package.json'), 'utf8'),
    ) as { peerDependencies: Readonly<Record<string, string>> };
    expect(Object.keys(peerDependencies)).toContain('socket.io');
    expect(installed.filter((name) => name in peerDependencies)).toEqual([]);
  });

  it('measures, and names what is missing with the command that installs it', {
    timeout: 120_000,
  }, () => {
    const short = ['--quick', '--rounds', '1', '--only', 'room of 1,000'];
    const { status, stdout, stderr } = bench('compat', ...short);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining('Error')]);
    expect(stdout).toMatch(/^not measured: socket\.io: .*: npm install socket\.io@\d/m);
    const measured = bench('client', '--quick', '--rounds', '1', '--only', '64 x 1 x 16 B');
    expect([measured.status, measured.stdout]).toEqual([0, expect.stringMatching(/^ *ours /m)]);
    if (!('websocketMask' in http)) {
      expect(measured.stdout).toMatch(/^not measured: ws, native mask: .* install bufferutil@/m);
    }
  });

  it('asks for the package that draws charts before it measures', () => {
    const { status, stderr } = bench('compare', '--html', 'page.html');
    expect([status, stderr]).toEqual([
      2,
      expect.stringMatching(/^--html: echarts is not installed: npm install echarts@[\d.]+\n$/),
    ]);
  });
});

/** A server that prints where it is, and sends each message back as one of `type`. */
function answering(type: string): string {
  return `import { serve } from '@ws/node-server';

const server = await serve({ port: 0, host: '127.0.0.1', compression: true }, (conn) =>
  conn.receive((message) => conn.writeMessage(${type}, message.data)),
);
console.log(server.url);
`;
}

/** Runs the command as npm has put it where it belongs. */
async function conform(
  args: readonly string[],
): Promise<{ readonly status: number | null; readonly errors: string; readonly last: string }> {
  const command = join(project, 'node_modules/.bin/ws-conform');
  const child = stopped(spawn(command, args, { cwd: project, stdio: ['ignore', 'pipe', 'pipe'] }));
  const closed = once(child, 'close');
  const [output, errors] = await Promise.all([text(child.stdout!), text(child.stderr!)]);
  await closed;
  return { status: child.exitCode, errors, last: output.trimEnd().split('\n').at(-1)! };
}

/** Replaces `import` by `require`, and wraps code that awaits in a function. */
function required(code: string): string {
  const lines = code.replaceAll(/import \{([^}]*)\} from ('[^']*');/g, 'const {$1} = require($2);');
  return `(async () => {\n${lines}\n})();\n`;
}

function write(folder: string, name: string, contents: string): string {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
}

interface Program {
  readonly path: string;
  /** Where it serves, which is where the page has 8080. */
  readonly serves: number | undefined;
}

/**
 * Writes the quick starts as files. A free port replaces port 8080 of the page; the client uses the
 * port of the first server.
 */
async function written(
  folder: string,
  ending: string,
  dialect = (code: string): string => code,
): Promise<Program[]> {
  const programs: Program[] = [];
  let first: number | undefined;
  for (const [i, { code }] of starts.entries()) {
    const serves = /port: 8080|listen\(8080/.test(code) ? await ownPort() : undefined;
    first ??= serves;
    const contents = dialect(code.replaceAll('8080', String(serves ?? first)));
    programs.push({ serves, path: write(folder, `${i}.${ending}`, contents) });
  }
  return programs;
}

/** Starts the servers, and runs all others to their ends. */
async function runAll(programs: readonly Program[], args: readonly string[] = []): Promise<void> {
  const servers = programs.filter(({ serves }) => serves !== undefined);
  expect(servers.length).toBeGreaterThan(0);
  for (const { path, serves } of servers) await serving(path, serves!, args);
  const outputs: string[] = [];
  for (const { path, serves } of programs) {
    if (serves === undefined) outputs.push(await toItsEnd(path, args));
  }
  expect(outputs).toHaveLength(2);
  for (const output of outputs) expect(readme).toContain(`It prints \`${output.trim()}\``);
}

function start(path: string, args: readonly string[] = []): ChildProcess {
  const child = spawn(process.execPath, [...args, path], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  return stopped(child);
}

/** The program, which does not outlive its test. */
function stopped(child: ChildProcess): ChildProcess {
  onTestFinished(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill();
    await once(child, 'exit');
  });
  return child;
}

async function toItsEnd(path: string, args: readonly string[]): Promise<string> {
  const child = start(path, args);
  let output = '';
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8').on('data', (piece: string) => {
      output += piece;
    });
  }
  await once(child, 'close');
  expect(child.exitCode, `${path}\n${output}`).toBe(0);
  return output;
}

async function serving(path: string, port: number, args: readonly string[]): Promise<void> {
  const child = start(path, args);
  // A quick start need not say that it listens, so this knocks until it does.
  while (!(await accepts(port))) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`${path} ended instead of serving`);
    }
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  if (!connected) await new Promise((resolve) => setTimeout(resolve, 20));
  return connected;
}
