import type { Duplex } from 'node:stream';
import { setImmediate } from 'node:timers/promises';
import { type Conn, formatCloseMessage } from '@ws/conn';
import { internalsOf } from '@ws/conn/internal';
import { cutStream } from '@ws/node-io/internal';
import type { ClosePlan, CloseResult } from './close-options.ts';

/** Milliseconds by which the server's own timeout comes before the timeout of each connection. */
const CONN_SLACK_MS = 1_000;
/**
 * Turns of the event loop in which a close frame and an end of stream that have arrived close a
 * connection.
 */
const LAST_TURNS = 4;
/** Milliseconds between two looks at the handlers that a close waits for, at most and at least. */
const SLOWEST_LOOK = 500;
const FASTEST_LOOK = 30;
/** The longest delay of a timer. */
const MAX_DELAY_MS = 2_147_483_647;

/**
 * The work that an upgrader waits for when it closes: its connections, the requests without an
 * answer and the running handlers.
 */
export class PendingWork {
  /** The connections that are not closed yet. */
  readonly connections: Set<Conn> = new Set();
  /** Connections opened so far. */
  opened = 0;
  /** Handlers with a pending promise. */
  handlers = 0;
  /**
   * The responses of listeners for plain requests with a pending promise. {@link close} does not wait
   * for them.
   */
  readonly listeners: Set<{ readonly headersSent: boolean }> = new Set();
  /** Gets the number of handlers that a close waits for after all connections have closed. */
  onWait: (count: number) => void = () => {};
  /**
   * Whether requests that are refused during a close hold it. On a server of the user, which stays
   * open, clients that retry would hold it until its timeout.
   */
  refusalsHoldClose = true;
  /** Responses to plain requests that are not sent yet. */
  responses = 0;
  /** Sockets with an unanswered request, or with a refusal that the client is still reading. */
  readonly #sockets = new Set<Duplex>();
  /** One listener for all sockets, to save memory per connection. */
  readonly #onSocketClose: (this: Duplex) => void;
  /** Set when the close begins. */
  #plan: ClosePlan | undefined;
  #closed: Promise<CloseResult> | undefined;
  /** Time at which the last close frame is due. */
  #lastFrameAt = 0;
  /** Connections that {@link close} has to end. */
  #toClose = 0;
  #onProgress: (() => void) | undefined;

