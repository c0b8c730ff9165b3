import {
  DELIVERED,
  MessageDecoder,
  type PayloadUse,
  type Role,
  type SlabSource,
  sharedSlabPool,
} from '@ws/codec';
import { type FrameCoding, FrameSlab, Pool } from '@ws/codec/internal';
import { HeartbeatMonitor } from '../control/heartbeat.ts';
import { slabsOf, threadSlab } from '../memory/write-memory.ts';
import type { Settings } from '../options/conn-options.ts';
import { type Platform, perPlatform, platformFunctions } from '../platform/platform.ts';
import { reportError } from '../report/report.ts';
import { schedulerOf } from '../scheduler/scheduler.ts';
import type { TaskQueue } from '../scheduler/task-queue.ts';
import type { Timers } from '../scheduler/timers.ts';
import type { Connection } from './connection.ts';

/**
 * Most free decoders kept for the connections of one {@link ConnShared}. A connection has a decoder
 * only while it has unparsed input.
 */
const MAX_FREE = 64;

/**
 * Frames of one connection that are parsed in one turn of the event loop: less than 1 ms, if the
 * reader streams fragments of one byte.
 */
export const FRAMES_PER_TURN = 1_000;

/**
 * Shared by connections with the same role, platform and settings. It has the pools from which a connection acquires
 * memory for its work; the connection releases that memory when it is idle.
 */
export class ConnShared {
  readonly role: Role;
  readonly platform: Platform;
  readonly settings: Settings;
  readonly timers: Timers;
  readonly endOfTurn: TaskQueue;
  readonly laterTurn: TaskQueue;
  readonly heartbeat: HeartbeatMonitor | undefined;
  readonly decoders: Pool<MessageDecoder> = new Pool(MAX_FREE);
  /** Lends the write buffer of a MessageWriter. */
  readonly slabs: SlabSource;
  readonly slab: FrameSlab;
  /** How frames are encoded: those of a client are masked. */
  readonly coding: FrameCoding;

  constructor(role: Role, platform: Platform, settings: Settings) {
    const { heartbeat, writeBufferPool, writeBufferSize } = settings;
    this.role = role;
    this.platform = platform;
    this.settings = settings;
    const { endOfTurn, laterTurn, timers } = schedulerOf(platform);
    this.timers = timers;
    this.endOfTurn = endOfTurn;
    this.laterTurn = laterTurn;
    this.heartbeat = heartbeat === false ? undefined : new HeartbeatMonitor(this.timers, heartbeat);
    const { nextKey, writeUtf8 } = platformFunctions(platform);
    this.coding = { masks: role === 'client', nextKey, writeUtf8 };
    if (writeBufferPool === undefined) {
      this.slabs = sharedSlabPool();
      this.slab = threadSlab();
    } else {
      this.slabs = slabsOf(writeBufferPool, writeBufferSize, (error) => {
        reportError(settings.report, platform, error, { where: 'writeBufferPool' });
      });
      this.slab = new FrameSlab(this.slabs, writeBufferSize, false);
    }
  }

  /** Leases a decoder for the input of `connection`. */
  acquireDecoder(connection: Connection, use: PayloadUse): MessageDecoder {
    const { inbound, extension, rare, framesIn } = connection;
    const decoder = this.decoders.acquire() ?? this.#createDecoder();
    decoder.attach(connection, rare?.readLimit ?? this.settings.readLimit, extension, inbound);
    if (use !== DELIVERED) decoder.setPayloadUse(use);
    decoder.stopAt = framesIn + FRAMES_PER_TURN;
    return decoder;
  }

  /** Ends the lease of a decoder that is idle. */
  releaseDecoder(decoder: MessageDecoder): void {
    decoder.detach();
    this.decoders.release(decoder);
  }

  #createDecoder(): MessageDecoder {
    const { isUtf8 } = platformFunctions(this.platform);
    return new MessageDecoder({ role: this.role, isUtf8 });
  }
}

const sharedOf: (platform: Platform) => WeakMap<Settings, ConnShared> = /* @__PURE__ */ perPlatform(
  () => new WeakMap<Settings, ConnShared>(),
);

/**
 * Returns the {@link ConnShared} of this platform and these settings. The role is no key: each
 * settings object is used in one role only.
 */
export function sharedFor(role: Role, platform: Platform, settings: Settings): ConnShared {
  const ofPlatform = sharedOf(platform);
  let shared = ofPlatform.get(settings);
  if (shared === undefined) {
    shared = new ConnShared(role, platform, settings);
    ofPlatform.set(settings, shared);
  }
  return shared;
}
