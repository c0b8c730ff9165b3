import { execFile } from 'node:child_process';
import process from 'node:process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const moduleUrl = new URL('../src/read-buffer.ts', import.meta.url).href;

describe('readBufferState', () => {
  it('is on in a Node that forbids what it does not need', async () => {
    const program = `
      import { prepareReadBuffer, readBufferState } from '${moduleUrl}';
      await prepareReadBuffer();
      process.stdout.write(readBufferState().state);`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--jitless',
      '--frozen-intrinsics',
      '--disable-proto=delete',
      '--disallow-code-generation-from-strings',
      '--no-warnings',
      '--conditions=@ws/source',
      '--import',
      'tsx',
      '--input-type=module',
      '--eval',
      program,
    ]);
    expect(stdout).toBe('on');
  });
});
