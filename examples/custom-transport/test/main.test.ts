import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

describe('examples/custom-transport', () => {
  it('echoes a text and a megabyte, answers a ping and closes', async () => {
    const main = fileURLToPath(new URL('../main.ts', import.meta.url));
    const child = spawn(process.execPath, ['--conditions=@ws/source', '--import', 'tsx', main], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'exit')]);
    expect(output.trim().split('\n')).toEqual([
      'client: hello, port',
      'client: 1048576 bytes',
      'client: pong',
      'server: closed with 1000',
      'client: closed with 1000',
    ]);
    expect(child.exitCode).toBe(0);
  });
});
