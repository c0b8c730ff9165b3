import type { Duplex } from 'node:stream';
import { CloseCode } from '@ws/codec';
import { type Expiry, schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import type { CheckedOptions } from '../options.ts';
import type { ProxiedConnection } from '../proxied.ts';
import type { Direction } from './direction.ts';
import { CLOSE_TIMEOUT, type EndedBy, type Link } from './link.ts';

/** Two sockets, joined in both directions. The subclasses are the modes. */
export abstract class Tunnel<D extends Direction> implements Link, TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  readonly in: D;
  readonly out: D;
  readonly plan: CheckedOptions;
  protected endedBy: EndedBy | undefined;
  /** The first failure. */
  protected error: Error | undefined;
  readonly #proxied: ProxiedConnection;
  #open = 2;
  /** {@link #unsent} when the timer was set. */
  #left = 0;
  /** Bytes of both directions at the last tick that saw new ones, and its time. */
  #seen = 0;
  #activeAt = performance.now();
  #endTimer: NodeJS.Timeout | undefined;

  constructor(client: Duplex, target: Duplex, plan: CheckedOptions, proxied: ProxiedConnection) {
    this.plan = plan;
    this.#proxied = proxied;
    this.in = this.createDirection(client, target);
    this.out = this.createDirection(target, client);
    this.in.reverse = this.out;
    this.out.reverse = this.in;
  }

  /** @param fromClient, fromTarget - Bytes that were read before: the first frames. */
  start(fromClient: Uint8Array, fromTarget: Uint8Array): void {
    this.out.start(fromTarget);
    this.in.start(fromClient);
  }

  watch(login: Expiry): void {
    this.in.source.prependListener('data', () => login.check());
  }

  expire(code: number): void {
    this.close(code);
    this.in.drops = true;
    this.terminateInTime();
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
    } else if (now - this.#activeAt >= this.plan.idleTimeout) {
      this.close(CloseCode.GoingAway);
      this.terminateInTime();
    }
  }

  /** The source has sent its FIN. */
  sourceEnded(direction: D): void {
    this.endedBy ??= this.nameOf(direction);
    this.passEnd(direction);
  }

  /** The socket of the source is closed. */
  closed(direction: D): void {
    this.error ??= direction.source.errored ?? undefined;
    this.endedBy ??= this.nameOf(direction);
    this.sourceClosed(direction);
    // Bytes for the closed socket are dropped. A peer that was paused would never show its FIN.
    direction.sink.resume();
    if (--this.#open > 0) return this.terminateSoon();
    schedulerOf(nodePlatform).timers.clear(this);
    clearTimeout(this.#endTimer);
    const { code, reason } = this.closeInfo();
    this.#proxied.linkEnded({ endedBy: this.endedBy, code, reason, error: this.error });
  }

  /** Both sockets have had the time to end. */
  fire(): void {
    if (this.#unsent < this.#left) this.terminateSoon();
    else this.terminate();
  }

  /** Ends both sockets after the bytes that wait in them. What their peers still send is dropped. */
  protected endSinks(): void {
    for (const direction of [this.in, this.out]) {
      direction.endSink();
      // An ended stream emits no 'drain', so a paused source would never show its FIN.
      direction.source.resume();
    }
  }

  /**
   * Terminates both sockets when they are still open after a while in which nothing was sent.
   *
   * @param ms - Less than the time that is left.
   */
  protected terminateSoon(ms?: number): void {
    if (this.slot !== undefined && ms === undefined) return;
    this.#left = this.#unsent;
    schedulerOf(nodePlatform).timers.set(this, ms ?? CLOSE_TIMEOUT);
  }

  /** Terminates both sockets after a while, whatever their peers send or read. */
  protected terminateInTime(): void {
    this.#endTimer ??= setTimeout(() => this.terminate(), CLOSE_TIMEOUT).unref();
  }

  /** Bytes that pass before both sockets end. */
  get #unsent(): number {
    return this.in.beforeEnd + this.out.beforeEnd;
  }

  protected nameOf(direction: D): 'client' | 'target' {
    return direction === this.in ? 'client' : 'target';
  }

  abstract close(code: number): void;
  protected abstract createDirection(source: Duplex, sink: Duplex): D;
  /** The source has sent its FIN. */
  protected abstract passEnd(direction: D): void;
  /** The socket of the source is closed. */
  protected abstract sourceClosed(direction: D): void;
  protected abstract closeInfo(): { readonly code: number; readonly reason: string };
}
