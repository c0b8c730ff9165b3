import * as zlib from 'node:zlib';
import { publishCompressionFailure } from '../diagnostics.ts';
import { DeflateJobs } from './deflate-jobs.ts';
import { HandleDeflater } from './handle-deflater.ts';
import { HandleInflater } from './handle-inflater.ts';
import { type Engines, selfTest } from './self-test.ts';
import { SyncDeflater } from './sync-deflater.ts';
import { SyncInflater } from './sync-inflater.ts';
import type { ZlibModule } from './zlib-handle.ts';

/** The engines of one backend, and the result of their test. */
class Backend {
  readonly engines: Engines;
  /** The reason why they do not work. Null when they work, undefined before the test. */
  #fault: unknown;

  constructor(engines: Engines) {
    this.engines = engines;
  }

  get fault(): unknown {
    if (this.#fault === undefined) {
      try {
        selfTest(this.engines);
        this.#fault = null;
      } catch (error) {
        this.#fault = error ?? new Error('the self-test threw undefined');
        publishCompressionFailure(this.#fault);
      }
    }
    return this.#fault;
  }
}

/** Both backends, and the jobs for zlib's threads. */
export class ZlibBackends {
  readonly handle: Backend;
  readonly sync: Backend;
  readonly jobs: DeflateJobs = new DeflateJobs();

  constructor(module: ZlibModule = zlib) {
    this.handle = new Backend({
      inflater: () => new HandleInflater(module),
      deflater: (level, windowBits) => new HandleDeflater(module, level, windowBits),
    });
    this.sync = new Backend({
      inflater: () => new SyncInflater(module),
      deflater: (level, windowBits) => new SyncDeflater(module, level, windowBits),
    });
  }
}
