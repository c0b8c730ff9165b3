import { EventEmitter, getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { Conn } from '@ws/conn';
import { historyBytesOf } from '@ws/deflate/internal';
import { nodeDeflate } from '@ws/node-io';
import { turn } from '../kit/fake-platform.ts';
import { collectGarbage } from '../kit/heap.ts';

/** Memory of a process in bytes after a garbage collection. */
export interface Memory {
  readonly rss: number;
  readonly heap: number;
  /** Includes array buffers. */
  readonly external: number;
}

/** Resources that can be counted at any time. */
interface Handles {
  /** Sockets and servers of the event loop. */
  readonly handles: number;
  /** File descriptors; 0 except on Linux. */
  readonly files: number;
  /** Slabs and message buffers taken from the shared pools. */
  readonly lent: number;
  /** Bytes of compression history of all connections. */
  readonly history: number;
}

/** Resources that a process should have released. */
export interface Leftovers extends Handles {
  /** Reachable `Conn` objects. */
  readonly conns: number;
  /** Reachable sockets of node:net and node:tls. */
  readonly sockets: number;
  /** Reachable timers, Node's own included. */
  readonly timers: number;
  /** Reachable `AbortSignal` objects. */
  readonly signals: number;
  /** Listeners of the process, of HTTP servers and of permanent signals. */
  readonly listeners: number;
}

/** The state of a process without clients. */
export interface Snapshot {
  readonly memory: Memory;
  readonly left: Leftovers;
  /** Free bytes in the shared pools. */
  readonly pooled: number;
  /** Uncaught exceptions and unhandled rejections so far. */
  readonly uncaught: readonly string[];
  /** Node's warnings so far. */
  readonly warnings: readonly string[];
}

/** Full texts kept of each kind of error. */
const TEXTS = 20;
const TURNS = 50;
/** Longest wait for late releases in ms. */
const LONGEST_WAIT = 10_000;

const { constructor: Timeout } = setTimeout(() => {}, 0);

/** Measures its own process; create it first. */
export class ProcessMonitor {
  readonly #uncaught: string[] = [];
  readonly #warnings: string[] = [];
  readonly #emitters = new Set<EventEmitter>([process]);
  readonly #signals = new Set<AbortSignal>();

  constructor() {
    const keep = (texts: string[], kind: string) => (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      texts.push(texts.length < TEXTS ? `${kind}: ${text}` : kind);
    };
    process.on('uncaughtException', keep(this.#uncaught, 'uncaught'));
    process.on('unhandledRejection', keep(this.#uncaught, 'unhandled'));
    const warned = keep(this.#warnings, 'warning');
    process.on('warning', (warning) => {
      // `queryObjects` emits one.
      if (warning.name !== 'ExperimentalWarning') warned(warning);
    });
  }

  /** Adds a permanent object to the count of listeners. */
  watch(lasting: EventEmitter | AbortSignal): void {
    if (lasting instanceof EventEmitter) this.#emitters.add(lasting);
    else this.#signals.add(lasting);
  }

  /**
   * Waits for pending releases and measures.
   *
   * @param before - An earlier snapshot: waits some seconds until handles are back to its counts.
   */
  async snapshot(before?: Snapshot): Promise<Snapshot> {
    await this.#wait(before);
    await this.#settle();
    return {
      memory: memory(),
      left: {
        ...this.#handles(),
        conns: queryObjects(Conn, { format: 'count' }),
        sockets: queryObjects(Socket, { format: 'count' }),
        timers: queryObjects(Timeout, { format: 'count' }),
        signals: queryObjects(AbortSignal, { format: 'count' }),
        listeners: this.#listeners(),
      },
      pooled: sharedSlabPool().freeBytes + sharedMessageBuffers().freeBytes,
      uncaught: this.#uncaught,
      warnings: this.#warnings,
    };
  }

  /** A separate function, so its timer is collected before the count. */
  async #wait(before: Snapshot | undefined): Promise<void> {
    await this.#settle();
    const until = performance.now() + LONGEST_WAIT;
    while (before !== undefined && this.#isMore(before.left) && performance.now() < until) {
      await wait(200);
      await this.#settle();
    }
  }

  /** Repeats: a collected file or socket releases more objects. */
  async #settle(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      for (let j = 0; j < TURNS; j++) await turn();
      collectGarbage();
    }
  }

  #handles(): Handles {
    const resources = process.getActiveResourcesInfo();
    return {
      handles: resources.filter((name) => name.startsWith('TCP')).length,
      files: openDescriptors(),
      lent: sharedSlabPool().lent + sharedMessageBuffers().lent,
      history: historyBytesOf(nodeDeflate),
    };
  }

  #isMore(before: Leftovers): boolean {
    return Object.entries(this.#handles()).some(([name, n]) => n > before[name as keyof Handles]);
  }

  #listeners(): number {
    let count = 0;
    for (const emitter of this.#emitters) {
      for (const name of emitter.eventNames()) count += emitter.listenerCount(name);
    }
    for (const signal of this.#signals) count += getEventListeners(signal, 'abort').length;
    return count;
  }
}

/** Collects garbage and measures. */
export function memory(): Memory {
  collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rss, heap: heapUsed, external };
}

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}
