import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../../src/peers/index.ts';
import type { Told } from './gibibyte/end.ts';
import { large, type Tally, Tallying } from './gibibyte/message.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;
/** The first message warms both processes up. */
const LENGTHS = [128 * MIB, GIB];
const END = fileURLToPath(new URL('gibibyte/end.ts', import.meta.url));

/** Starts an end, and gives what it says from now on. */
function start(way: 'read' | 'write', writeBufferSize: number, url = ''): () => Promise<Told> {
  const child = fork(END, [way, String(LENGTHS), String(writeBufferSize), url], {
    execArgv: ['--conditions=@ws/source', '--import', 'tsx'],
  });
  whenOver(async () => {
    if (child.exitCode !== null) return;
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  });
  const messages = on(child, 'message', { close: ['exit'] });
  return async () => {
    const { done, value } = await messages.next();
    if (done) throw new Error(`the end that should ${way} has ended with ${child.exitCode}`);
    return (value as [Told])[0];
  };
}

/** What is read of a message of `length` bytes, as it comes from another process. */
function tallyOf(length: number): Tally {
  const tally = new Tallying();
  for (const piece of large(length)) tally.add(piece, piece.length);
  const { sum, wrong } = tally;
  return { length, sum, wrong };
}

describe('a message of 1 GiB', () => {
  nothingLeft();
  const tallies = LENGTHS.map(tallyOf);

  it.each([
    { from: 'client', to: 'server', writeBufferSize: 64 * 1024 },
    { from: 'server', to: 'client', writeBufferSize: 64 * 1024 },
    { from: 'client', to: 'server', writeBufferSize: 4 * 1024 },
  ] as const)(
    'goes from a $from to a $to in fragments of $writeBufferSize bytes, and neither grows by 64 MiB',
    async ({ from, writeBufferSize }) => {
      const serving = start(from === 'server' ? 'write' : 'read', writeBufferSize);
      const { url } = await serving();
      const dialing = start(from === 'server' ? 'read' : 'write', writeBufferSize, url);
      const [writer, reader] = from === 'server' ? [serving, dialing] : [dialing, serving];
      for (const [i, length] of LENGTHS.entries()) {
        const [written, read] = await Promise.all([writer(), reader()]);
        expect(read.tally).toEqual(tallies[i]);
        if (length !== GIB) continue;
        expect(written.grown!).toBeLessThan(64 * MIB);
        expect(read.grown!).toBeLessThan(64 * MIB);
      }
    },
    60_000,
  );
});
