import { MAX_DELAY_MS } from '../arguments.ts';
import type { ClosePlan, HubCloseOptions } from '../options.ts';
import { type RunningListeners, waitError } from './running-listeners.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Number of sessions that a close closes in one turn of the event loop. */
const CLOSE_BATCH = 64;
/** Ms that a close waits for the sessions beyond their timeout. */
const SLACK_MS = 1_000;
/** Time until a close reports that it waits for a listener, in ms. */
const WAIT_MS = 1_000;

/** The close of a hub: ends the sessions by its plan, which {@link hurry} may shorten. */
export class Closing<Data> {
  readonly #hub: Sessions<Data>;
  readonly #running: RunningListeners;
  #plan: ClosePlan;
  /** Ends the wait for the next session. */
  #endWait = (): void => {};
  #cancelTell = (): void => {};

  constructor(hub: Sessions<Data>, running: RunningListeners, plan: ClosePlan) {
    this.#hub = hub;
    this.#running = running;
    this.#plan = plan;
  }

  /**
   * Delivers all publications, closes all sessions, and waits for the listeners.
   *
   * @returns Number of the sessions.
   */
  async endSessions(): Promise<number> {
    const { platform, byId } = this.#hub;
    await this.#untilDelivered();
    const { size } = byId;
    const start = platform.now();
    await this.#forEach((session, i) => this.#closeAt(session, start, i / Math.max(size - 1, 1)));
    const sentAt = platform.now();
    // Keeps the process alive: the timers of the sessions do not.
    const longest = Math.min(this.#plan.timeout + SLACK_MS, MAX_DELAY_MS);
    const cancel = platform.setTimer(longest, () => {}, true);
    await this.#forEach(({ conn }) => conn.closed);
    cancel();
    if (size > 0) {
      await this.#untilIdle(sentAt + this.#plan.timeout - platform.now());
      await this.#untilDelivered();
    }
    return size;
  }

  /** Closes a session after a share of the option `over`, or earlier if {@link hurry} shortens it. */
  async #closeAt(session: Session<Data>, start: number, share: number): Promise<void> {
    for (;;) {
      const { over, timeout, code, reason, discard } = this.#plan;
      const ms = start + share * over - this.#hub.platform.now();
      if (ms <= 0 || session.conn.state === 'closed') {
        return session.closeWith(code, reason, { timeout, discard });
      }
      await this.#whileOpen(session, ms);
    }
  }

  /** Shortens the close, to bounds that count from now. */
  hurry({ timeout, over = Infinity }: Pick<HubCloseOptions, 'timeout' | 'over'>): void {
    const plan = this.#plan;
    this.#plan = {
      ...plan,
      timeout: Math.min(timeout ?? Infinity, plan.timeout),
      over: Math.min(over, plan.over),
    };
    this.#endWait();
    if (timeout === undefined) return;
    const { code, reason, discard } = plan;
    for (const session of this.#hub.byId.values()) {
      if (session.state === 'closed') session.closeWith(code, reason, { timeout, discard });
    }
    this.#hub.platform.setTimer(timeout, () => this.#running.stopWaiting());
  }

  /** Reports that the close waits for a listener, which may await the close: after {@link WAIT_MS}. */
  tellWhileItWaits(): void {
    this.#cancelTell = this.#hub.platform.setTimer(WAIT_MS, () => this.#tell());
  }

  /** Reports it at once, unless `result` settles first: that of the listener that has called the close. */
  tellAtOnce(result: PromiseLike<unknown>): void {
    let isPending = true;
    const settled = (): void => void (isPending = false);
    void result.then(settled, settled);
    this.#hub.platform.setTimer(0, () => {
      if (!isPending) return;
      this.stopTelling();
      this.#tell();
    });
  }

  stopTelling(): void {
    this.#cancelTell();
  }

  #tell(): void {
    const { early } = this.#running;
    if (early.size > 0) this.#hub.failed(undefined, waitError(early));
  }

  /** Resolves when the members have all messages that were published. */
  async #untilDelivered(): Promise<void> {
    await this.#hub.link?.untilAllReturned();
    await this.#hub.fanOut.settled();
  }

  /** Resolves when no promise of a listener is pending, or after `ms`. */
  async #untilIdle(ms: number): Promise<void> {
    const { platform } = this.#hub;
    // Listeners of `disconnect` are called some microtasks after the end of the last connection.
    await new Promise<void>((next) => platform.yield(next));
    await this.#running.untilIdle(platform, ms);
  }

  /** Calls `visit` for each session, a few in each turn of the event loop. */
  async #forEach(visit: (session: Session<Data>, i: number) => unknown): Promise<void> {
    let i = 0;
    for (const session of this.#hub.byId.values()) {
      await visit(session, i);
      if (++i % CLOSE_BATCH > 0) continue;
      await new Promise<void>((next) => this.#hub.platform.yield(next));
    }
  }

  /** Resolves after `ms`, at {@link hurry}, or when the session has ended. */
  async #whileOpen({ conn }: Session<Data>, ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#endWait = resolve;
      const cancel = this.#hub.platform.setTimer(ms, resolve, true);
      void conn.closed.then(() => {
        cancel();
        resolve();
      });
    });
  }
}
