import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../../..');
const PYTHON = '/usr/bin/python3';

/** Never with REQUIRE_PROGRAMS set: the command then fails. */
function lacksWebsockets(): boolean {
  if (process.env['REQUIRE_PROGRAMS']) return false;
  const lacks = spawnSync(PYTHON, ['-c', 'import websockets']).status !== 0;
  if (lacks) console.log('skipped: websockets of Python not found; .ci/run installs it');
  return lacks;
}

describe.skipIf(lacksWebsockets())('examples/wire-python', () => {
  it('101.4 passes the cases of ws-conform', async () => {
    const suite = join(root, 'conformance/bin/ws-conform.js');
    const client = join(root, 'examples/wire-python/client.py');
    const args = [suite, 'rooms', '--client', '--', PYTHON, client];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    expect(stdout).toMatch(/^71 cases: \d+ passed, 0 failed/m);
  });
});
