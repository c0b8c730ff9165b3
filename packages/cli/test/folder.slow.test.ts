import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { serve } from '@ws/node-server';
import { whenOver } from '@ws/tests';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

describe('EB6 wsx URL < folder', () => {
  it('ends with 8 and says that it is a folder', { timeout: 30_000 }, async () => {
    const server = await serve({ host: '127.0.0.1' }, (conn) => conn.discardReads());
    whenOver(() => server.close({ timeout: 1 }));
    const folder = openSync(tmpdir(), 'r');
    const cli = fileURLToPath(new URL('../src/cli.ts', import.meta.url));
    const run = spawn(process.execPath, [...LOADER, cli, server.url], {
      stdio: [folder, 'ignore', 'pipe'],
    });
    closeSync(folder);
    let text = '';
    run.stderr!.on('data', (chunk) => (text += String(chunk)));
    expect(await once(run, 'close')).toEqual([8, null]);
    expect(text).toContain('stdin: it is a folder');
  });
});
