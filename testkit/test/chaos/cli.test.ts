import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../../src/peers/index.ts';

const cli = fileURLToPath(new URL('../../src/chaos/cli.ts', import.meta.url));

async function run(...args: string[]): Promise<{ code: unknown; out: string; error: string }> {
  const node = ['--conditions=@ws/source', '--import', 'tsx', cli, ...args];
  const child = spawn(process.execPath, node, { stdio: ['ignore', 'pipe', 'pipe'] });
  whenOver(() => child.kill('SIGKILL'));
  let out = '';
  let error = '';
  child.stdout.on('data', (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    error += chunk.toString();
  });
  const [code] = await once(child, 'close');
  return { code, out, error };
}

describe('pnpm chaos', () => {
  nothingLeft();

  it('plays a connection of a seed again and again, and ends well', async () => {
    const { code, out } = await run('--seed', '7', '--connection', '3', '--times', '5');
    expect(out).toMatch(/^seed 7\n/);
    expect(out).toMatch(/\d+ messages, \d+\/s, 5 connections/);
    expect(out).toContain('connection 3: client ');
    expect(code).toBe(0);
  }, 60_000);

  it('refuses what it does not know', async () => {
    const { code, error } = await run('--messages', 'many');
    expect(code).toBe(2);
    expect(error).toContain('--messages: not a number that it takes: many');
    expect(error).toContain('usage: pnpm chaos');
  }, 60_000);
});
