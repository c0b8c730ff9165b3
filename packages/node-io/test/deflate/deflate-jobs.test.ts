import os from 'node:os';
import { constants, inflateRawSync } from 'node:zlib';
import type { DeflateJob } from '@ws/conn';
import { historyOf, inflateWith } from '@ws/tests';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type Compress, DeflateJobs } from '../../src/deflate/deflate-jobs.ts';
import { nodeDeflate } from '../../src/index.ts';

function job(bytes: Uint8Array, more: Partial<DeflateJob> = {}): DeflateJob {
  return { begin: () => bytes, level: 6, windowBits: 15, history: undefined, ...more };
}

function run(one: DeflateJob): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => void nodeDeflate.deflateLater(one, resolve));
}

/** Compresses on demand. */
class Waiting {
  readonly inputs: Uint8Array[] = [];
  readonly finish: ((error: Error | null) => void)[] = [];
  readonly compress: Compress = (input, _, callback) => {
    this.inputs.push(input);
    this.finish.push((error) => callback(error, Buffer.concat([input, Buffer.alloc(4)])));
  };
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
});

describe('DeflateJobs', () => {
  it('runs a few at a time, first in, first out', () => {
    const zlib = new Waiting();
    const jobs = new DeflateJobs(2, zlib.compress);
    const done: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      jobs.add(job(Buffer.from(name)), (output) => done.push(String(output)));
    }
    const started = (): string => zlib.inputs.map(String).join('');
    expect(started()).toBe('ab');
    zlib.finish[1]!(null);
    expect([started(), done.join('')]).toEqual(['abc', 'b']);
    zlib.finish[0]!(null);
    zlib.finish[2]!(null);
    zlib.finish[3]!(null);
    expect([started(), done.join('')]).toEqual(['abcd', 'bacd']);
  });

  it('reads the bytes of a message when a thread is free, once', () => {
    const zlib = new Waiting();
    const jobs = new DeflateJobs(1, zlib.compress);
    const begun: string[] = [];
    const cancels = ['a', 'b', 'c'].map((name) => {
      const bytes = Buffer.from(name);
      const begin = (): Uint8Array => {
        begun.push(name);
        return bytes;
      };
      return jobs.add(job(bytes, { begin }), () => {});
    });
    expect(begun).toEqual(['a']);
    cancels[1]!();
    zlib.finish[0]!(null);
    expect(begun).toEqual(['a', 'c']);
    zlib.finish[1]!(null);
    expect(begun).toEqual(['a', 'c']);
  });

  it('returns undefined, in a later turn, for a message that is detached or cannot be copied', async () => {
    const zlib = new Waiting();
    const jobs = new DeflateJobs(1, zlib.compress);
    const none = (): undefined => {};
    const fails = (): never => {
      throw new RangeError('no memory');
    };
    for (const begin of [none, fails]) {
      let within = true;
      const output = await new Promise((resolve) => {
        jobs.add(job(Buffer.from('x'), { begin }), (got) => resolve([within, got]));
        within = false;
      });
      expect(output).toEqual([false, undefined]);
    }
    expect(zlib.inputs).toHaveLength(0);
    jobs.add(job(Buffer.from('a')), () => {});
    expect(zlib.inputs.map(String)).toEqual(['a']);
  });

  it('never starts a cancelled job, and reports no result of a running one', () => {
    const zlib = new Waiting();
    const jobs = new DeflateJobs(1, zlib.compress);
    const done: string[] = [];
    const [a, b] = ['a', 'b', 'c'].map((name) =>
      jobs.add(job(Buffer.from(name)), (output) => done.push(String(output))),
    );
    a!();
    b!();
    b!();
    // The thread is still busy.
    expect(zlib.inputs).toHaveLength(1);
    zlib.finish[0]!(null);
    zlib.finish[1]!(null);
    a!();
    expect([zlib.inputs.map(String).join(''), done.join('')]).toEqual(['ac', 'c']);
  });

  it('returns undefined for a failed job, and continues', async () => {
    const zlib = new Waiting();
    let broken = false;
    const jobs = new DeflateJobs(1, (...args) => {
      if (broken) throw new Error('no memory');
      zlib.compress(...args);
    });
    const done: (Uint8Array | undefined)[] = [];
    jobs.add(job(Buffer.from('a')), (output) => done.push(output));
    zlib.finish[0]!(new Error('broken'));
    expect(done).toEqual([undefined]);
    broken = true;
    await new Promise<void>((resolve) => {
      jobs.add(job(Buffer.from('b')), (output) => {
        done.push(output);
        resolve();
      });
      expect(done).toHaveLength(1);
    });
    broken = false;
    jobs.add(job(Buffer.from('c')), (output) => done.push(output));
    zlib.finish[1]!(null);
    expect(done.map(String)).toEqual(['undefined', 'undefined', 'c']);
  });

  it('starts the next job after an exception in a callback', () => {
    const zlib = new Waiting();
    const jobs = new DeflateJobs(1, zlib.compress);
    jobs.add(job(Buffer.from('a')), () => {
      throw new Error('mine');
    });
    jobs.add(job(Buffer.from('b')), () => {});
    expect(() => zlib.finish[0]!(null)).toThrow('mine');
    expect(zlib.inputs.map(String)).toEqual(['a', 'b']);
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
