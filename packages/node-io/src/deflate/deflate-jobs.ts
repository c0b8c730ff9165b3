// A Node without this function has to load the package: then it is named as too old.
import os from 'node:os';
import { constants, deflateRaw } from 'node:zlib';
import { Fifo } from '@ws/conn/internal';
import type { DeflateJob } from '@ws/deflate';
import { inRootContext, nextTick } from '../async-contexts.ts';
import { deflateSettings, TAIL } from './settings.ts';

/** Largest piece of output, in bytes. zlib takes a turn of the event loop for each piece. */
const MAX_PIECE = 256 * 1024;
const MIN_PIECE = 4096;

/** A waiting or running job and its callback; undefined after a cancellation. */
interface Entry {
  readonly dictionary: Uint8Array | undefined;
  readonly job: DeflateJob;
  done: ((output: Uint8Array | undefined) => void) | undefined;
}

/** Compresses one message, as `deflateRaw` of `node:zlib` does. */
export type Compress = (
  input: Uint8Array,
  options: object,
  callback: (error: Error | null, output: Uint8Array) => void,
) => void;

/**
 * Messages that are compressed on libuv's threads, a few at a time. Each running job holds memory,
 * and other work needs the threads too. The bound is for each JavaScript thread, libuv's pool is
 * for the process: eight workers together run eight times as many jobs, four at once with libuv's
 * default pool. A bound for the process would need shared memory and a wake-up between threads.
 */
export class DeflateJobs {
  readonly #compress: Compress;
  /** Undefined until the first job. */
  #most: number | undefined;
  readonly #waiting = new Fifo<Entry>();
  #running = 0;

  /** @param most - Jobs at once. Default: one less than the processors, from 1 to 4. */
  constructor(most?: number, compress: Compress = deflateRaw) {
    this.#most = most;
    this.#compress = compress;
  }

  /** @see `DeflateEngines.deflateLater` */
  add(job: DeflateJob, done: (output: Uint8Array | undefined) => void): () => void {
    const entry: Entry = {
      // Copied: the history changes before the job runs.
      dictionary: dictionaryOf(job.history),
      job,
      done,
    };
    const waiting = this.#waiting.add(entry);
    this.#startWaiting();
    return () => {
      entry.done = undefined;
      this.#waiting.remove(waiting);
    };
  }

  #startWaiting(): void {
    const most = (this.#most ??= Math.max(1, Math.min(4, os.availableParallelism() - 1)));
    while (this.#running < most) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#running++;
      this.#run(entry);
    }
  }

  #run(entry: Entry): void {
    const { dictionary, job } = entry;
    try {
      const bytes = job.begin();
      if (bytes === undefined) throw new TypeError('the message was cancelled');
      const options = {
        ...deflateSettings(job.level, job.windowBits),
        ...(dictionary === undefined ? undefined : { dictionary }),
        finishFlush: constants.Z_SYNC_FLUSH,
        chunkSize: Math.max(MIN_PIECE, Math.min(bytes.length, MAX_PIECE)),
      };
      inRootContext(this.#compress, bytes, options, (error, output) => {
        this.#done(entry, error === null ? output.subarray(0, -TAIL.length) : undefined);
      });
    } catch {
      // `begin` returned no bytes or threw, or zlib failed to allocate.
      inRootContext(nextTick, () => this.#done(entry, undefined));
    }
  }

  #done(entry: Entry, output: Uint8Array | undefined): void {
    this.#running--;
    // First, so that an exception in `done` delays no other job.
    this.#startWaiting();
    entry.done?.(output);
  }
}

function dictionaryOf(history: DeflateJob['history']): Uint8Array | undefined {
  if (history === undefined || history.length === 0) return undefined;
  const copy = new Uint8Array(history.length);
  history.copyTo(copy, 0);
  return copy;
}
