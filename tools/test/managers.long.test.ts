// The installer of `.out/pack` with each package manager, in fresh folders: `pnpm long packages` packs and runs it.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { afterAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const INSTALL = join(root, '.out/pack/install.mjs');
const COMPAT_PAGE = join(root, 'docs/compat.md');
const scratch = mkdtempSync(join(tmpdir(), 'managers '));

/** Without the settings that pnpm gives the programs of this repository. */
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith('npm_')),
);

/** Runs a program of an npm package, or of the path. */
function run(cwd: string, from: readonly string[], args: readonly string[]): string {
  const [program, ...rest] =
    from.length === 0 ? [...args] : ['npx', '-y', ...from.flatMap((each) => ['-p', each]), ...args];
  const { status, stdout, stderr } = spawnSync(program!, rest, { cwd, encoding: 'utf8', env });
  expect(status, `${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** A project with nothing in it. */
function fresh(name: string, manifest: object = {}): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  const fields = { name: 'fresh', private: true, type: 'module', ...manifest };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(fields));
  return folder;
}

const ECHO = `
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
const server = await serve({ port: 0, host: '127.0.0.1' }, (conn) => conn.receive((m) => conn.send(m)));
const conn = await dial(server.url);
await conn.send('hello');
console.log((await conn.readMessage()).text());
await conn.close();
await server.close();
`;

const MANAGERS = [
  { name: 'npm', from: [] },
  { name: 'pnpm', from: ['pnpm@10.34.9'] },
  { name: 'pnpm', from: ['pnpm@12.21.0', 'node@24.21.0'] },
  { name: 'yarn', from: ['yarn@1.22.22'] },
];

describe('the installer', { timeout: 300_000 }, () => {
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it.each(MANAGERS)('installs a server, and then a client, by $name ($from)', ({ name, from }) => {
    const folder = fresh(`${name} ${from.join(' ')}`);
    const args = (wanted: string): string[] => ['node', INSTALL, '--with', name, wanted];
    run(folder, from, args('@ws/node-server'));
    run(folder, from, args('@ws/node-client'));
    writeFileSync(join(folder, 'echo.mjs'), ECHO);
    expect(run(folder, [], [process.execPath, 'echo.mjs'])).toBe('hello\n');
  });

  it.each(MANAGERS)('installs the commands by $name ($from)', ({ name, from }) => {
    const folder = fresh(`commands ${name} ${from.join(' ')}`);
    run(folder, from, ['node', INSTALL, '--with', name, '@ws/bench', '@ws/conformance']);
    const bin = (command: string): string => join(folder, 'node_modules/.bin', command);
    expect(run(folder, [], [bin('ws-bench'), '--help'])).toContain('usage: ws-bench <command>');
    expect(run(folder, [], [bin('ws-conform'), '--help'])).toContain('usage: ws-conform');
    const cases = run(folder, [], [bin('ws-conform'), 'server', '--list', '--only', '1.1']);
    expect(cases).toContain('1.1.2');
  });

  it('replaces ws by the tarball of compat, as docs/compat.md says', () => {
    const line = /"overrides": \{ "ws": "(.*)" \}/.exec(readFileSync(COMPAT_PAGE, 'utf8'))!;
    const folder = fresh('compat', { dependencies: { 'engine.io-client': '6.6.8' } });
    run(folder, [], ['node', INSTALL, '@ws/compat']);
    const file = join(folder, 'package.json');
    const manifest = JSON.parse(readFileSync(file, 'utf8')) as { overrides: object };
    const overrides = { ...manifest.overrides, ws: line[1] };
    writeFileSync(file, JSON.stringify({ ...manifest, overrides }));
    run(folder, [], ['npm', 'update']);
    const script = "console.log(require('ws/package.json').name)";
    expect(run(folder, [], [process.execPath, '-e', script])).toBe('@ws/compat\n');
  });

  // The rest differ in their dependencies only. Next is large: `pnpm long frameworks` installs it.
  it.each(['chat', 'dashboard', 'echo', 'nest', 'rooms', 'session-cookie'])(
    'installs a copy of examples/%s, which starts',
    async (name) => {
      const folder = join(scratch, `copy of ${name}`);
      const isSource = (path: string): boolean => !path.includes('node_modules');
      cpSync(join(root, 'examples', name), folder, { recursive: true, filter: isSource });
      run(folder, [], [process.execPath, INSTALL]);
      const child = spawn('npm', ['--silent', 'start'], {
        cwd: folder,
        env: { ...env, PORT: '0' },
        stdio: ['ignore', 'pipe', 'inherit'],
        detached: true,
      });
      const [line] = await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
      expect(String(line)).toMatch(/(?:http|ws):\/\/\S+:\d+/);
      process.kill(-child.pid!, 'SIGTERM');
      await once(child, 'close');
    },
  );

  it('installs one package alone, and the manager of the project', () => {
    const folder = fresh('alone', { packageManager: 'pnpm@10.34.9' });
    run(folder, ['pnpm@10.34.9'], ['node', INSTALL, '@ws/codec']);
    expect(readdirSync(join(folder, 'vendor/ws'))).toHaveLength(1);
    expect(readdirSync(folder)).toContain('pnpm-lock.yaml');
  });

  it('keeps the overrides that a pnpm workspace has', () => {
    const folder = fresh('overrides');
    const file = join(folder, 'pnpm-workspace.yaml');
    writeFileSync(file, "packages:\n  - .\noverrides:\n  other: '1.0.0'\n");
    run(folder, ['pnpm@10.34.9'], ['node', INSTALL, '--with', 'pnpm', '@ws/conn']);
    const first = readFileSync(file, 'utf8');
    // The tarballs of another version are replaced.
    writeFileSync(file, first.replaceAll('.tgz', '-old.tgz'));
    run(folder, ['pnpm@10.34.9'], ['node', INSTALL, '--with', 'pnpm', '@ws/conn']);
    const text = readFileSync(file, 'utf8');
    expect(text).toBe(first);
    const [, overrides = ''] = text.split('overrides:\n');
    expect(overrides.trimEnd().split('\n').toSorted()).toEqual([
      expect.stringMatching(/^ {2}'@ws\/codec': 'file:/),
      expect.stringMatching(/^ {2}'@ws\/conn': 'file:/),
      "  other: '1.0.0'",
    ]);
  });

  it.each([
    [[], 'usage: '],
    [['@ws/nope'], 'there is no package @ws/nope; there are @ws/bench @ws/browser '],
    [['--with', 'bower', '@ws/conn'], '--with: expected npm, pnpm or yarn, got bower'],
    [['--wiht', 'npm'], "Unknown option '--wiht'"],
  ])('refuses %j', (args, message) => {
    const { status, stderr } = spawnSync(process.execPath, [INSTALL, ...args], {
      cwd: scratch,
      encoding: 'utf8',
    });
    expect([status, stderr.slice(0, message.length)]).toEqual([2, message]);
  });

  it('asks for a project in a folder without one', () => {
    const { status, stderr } = spawnSync(process.execPath, [INSTALL, '@ws/conn'], {
      cwd: scratch,
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([
      2,
      'there is no package.json in this folder; run npm init -y first\n',
    ]);
  });
});
