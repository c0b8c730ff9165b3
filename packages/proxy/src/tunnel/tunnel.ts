import type { Duplex } from 'node:stream';
import { Deferred } from '@ws/conn/internal';
import { type Lane, type LaneOwner } from './lane.ts';
import type { EndedBy, Link, LinkEnd } from './link.ts';

/** Milliseconds that a peer has to end its socket after the other has ended. */
const CLOSE_TIMEOUT = 5_000;

/** The settings of a tunnel. */
export interface TunnelPlan {
  /** Bytes. */
  readonly highWaterMark: number;
  /** Bytes on the wire; Infinity for no bound. */
  readonly maxMessageSize: number;
  /** Milliseconds; Infinity for no bound. */
  readonly idleTimeout: number;
  /** Undefined for none. */
  readonly heartbeat: { readonly interval: number; readonly timeout: number } | undefined;
}

/** Two sockets, joined in both directions. The subclasses are the modes. */
export abstract class Tunnel<L extends Lane> implements Link, LaneOwner {
  readonly in: L;
  readonly out: L;
  protected readonly plan: TunnelPlan;
  protected endedBy: EndedBy | undefined;
  readonly #ended = new Deferred<LinkEnd>();
  #open = 2;
  #timer: NodeJS.Timeout | undefined;
  #error: Error | undefined;
  /** Bytes of both directions at the last tick that saw new ones, and its time. */
  #seen = 0;
  #activeAt = performance.now();

  constructor(client: Duplex, target: Duplex, plan: TunnelPlan) {
    this.plan = plan;
    this.in = this.lane(client, target, true);
    this.out = this.lane(target, client, false);
    this.in.reverse = this.out;
    this.out.reverse = this.in;
  }

  get ended(): Promise<LinkEnd> {
    return this.#ended.promise;
  }

  /** @param fromClient, fromTarget - Bytes that were read before: the first frames. */
  start(fromClient: Uint8Array, fromTarget: Uint8Array): void {
    this.out.start(fromTarget);
    this.in.start(fromClient);
  }

  terminate(): void {
    this.endedBy ??= 'proxy';
    this.in.source.destroy();
    this.out.source.destroy();
  }

  tick(now: number): void {
    const bytes = this.in.bytes + this.out.bytes;
    if (bytes !== this.#seen) {
      this.#seen = bytes;
      this.#activeAt = now;
    } else if (now - this.#activeAt >= this.plan.idleTimeout) this.idle();
  }

  closed(lane: L): void {
    this.#error ??= lane.error;
    this.endedBy ??= lane === this.in ? 'client' : 'target';
    this.sourceClosed(lane);
    if (--this.#open > 0) return this.endWithin(CLOSE_TIMEOUT);
    clearTimeout(this.#timer);
    const { code, reason } = this.closeInfo();
    this.#ended.resolve({ endedBy: this.endedBy, code, reason, error: this.#error });
  }

  /** Terminates both sockets when they are still open after `ms` milliseconds. */
  protected endWithin(ms: number): void {
    this.#timer ??= setTimeout(() => this.terminate(), ms).unref();
  }

  protected get error(): Error | undefined {
    return this.#error;
  }

  protected set error(error: Error) {
    this.#error ??= error;
  }

  abstract close(code: number): void;
  abstract sourceEnded(lane: L): void;
  protected abstract lane(source: Duplex, sink: Duplex, toTarget: boolean): L;
  protected abstract sourceClosed(lane: L): void;
  protected abstract idle(): void;
  protected abstract closeInfo(): { readonly code: number; readonly reason: string };
}
