import { fork } from 'node:child_process';
import { on, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { nothingLeft, whenOver } from '../../kit/index.ts';
import type { Report } from './end.ts';
import { Checksum, large } from './message.ts';

const KIB = 1024;
export const MIB: number = 1024 * KIB;
const END = fileURLToPath(new URL('end.ts', import.meta.url));

/** Starts an end and returns a function that waits for its next report. */
function start(
  way: 'read' | 'write',
  lengths: readonly number[],
  writeBufferSize: number,
  url = '',
): () => Promise<Report> {
  const child = fork(END, [way, String(lengths), String(writeBufferSize), url], {
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
    if (done) throw new Error(`the ${way} end exited with ${child.exitCode}`);
    return (value as [Report])[0];
  };
}

/** The checksum of a message as it arrives from another process. */
function checksumOf(length: number): Report['received'] {
  const checksum = new Checksum();
  for (const piece of large(length)) checksum.add(piece, piece.length);
  const { sum, wrong } = checksum;
  return { length, sum, wrong };
}

/** Sends a message of `length` bytes between two processes, after one of `warmUp` bytes. */
export function largeMessageSuite(title: string, warmUp: number, length: number): void {
  describe(title, () => {
    nothingLeft();
    const lengths = [warmUp, length];
    const most = Math.min(64 * MIB, length / 2);

    it.each([
      { from: 'client', to: 'server', writeBufferSize: 64 * KIB },
      { from: 'server', to: 'client', writeBufferSize: 64 * KIB },
      { from: 'client', to: 'server', writeBufferSize: 4 * KIB },
    ] as const)(
      `travels from a $from to a $to in fragments of $writeBufferSize bytes within ${most / MIB} MiB`,
      async ({ from, writeBufferSize }) => {
        const serving = start(from === 'server' ? 'write' : 'read', lengths, writeBufferSize);
        const { url } = await serving();
        const dialing = start(from === 'server' ? 'read' : 'write', lengths, writeBufferSize, url);
        const [writer, reader] = from === 'server' ? [serving, dialing] : [dialing, serving];
        for (const each of lengths) {
          const [written, read] = await Promise.all([writer(), reader()]);
          expect(read.received).toEqual(checksumOf(each));
          if (each === warmUp) continue;
          expect(written.grown!).toBeLessThan(most);
          expect(read.grown!).toBeLessThan(most);
        }
      },
      60_000,
    );
  });
}
