import os from 'node:os';
import { constants, inflateRawSync } from 'node:zlib';
import type { DeflateJob } from '@ws/deflate';
import { historyOf, inflateWith } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { DeflateJobs } from '../../src/deflate/deflate-jobs.ts';
import { nodeDeflate } from '../../src/index.ts';

function job(bytes: Uint8Array, more: Partial<DeflateJob> = {}): DeflateJob {
  return { begin: () => bytes, level: 6, windowBits: 15, history: undefined, ...more };
}

function run(one: DeflateJob): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => void nodeDeflate.deflateLater(one, resolve));
}

describe('nodeDeflate.deflateLater', () => {
  it('returns a message as it is sent, at every level and in every window', async () => {
    const plain = Buffer.from('some text, some more text. '.repeat(10_000));
    for (const level of [-2, -1, 0, 1, 6, 9]) {
      for (const windowBits of [8, 9, 15]) {
        const output = await run(job(plain, { level, windowBits }));
        const inflater = nodeDeflate.inflater();
        inflater.reset(undefined);
        expect(inflateWith(inflater, output!).plain.equals(plain)).toBe(true);
        inflater.close();
        if (level > 0) expect(output!.length).toBeLessThan(plain.length / 10);
      }
    }
  });

  it('refers back to the history at the time of the call', async () => {
    const history = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * i * 31) >> 3));
    const plain = Buffer.from(history.subarray(1000));
    const live = Buffer.from(history);
    const pending = run(job(plain, { history: historyOf(live) }));
    live.fill(0);
    const output = await pending;
    expect(output!.length).toBeLessThan(400);
    const options = { dictionary: history, finishFlush: constants.Z_SYNC_FLUSH };
    expect(inflateRawSync(output!, options).equals(plain)).toBe(true);
  });

  it('compresses an empty message to an empty block', async () => {
    expect([...(await run(job(new Uint8Array(0))))!]).toEqual([0]);
  });

  it('calls back in a later turn, also when no engine is available', async () => {
    let called = false;
    const done = new Promise<Uint8Array | undefined>((resolve) => {
      nodeDeflate.deflateLater(job(Buffer.from('x'), { level: 77 }), (output) => {
        called = true;
        resolve(output);
      });
    });
    expect(called).toBe(false);
    expect(await done).toBeUndefined();
    expect(await run(job(Buffer.from('x')))).toBeInstanceOf(Uint8Array);
  });

  it('never runs a job that is cancelled while it waits, nor calls its function', async () => {
    const jobs = new DeflateJobs();
    const plain = Buffer.alloc(100_000, 'x');
    let begun = 0;
    const begin = (): Uint8Array => {
      begun++;
      return plain;
    };
    const done: number[] = [];
    const cancels: (() => void)[] = [];
    await new Promise<void>((resolve) => {
      for (let i = 0; i < 50; i++) {
        cancels.push(
          jobs.add(job(plain, { begin }), () => {
            done.push(i);
            if (i === 48) resolve();
          }),
        );
      }
      cancels[49]!();
    });
    expect(begun).toBe(49);
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 49 }, (_, i) => i));
  });
});

describe('new DeflateJobs', () => {
  it('works on a Node that is named as too old when its package has loaded', () => {
    const { availableParallelism } = os;
    // Node 16 has no such function.
    os.availableParallelism = undefined as never;
    onTestFinished(() => void (os.availableParallelism = availableParallelism));
    expect(() => new DeflateJobs()).not.toThrow();
  });
});