  constructor() {
    const remove = (socket: Duplex): void => this.removeSocket(socket);
    this.#onSocketClose = function () {
      remove(this);
    };
  }

  get isClosing(): boolean {
    return this.#plan !== undefined;
  }

  /**
   * Counts a request that is still pending after its 'upgrade' event, or is refused, until
   * {@link removeSocket} or the close of its socket.
   */
  addSocket(socket: Duplex): void {
    // A request that comes during a close is always refused.
    if (this.isClosing && !this.refusalsHoldClose) return;
    // The application has waited, and its client has left: 'close' will not be emitted again.
    if (socket.closed) return;
    this.#sockets.add(socket);
    socket.on('close', this.#onSocketClose);
  }

  /** Forgets a socket: it has closed, has a connection, or Node continues to read it. */
  removeSocket(socket: Duplex): void {
    if (!this.#sockets.delete(socket)) return;
    socket.off('close', this.#onSocketClose);
    this.#progress();
  }

  /** Counts a connection until {@link removeConn}. A close that has begun closes it at once. */
  addConn(conn: Conn): void {
    this.opened++;
    if (conn.state !== 'closed') this.connections.add(conn);
    if (this.#plan !== undefined) {
      this.#toClose++;
      this.#sendClose(conn, this.#plan);
    }
  }

  /**
   * Forgets a connection that has closed. During a {@link close}, a handler of `receive` with unread
   * messages counts as a handler of the server.
   *
   * @returns false when it was never added.
   */
  removeConn(conn: Conn): boolean {
    const wasOpen = this.connections.delete(conn);
    const receiving = this.isClosing ? internalsOf(conn).unfinishedReceive : undefined;
    if (receiving !== undefined) this.#waitFor(receiving);
    this.#progress();
    return wasOpen;
  }

  #waitFor(receiving: Promise<unknown>): void {
    this.handlerStarted();
    const ended = (): void => this.handlerSettled();
    receiving.then(ended, ended);
  }

  handlerStarted(): void {
    this.handlers++;
  }

  handlerSettled(): void {
    this.handlers--;
    this.#progress();
  }

  /** Responses were sent, or their socket has closed. */
  responsesOver(count: number): void {
    this.responses -= count;
    this.#progress();
  }

  /** Checks whether a pending {@link close} can end. */
  #progress(): void {
    this.#onProgress?.();
  }

  /** Closes every connection. A second call returns the promise of the first. */
  close(plan: ClosePlan): Promise<CloseResult> {
    this.#closed ??= this.#close(plan);
    return this.#closed;
  }

  async #close(plan: ClosePlan): Promise<CloseResult> {
    this.#plan = plan;
    this.#lastFrameAt = performance.now() + plan.over;
    this.#toClose = this.connections.size;
    const watch = this.#watchHandlers(plan.timeout);
    await this.#sendCloses([...this.connections], plan);
    await this.#until(() => this.#isIdle(), plan.timeout);
    clearInterval(watch);
    // A busy event loop runs the timer before it reads what the clients have sent in time.
    for (let turn = 0; turn < LAST_TURNS && !this.#isIdle(); turn++) await setImmediate();
    const remaining = [...this.connections];
    for (const conn of remaining) conn.terminate();
    for (const socket of this.#sockets) cutStream(socket);
    await Promise.all(remaining.map((conn) => internalsOf(conn).closed));
    // Handlers of these connections settle within this turn.
    if (remaining.length > 0) await setImmediate();
    return {
      closed: this.#toClose - remaining.length,
      terminated: remaining.length,
      handlersPending: this.handlers,
    };
  }

  /** Reports handlers that outlive all connections: one may wait for this close. */
  #watchHandlers(timeout: number): NodeJS.Timeout {
    let waits = false;
    const watch = setInterval(
      () => {
        // A response that has begun is being sent.
        const asked = [...this.listeners].filter(({ headersSent }) => !headersSent).length;
        const count = this.connections.size > 0 ? 0 : this.handlers + asked;
        if (waits && count > 0) {
          clearInterval(watch);
          this.onWait(count);
        }
        waits = count > 0;
      },
      Math.max(Math.min(SLOWEST_LOOK, timeout / 3), FASTEST_LOOK),
    );
    return watch;
  }

  /** Sends the first close frame at once and the last one after `over` ms. */
  async #sendCloses(conns: readonly Conn[], plan: ClosePlan): Promise<void> {
    const start = performance.now();
    const step = plan.over / Math.max(conns.length - 1, 1);
    for (const [i, conn] of conns.entries()) {
      const delay = start + i * step - performance.now();
      if (delay > 0) await this.#until(() => !this.connections.has(conn), delay);
      this.#sendClose(conn, plan);
    }
  }

  #sendClose(conn: Conn, { code, reason, timeout, discard }: ClosePlan): void {
    // The connection must not end earlier by its own timeout: then no client would be terminated.
    const ms = Math.max(this.#lastFrameAt - performance.now(), 0) + timeout + CONN_SLACK_MS;
    const payload = formatCloseMessage(code, reason);
    internalsOf(conn).startClose(payload, Math.min(Math.ceil(ms), MAX_DELAY_MS), discard);
  }

  #isIdle(): boolean {
    const requests = this.#sockets.size + this.responses;
    return this.connections.size + requests + this.handlers === 0;
  }

  /** Resolves when `holds`, or after `ms`. */
  #until(holds: () => boolean, ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.#onProgress = () => {
        if (!holds()) return;
        clearTimeout(timer);
        done();
      };
      this.#onProgress();
    });
  }
}
