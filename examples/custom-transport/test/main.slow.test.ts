import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { LOADER } from '@ws/tests/loader';
import { describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../main.ts', import.meta.url));

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [...LOADER, main, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe('examples/custom-transport', () => {
  it.each(['endpoint', 'frames'])('has a command for the program %s', async (program) => {
    const server = start(program, 'server', '0');
    const [line] = (await once(server.stdout!, 'data')) as [Buffer];
    const { port } = JSON.parse(line.toString()) as { port: number };
    const client = start(program, 'client', String(port), 'hello, port');
    const [output] = await Promise.all([text(client.stdout!), once(client, 'exit')]);
    expect(output).toBe('hello, port\n1000\n');
    expect(client.exitCode).toBe(0);
    server.kill();
    await once(server, 'exit');
  });
});
