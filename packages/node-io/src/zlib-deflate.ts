import type { DeflateExtension, DeflateLimits, MessageDeflate } from '@ws/codec';
import { checkOptionNames, kind, whole } from '@ws/conn/internal';
import type { DeflateEngines, Deflater, Inflater } from '@ws/deflate';
import { deflateLimits, PerMessageDeflate, ZlibBackends } from './deflate/on-demand.ts';
import type { Engines } from './deflate/zlib-backends.ts';
import type { ZlibModule } from './deflate/zlib-handle.ts';
import { assertOption } from './http/app-values.ts';

/**
 * The engines that compress and inflate on this thread. `handle` calls the native handles of zlib's
 * streams, which are shared and cheap to reset. `sync` calls the synchronous functions of
 * `node:zlib`: it inflates whole messages, without context takeover.
 */
export type CompressionBackend = 'handle' | 'sync';

/** Options of {@link configureCompression}. An option that is left out keeps its value. */
export interface CompressionSettings {
  /**
   * Bytes that all connections together may hold for references to earlier messages. Above it, new
   * connections agree on no context takeover. `false` for no limit. Default: 64 MiB.
   */
  readonly memoryBudget?: number | false | undefined;
  /** Default: `auto`, the first of `handle` and `sync` of which a short test shows that it works. */
  readonly backend?: CompressionBackend | 'auto' | undefined;
}

const BACKENDS = ['auto', 'handle', 'sync'];

/**
 * The engines for permessage-deflate on Node, by the functions of `node:zlib` that work. A platform takes
 * {@link nodeDeflate}.
 */
export class ZlibDeflate implements DeflateEngines, MessageDeflate {
  readonly #module: ZlibModule | undefined;
  #made: ZlibBackends | undefined;
  generation = 0;
  #memoryBudget = 64 * 1024 * 1024;
  /** The setting. */
  #chosen: CompressionBackend | undefined;

  /** @param module - Default: `node:zlib`. */
  constructor(module?: ZlibModule) {
    this.#module = module;
  }

  get #backends(): ZlibBackends {
    this.#made ??= new ZlibBackends(this.#module);
    return this.#made;
  }

  get memoryBudget(): number {
    return this.#memoryBudget;
  }

  /** Undefined when none works. */
  get backend(): CompressionBackend | undefined {
    if (this.#chosen !== undefined) return this.#chosen;
    const { handle, sync } = this.#backends;
    if (handle.fault === null) return 'handle';
    return sync.fault === null ? 'sync' : undefined;
  }

  get inflates(): 'pieces' | 'messages' | 'nothing' {
    const { backend } = this;
    if (backend === 'handle') return 'pieces';
    return backend === 'sync' ? 'messages' : 'nothing';
  }

  configure(settings: CompressionSettings): void {
    check(settings);
    const { memoryBudget, backend } = settings;
    if (backend !== undefined) {
      if (backend !== 'auto' && this.#backends[backend].fault !== null) {
        throw new Error(`backend: '${backend}' does not work on this platform; use 'auto'`, {
          cause: this.#backends[backend].fault,
        });
      }
      this.#chosen = backend === 'auto' ? undefined : backend;
      this.generation++;
    }
    if (memoryBudget !== undefined)
      this.#memoryBudget = memoryBudget === false ? Infinity : memoryBudget;
  }

  limits(...end: Parameters<MessageDeflate['limits']>): DeflateLimits | string {
    return deflateLimits(this, ...end);
  }

  extension(...agreed: Parameters<MessageDeflate['extension']>): DeflateExtension {
    return new PerMessageDeflate(this, ...agreed);
  }

  inflater(): Inflater {
    return this.#engines.inflater();
  }

  deflater(level: number, windowBits: number): Deflater {
    return this.#engines.deflater(level, windowBits);
  }

  get #engines(): Engines {
    return this.#backends[this.backend ?? 'sync'].engines;
  }
}

function check(settings: CompressionSettings): void {
  checkOptionNames('configureCompression', settings, ['memoryBudget', 'backend'], 'reject');
  const { memoryBudget = false, backend = 'auto' } = settings;
  if (!BACKENDS.includes(backend)) {
    const got = typeof backend === 'string' ? backend : kind(backend);
    const cure = got === 'pure' ? "; 'sync' calls the functions of node:zlib" : '';
    throw new TypeError(`backend: expected one of ${BACKENDS.join(', ')}, got ${got}${cure}`);
  }
  if (memoryBudget === false) return;
  assertOption('memoryBudget', memoryBudget, typeof memoryBudget === 'number', 'a number or false');
  whole('memoryBudget', memoryBudget, 0);
}

/**
 * The deflate engines of `nodePlatform`, by `node:zlib` where it works.
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
 * @throws TypeError or RangeError that names the option. Error when `backend` does not work here.
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
 * backend was set. `'sync'` without a setting means that this test has failed, and undefined that
 * both have: no compression is offered. `@ws:compression:fail` has the reason.
 *
 * @example
 * ```ts
 * import { compressionBackend } from '@ws/node-io';
 *
 * console.log(compressionBackend()); // handle
 * ```
 */
export function compressionBackend(): CompressionBackend | undefined {
  return nodeDeflate.backend;
}
