import {
  MaskKeys,
  MessageDecoder,
  OWNED,
  type Role,
  type SlabSource,
  sharedSlabPool,
} from '@ws/codec';
import { type FrameCoding, FrameSlab, LARGEST_SLAB, Pool } from '@ws/codec/internal';
import { type BufferPool, slabsOf, threadSlab } from '../memory/write-memory.ts';
import type { Settings } from '../options/conn-options.ts';
import { type Platform, perPlatform } from '../platform/platform.ts';
import { reportError } from '../report/report.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TaskQueue } from '../scheduler/task-queue.ts';
import type { Timers } from '../scheduler/timers.ts';

/** Bound of the free decoders. A connection leases a decoder only while it has unparsed input. */
const MAX_FREE_DECODERS = 64;

/**
 * From this many bytes on, frames may wait in their slab, or in a slow transport as a view of the slab.
 * Fewer bytes are copied, because they would keep a whole slab in memory that no bound counts.
 */
export const LEND_FROM: number = (LARGEST_SLAB / 8) * 7;

/**
 * Bound of the frames of one connection that are parsed in one turn of the event loop. This many frames
 * take less than 1 ms, even if a reader streams fragments of one byte.
 */
export const FRAMES_PER_TURN = 1_000;

/**
 * The state that all connections with the same role and platform share. Its pools lend memory to busy
 * connections. An idle connection has no such memory.
 */
export class ConnShared {
  readonly role: Role;
  readonly platform: Platform;
  readonly timers: Timers;
  readonly endOfTurn: TaskQueue;
  readonly laterTurn: TaskQueue;
  readonly decoders: Pool<MessageDecoder> = new Pool(MAX_FREE_DECODERS);
  /** How frames are encoded: a client masks them. */
  readonly coding: FrameCoding;
  /** The write memory of connections without a `writeBufferPool`. */
  readonly #memory: WriteMemory = { slabs: sharedSlabPool(), slab: threadSlab() };
  /** For each `writeBufferPool` and `report`: the memory of the latest `writeBufferSize`. */
  readonly #poolMemory = new WeakMap<BufferPool, WeakMap<object, PoolMemory>>();

  constructor(role: Role, platform: Platform) {
    this.role = role;
    this.platform = platform;
    const { endOfTurn, laterTurn, timers } = schedulerOf(platform);
    this.timers = timers;
    this.endOfTurn = endOfTurn;
    this.laterTurn = laterTurn;
    const keys = new MaskKeys((words) => platform.randomFill(words));
    this.coding = {
      masks: role === 'client',
      nextKey: () => keys.next(),
      writeUtf8: (into, at, text) => platform.writeUtf8(into, at, text),
      lendFrom: LEND_FROM,
    };
  }

  writeMemory({ report, writing }: Settings): WriteMemory {
    const { writeBufferPool: pool, writeBufferSize: size } = writing;
    if (pool === undefined) return this.#memory;
    const byReport = this.#poolMemory.get(pool) ?? new WeakMap<object, PoolMemory>();
    const key = report ?? this;
    const latest = byReport.get(key);
    if (latest?.size === size) return latest;
    const slabs = slabsOf(pool, size, (error) => {
      reportError(report, this.platform, error, { where: 'writeBufferPool' });
    });
    const memory = { size, slabs, slab: new FrameSlab(slabs, size, false) };
    this.#poolMemory.set(pool, byReport.set(key, memory));
    return memory;
  }

  createDecoder(): MessageDecoder {
    const { role, platform } = this;
    const isUtf8 = platform.isUtf8 && ((bytes: Uint8Array) => platform.isUtf8!(bytes));
    return new MessageDecoder({ role, isUtf8, memory: OWNED });
  }
}

type WriteMemory = {
  /** Lends the write buffer of a MessageWriter. */
  readonly slabs: SlabSource;
  readonly slab: FrameSlab;
};

/** The memory of a `writeBufferPool`. `size` is the `writeBufferSize`. */
type PoolMemory = WriteMemory & { readonly size: number };

export const sharedOf: { readonly [R in Role]: (platform: Platform) => ConnShared } = {
  server: /* @__PURE__ */ perPlatform((platform) => new ConnShared('server', platform)),
  client: /* @__PURE__ */ perPlatform((platform) => new ConnShared('client', platform)),
};
