import { EventEmitter, getEventListeners } from 'node:events';
import { readdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as wait } from 'node:timers/promises';
import { queryObjects } from 'node:v8';
import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { Conn, historyBytesOf } from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { turn } from '../fake-host.ts';
import { collectGarbage } from '../heap.ts';

/** What a process takes, in bytes, once all garbage is collected. */
interface Memory {
  readonly rss: number;
  readonly heap: number;
  /** Array buffers are in it. */
  readonly external: number;
  readonly arrayBuffers: number;
}

/** What can be counted at any time. */
interface Handles {
  /** Sockets and servers that the event loop waits for. */
  readonly handles: number;
  /** File descriptors; 0 where the system does not tell. */
  readonly files: number;
  /** Slabs and message buffers that the shared pools have lent. */
  readonly lent: number;
  /** Bytes that connections hold for compression across messages. */
  readonly history: number;
}

/** What is left in a process: each number is one of things that should have gone. */
export interface Left extends Handles {
  /** `Conn` objects that anything refers to. */
  readonly conns: number;
  /** Sockets of node:net and node:tls that anything refers to. */
  readonly sockets: number;
  /** Timers that are set, or that anything refers to. Those of the library are among them, and Node's own. */
  readonly timers: number;
  /** `AbortSignal` objects that anything refers to. */
  readonly signals: number;
  /** Of the process, of HTTP servers, and of signals that live as long as the process. */
  readonly listeners: number;
}

/** All that a process tells of itself when everybody has left. */
export interface Census {
  readonly memory: Memory;
  readonly left: Left;
  /** Bytes that lie in the shared pools. */
  readonly pooled: number;
  /** Uncaught exceptions and unhandled rejections so far. */
  readonly uncaught: readonly string[];
  /** Node's warnings so far. */
  readonly warnings: readonly string[];
}

/** What a process tells of itself while it runs. */
export interface Sample {
  readonly memory: Memory;
  /** The longest delay of the event loop since the last sample, in ms. */
  readonly delay: number;
}

/** Kept of each kind of text. */
const TEXTS = 20;
const TURNS = 50;
/** How long a census waits, in ms. */
const PATIENCE = 10_000;

const { constructor: Timeout } = setTimeout(() => {}, 0);

/** Looks at the process that it is made in: makes one at the very beginning. */
export class Observer {
  readonly #uncaught: string[] = [];
  readonly #warnings: string[] = [];
  readonly #emitters = new Set<EventEmitter>([process]);
  readonly #signals = new Set<AbortSignal>();
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: 10 });

  constructor() {
    const keep = (texts: string[], kind: string) => (error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      texts.push(texts.length < TEXTS ? `${kind}: ${text}` : kind);
    };
    process.on('uncaughtException', keep(this.#uncaught, 'uncaught'));
    process.on('unhandledRejection', keep(this.#uncaught, 'unhandled'));
    const warned = keep(this.#warnings, 'warning');
    process.on('warning', (warning) => {
      // Of `queryObjects`.
      if (warning.name !== 'ExperimentalWarning') warned(warning);
    });
    this.#delay.enable();
  }

  /** Counts the listeners of something that lives as long as the process. */
  watch(lasting: EventEmitter | AbortSignal): void {
    if (lasting instanceof EventEmitter) this.#emitters.add(lasting);
    else this.#signals.add(lasting);
  }

  /** Collects garbage once, and tells what that leaves. */
  sample(): Sample {
    const delay = this.#delay.max / 1e6;
    collectGarbage();
    this.#delay.reset();
    return { memory: memory(), delay };
  }

  /**
   * Waits for all that goes by itself, and tells of the rest.
   *
   * @param before - What there was: it is waited for, for some seconds, what the system lets go of later.
   */
  async census(before?: Census): Promise<Census> {
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

  /** In a function of its own, so that it leaves no timer for us to find. */
  async #wait(before: Census | undefined): Promise<void> {
    await this.#settle();
    const until = performance.now() + PATIENCE;
    while (before !== undefined && this.#isMore(before.left) && performance.now() < until) {
      await wait(200);
      await this.#settle();
    }
  }

  /** What one collection lets go, a file or a socket, lets go of more. */
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
      history: historyBytesOf(nodeHost.deflate!),
    };
  }

  #isMore(before: Left): boolean {
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

function memory(): Memory {
  const { rss, heapUsed, external, arrayBuffers } = process.memoryUsage();
  return { rss, heap: heapUsed, external, arrayBuffers };
}

function openDescriptors(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0;
}
