import { execFile, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { startFake } from './support.ts';

/** Debian's Python, which has its packages; another one may be first on the PATH. */
const PYTHON = '/usr/bin/python3';

/** Whether to skip the suite; prints the reason. Never with REQUIRE_PROGRAMS set. */
function lacksSimpleobsws(): boolean {
  const { status } = spawnSync(PYTHON, ['-c', 'import simpleobsws']);
  if (status === 0 || process.env['REQUIRE_PROGRAMS']) return false;
  console.log('skipped: python3-simpleobsws not found; .ci/run installs it');
  return true;
}

async function run(url: string, password: string): Promise<unknown> {
  const script = join(import.meta.dirname, 'simpleobsws-client.py');
  const { stdout } = await promisify(execFile)(PYTHON, [script, url, password]);
  return JSON.parse(stdout);
}

describe.skipIf(lacksSimpleobsws())('the fake OBS, for simpleobsws', () => {
  it('authenticates, answers, sends events and carries out batches', async () => {
    const fake = await startFake({ password: 'secret' });
    expect(await run(fake.url, 'secret')).toEqual({
      identified: true,
      events: [{ sceneName: 'Camera' }],
      switched: true,
      refused: 204,
      batch: [100, 204],
    });
  });
});
