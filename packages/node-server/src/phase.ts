import { channel } from 'node:diagnostics_channel';
import process from 'node:process';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import type { Pace } from './policies/pace.ts';

/**
 * What a server does: it serves (`'ready'`); it serves, and is late (`'busy'`); it still serves, and will
 * close (`'draining'`); it refuses new requests (`'closed'`).
 */
export type ServerPhase = 'ready' | 'busy' | 'draining' | 'closed';

/** A message of the channel `@ws:phase` of `node:diagnostics_channel`. */
export interface PhaseChange {
  readonly phase: ServerPhase;
  /** The server, an Upgrader or a RawUpgrader. */
  readonly server: object;
}

/** A turn of the event loop is late when a look is late by that many ms. */
const LATE_MS = 200;
/** Ms between two late turns of a busy server. */
const SECOND = 1_000;
/** Ms without a late turn and without a handshake that waits, after which a server is ready again. */
const CALM_MS = 5_000;
/**
 * Ms between two looks. No `monitorEventLoopDelay`: each of its resets hides the next turn, so a server all
 * of whose turns are late would seem ready.
 */
const LOOK_MS = 50;

const phases = channel('@ws:phase');

/** Knows the phase of one server. It looks from the first connection to the last. */
export class Phase implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  /** For the channel. */
  server: object = this;
  readonly #connections: ReadonlySet<object>;
  readonly #paces: readonly Pace[];
  #ends: 'draining' | 'closed' | undefined;
  /** When the next look is due, by `performance.now()`. */
  #dueAt = 0;
  /** When the last late turn was seen, by `performance.now()`. */
  #lateAt = -Infinity;
  #busyUntil = -Infinity;
  #told: ServerPhase = 'ready';

  /** @param paces - More may be added later. */
  constructor(connections: ReadonlySet<object>, paces: readonly Pace[]) {
    this.#connections = connections;
    this.#paces = paces;
  }

  get now(): ServerPhase {
    if (this.#ends !== undefined) return this.#ends;
    // `runCluster` of @ws/hub/cluster sets it.
    if (process.env[`WS_DRAINING_${process.pid}`] !== undefined) return 'draining';
    const now = performance.now();
    const waits = this.#paces.some(
      ({ waiting, waitedAt }) => waiting > 0 || now < waitedAt + CALM_MS,
    );
    return waits || now < this.#busyUntil ? 'busy' : 'ready';
  }

  /** There is a connection, or a handshake that waits. */
  watch(): void {
    if (this.slot === undefined) this.#lookAfter(performance.now());
  }

  /** A connection has ended. After the last one there are no looks, unless the server is busy. */
  rest(): void {
    if (this.#connections.size > 0 || this.now === 'busy') return;
    schedulerOf(nodePlatform).timers.clear(this);
  }

  /** The server closes: now, or after it has served for a while. */
  become(phase: 'draining' | 'closed'): void {
    this.#ends = phase;
    this.#tell();
  }

  fire(): void {
    const now = performance.now();
    if (now - this.#dueAt >= LATE_MS) {
      if (now - this.#lateAt <= SECOND) this.#busyUntil = now + CALM_MS;
      this.#lateAt = now;
    }
    this.#tell();
    this.#lookAfter(now);
    this.rest();
  }

  #lookAfter(now: number): void {
    this.#dueAt = now + LOOK_MS;
    schedulerOf(nodePlatform).timers.set(this, LOOK_MS);
  }

  #tell(): void {
    const phase = this.now;
    if (phase === this.#told) return;
    this.#told = phase;
    phases.publish({ phase, server: this.server } satisfies PhaseChange);
  }
}
