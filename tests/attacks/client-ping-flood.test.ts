import { execFile } from 'node:child_process';
import { text as textOf } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';
import type { ClientFlood } from './client-ping-flood.ts';
import { atLeast, atMost, claim, MIB, survives } from './harness/index.ts';

const PROGRAM = fileURLToPath(new URL('client-ping-flood.ts', import.meta.url));

/** Runs the flood in a process of its own, whose resident memory nothing else changes. */
async function floodOf(mode: 'reads' | 'unread', pings: number): Promise<ClientFlood> {
  const loader = ['--conditions=@ws/source', '--import', 'tsx'];
  const child = execFile(process.execPath, [...loader, PROGRAM, mode, `${pings}`]);
  return JSON.parse(await textOf(child.stdout!)) as ClientFlood;
}

describe('a client that gets a flood of pings from 14 servers that read no pong', () => {
  it('stays below 200 MiB while it reads', async () => {
    const attack = claim('a flood of pings from 14 servers that read no pong', 'CWE-770');
    const bound = {
      pings: atLeast(300_000),
      growth: atMost(200 * MIB),
      open: 14,
      memory: 4 * MIB,
      rounds: 1,
    };
    await survives(attack, bound, async () => ({ ...(await floodOf('reads', 300_000)) }));
  });

  it('stays below 200 MiB while it does not read', async () => {
    const attack = claim('the same to clients that do not read', 'CWE-770');
    const bound = { growth: atMost(200 * MIB), open: 14, memory: 4 * MIB, rounds: 1 };
    await survives(attack, bound, async () => ({ ...(await floodOf('unread', 300_000)) }));
  });
});
