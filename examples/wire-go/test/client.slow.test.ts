import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../../..');
const scratch = mkdtempSync(join(tmpdir(), 'wire-go-'));

/** Debian's Go and its packages, without modules. */
const env = {
  ...process.env,
  GO111MODULE: 'off',
  GOPATH: '/usr/share/gocode',
  GOCACHE: join(scratch, 'cache'),
};

/** Never with REQUIRE_PROGRAMS set: the build then fails. */
function lacksGorilla(): boolean {
  if (process.env['REQUIRE_PROGRAMS']) return false;
  const lacks = spawnSync('go', ['list', 'github.com/gorilla/websocket'], { env }).status !== 0;
  if (lacks) console.log('skipped: gorilla/websocket of Go not found; .ci/run installs it');
  return lacks;
}

describe.skipIf(lacksGorilla())('examples/wire-go', () => {
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  it('101.4 passes the cases of ws-conform', async () => {
    const client = join(scratch, 'client');
    await run('go', ['build', '-o', client, '.'], { cwd: join(root, 'examples/wire-go'), env });
    const suite = join(root, 'conformance/bin/ws-conform.js');
    const { stdout } = await run(process.execPath, [suite, 'rooms', '--client', client]);
    expect(stdout).toMatch(/^71 cases: \d+ passed, 0 failed/m);
  });
});
