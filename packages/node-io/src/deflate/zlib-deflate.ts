import * as zlib from 'node:zlib';
import type { DeflateJob, Deflater, DeflateSource, Inflater } from '@ws/conn';
import { perMessageDeflate, pureDeflate } from '@ws/conn/pure-deflate';
import { publishCompressionFailure } from '../diagnostics.ts';
import { DeflateJobs } from './deflate-jobs.ts';
import { HandleDeflater } from './handle-deflater.ts';
import { HandleInflater } from './handle-inflater.ts';
import { selfTest } from './self-test.ts';
import type { ZlibStreams } from './zlib-handle.ts';

/**
 * The engines that compress and inflate on this thread. `handle` calls the native handles of zlib's
 * streams, which are shared and cheap to reset. `pure` is plain JavaScript, `@ws/conn/pure-deflate`.
 * With both, zlib's threads compress the messages above `asyncDeflateThreshold`.
 */
export type CompressionBackend = 'handle' | 'pure';

/** Options of {@link configureCompression}. An option that is left out keeps its value. */
export interface CompressionSettings {
  /**
   * Bytes that all connections together may hold for references to earlier messages. Above it, new
   * connections agree on no context takeover. `false` for no limit. Default: 64 MiB.
   */
  readonly memoryBudget?: number | false | undefined;
  /** Default: `auto`, which is `handle` when a short test shows that it works. */
  readonly backend?: CompressionBackend | 'auto' | undefined;
}

const SETTINGS = ['memoryBudget', 'backend'];
const BACKENDS = ['auto', 'handle', 'pure'];

/** Creates engines. */
type Engines = Pick<DeflateSource, 'inflater' | 'deflater'>;

/** The engines for permessage-deflate on Node: those of `node:zlib` where they work. */
export class ZlibDeflate implements DeflateSource {
  readonly extension: DeflateSource['extension'] = perMessageDeflate;
  readonly #handle: Engines;
  readonly #jobs: DeflateJobs = new DeflateJobs();
  generation = 0;
  #memoryBudget = 64 * 1024 * 1024;
  /** Undefined until the first read of `backend`. */
  #backend: CompressionBackend | undefined;
  /** The reason why `handle` does not work. Null when it works, undefined before the test. */
  #fault: unknown;

  /** @param streams - Default: those of `node:zlib`. */
  constructor(streams: ZlibStreams = zlib) {
    this.#handle = {
      inflater: () => new HandleInflater(streams),
      deflater: (level, windowBits) => new HandleDeflater(streams, level, windowBits),
    };
  }

  get memoryBudget(): number {
    return this.#memoryBudget;
  }

  get backend(): CompressionBackend {
    return (this.#backend ??= this.#handleFault() === null ? 'handle' : 'pure');
  }

  configure(settings: CompressionSettings): void {
    check(settings);
    const { memoryBudget, backend } = settings;
    if (backend === 'handle' && this.#handleFault() !== null) {
      throw new Error(`backend: 'handle' does not work on this platform; use 'pure'`, {
        cause: this.#handleFault(),
      });
    }
    if (backend !== undefined) {
      this.#backend = backend === 'auto' ? undefined : backend;
      this.generation++;
    }
    if (memoryBudget !== undefined)
      this.#memoryBudget = memoryBudget === false ? Infinity : memoryBudget;
  }

  inflater(): Inflater {
    return this.#engines.inflater();
  }

  deflater(level: number, windowBits: number): Deflater {
    return this.#engines.deflater(level, windowBits);
  }

  deflateLater(job: DeflateJob, done: (output: Uint8Array | undefined) => void): () => void {
    return this.#jobs.add(job, done);
  }

  get #engines(): Engines {
    return this.backend === 'handle' ? this.#handle : pureDeflate;
  }

  #handleFault(): unknown {
    if (this.#fault === undefined) {
      try {
        selfTest(this.#handle);
        this.#fault = null;
      } catch (error) {
        this.#fault = error ?? new Error('the self-test threw undefined');
        publishCompressionFailure(this.#fault);
      }
    }
    return this.#fault;
  }
}

function check(settings: CompressionSettings): void {
  if (typeof settings !== 'object' || settings === null) {
    throw new TypeError(
      `configureCompression: expected an object of options, got ${nameOf(settings)}`,
    );
  }
  for (const key of Object.keys(settings)) {
    if (SETTINGS.includes(key)) continue;
    throw new TypeError(
      `configureCompression: unknown option ${key}; there are ${SETTINGS.join(', ')}`,
    );
  }
  const { memoryBudget, backend } = settings;
  if (backend !== undefined && !BACKENDS.includes(backend)) {
    const got = typeof backend === 'string' ? backend : nameOf(backend);
    throw new TypeError(`backend: expected one of ${BACKENDS.join(', ')}, got ${got}`);
  }
  if (memoryBudget === undefined || memoryBudget === false) return;
  if (typeof memoryBudget !== 'number') {
    throw new TypeError(`memoryBudget: expected a number or false, got ${nameOf(memoryBudget)}`);
  }
  if (Number.isSafeInteger(memoryBudget) && memoryBudget >= 0) return;
  throw new RangeError(
    `memoryBudget: expected a whole number of 0 or more, or false, got ${memoryBudget}`,
  );
}

function nameOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}

/**
 * The deflate engines of `nodePlatform`: those of `node:zlib` where they work.
 *
 * @example
 * ```ts
 * import { portablePlatform } from '@ws/conn';
 * import { nodeDeflate } from '@ws/node-io';
 *
 * const platform = { ...portablePlatform, deflate: nodeDeflate };
 * ```
 */
export const nodeDeflate: ZlibDeflate = /* @__PURE__ */ new ZlibDeflate();

/**
 * Sets how this thread compresses. Current messages keep the old settings, later ones use the new
 * settings.
 *
 * @throws TypeError or RangeError that names the option. Error when `backend` is `handle` and does
 *   not work here.
 *
 * @example
 * ```ts
 * import { configureCompression } from '@ws/node-io';
 *
 * configureCompression({ memoryBudget: 256 * 1024 * 1024 });
 * ```
 */
export function configureCompression(settings: CompressionSettings): void {
  nodeDeflate.configure(settings);
}

/**
 * Returns the engines of this thread. The first call tests whether the handle works, unless a
 * backend was set. `'pure'` without a setting means that the test has failed:
 * `@ws:compression:fail` has the reason.
 *
 * @example
 * ```ts
 * import { compressionBackend } from '@ws/node-io';
 *
 * console.log(compressionBackend()); // handle, or pure
 * ```
 */
export function compressionBackend(): CompressionBackend {
  return nodeDeflate.backend;
}
