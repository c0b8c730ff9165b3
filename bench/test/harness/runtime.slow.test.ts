import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { findRuntime } from '../../src/harness/runtime.ts';

const cli = join(import.meta.dirname, '../../dist/cli.js');
const built = existsSync(cli) || process.env['WS_BUILT'] !== undefined;
if (!built) console.log('skipped: the exit of other runtimes; not built, run pnpm build');

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanUp.splice(0)) clean();
});

/** A script that runs Node as Bun. Its server reports its process id and never answers. */
function fakeBun(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ws-bench-'));
  cleanUp.push(() => rmSync(folder, { recursive: true }));
  writeFileSync(
    join(folder, 'globals.mjs'),
    `import { createServer } from 'node:net';
     const server = createServer().listen(0, '127.0.0.1');
     await new Promise((resolve) => server.once('listening', resolve));
     console.error('listens as ' + process.pid);
     globalThis.Bun = { serve: () => ({ port: server.address().port }) };`,
  );
  const bun = join(folder, 'bun');
  writeFileSync(
    bun,
    `#!/bin/sh
if [ "$1" = --version ]; then echo 1.0.0; exit; fi
shift
exec '${process.execPath}' --import '${join(folder, 'globals.mjs')}' "$@"
`,
    { mode: 0o755 },
  );
  return bun;
}

describe('findRuntime', () => {
  it('asks a given path for its version', () => {
    const found = findRuntime('node', process.execPath);
    expect(found).toEqual({ path: process.execPath, version: `node ${process.version}` });
  });

  it('returns undefined for a missing runtime, and throws for a missing path', () => {
    expect(findRuntime('no-such-runtime', undefined)).toBeUndefined();
    expect(() => findRuntime('bun', '/no/such/file')).toThrow('ENOENT');
  });
});

describe.skipIf(!built)('a server in another runtime', { timeout: 60_000 }, () => {
  it.each(['SIGINT', 'SIGKILL'] as const)('exits when the command gets a %s', async (signal) => {
    const args = ['compare', '--quick', '--only', '64 x 1 x 16 B', '--bun', fakeBun()];
    const command = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let server: number | undefined;
    let ended = false;
    cleanUp.push(() => {
      command.kill('SIGKILL');
      if (server !== undefined && !ended) process.kill(server, 'SIGKILL');
    });
    // The command and its servers share it, so it closes after the last of them has exited.
    const closed = once(command.stderr, 'close');
    server = await new Promise<number>((resolve, reject) => {
      let said = '';
      command.stderr.on('data', (chunk) => {
        said += String(chunk);
        const [, pid] = /listens as (\d+)\n/.exec(said) ?? [];
        if (pid !== undefined) resolve(Number(pid));
      });
      void closed.then(() => reject(new Error(`it exited: ${said}`)));
    });
    command.kill(signal);
    await closed;
    ended = true;
    expect(command.signalCode).toBe(signal);
  });
});
