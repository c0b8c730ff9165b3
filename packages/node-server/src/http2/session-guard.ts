import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import type { ConnSettings, Heartbeat } from '@ws/conn';
import { ENHANCE_YOUR_CALM, NO_ERROR, unref } from '@ws/node-io/internal';

/**
 * Most streams of a session in a second that the client resets before their answer or soon after it:
 * a rapid reset (CVE-2023-44487). Behind a proxy, many users share a session and may leave at once.
 */
const MAX_RESETS = 200;
/** Most PING or SETTINGS frames of a client in a second. */
const MAX_FRAMES = 1_000;
const SECOND = 1_000;

/** Returns the ping interval of sessions. `heartbeat: false` does not disable it. */
export function heartbeatOf({ heartbeat }: Pick<ConnSettings, 'heartbeat'>): Heartbeat {
  return heartbeat || { interval: 20_000, timeout: 20_000 };
}

/** Start of each stream, later the time of its answer, by `performance.now()`. */
const answeredAt = new WeakMap<ServerHttp2Stream, number>();
const guards = new WeakMap<Http2Session, SessionGuard>();

/** Notes that a stream is answered. */
export function noteAnswer(stream: ServerHttp2Stream): void {
  if (answeredAt.has(stream)) answeredAt.set(stream, performance.now());
}

/**
 * Guards the session of a stream, and counts the stream when its client resets it.
 *
 * @param heartbeat - When the session is pinged.
 */
export function watchResets(stream: ServerHttp2Stream, heartbeat: Heartbeat): void {
  const { session } = stream;
  if (session !== undefined) guardSession(session, heartbeat).watch(stream);
}

/** Returns the guard of a session. */
export function guardSession(session: Http2Session, heartbeat: Heartbeat): SessionGuard {
  let guard = guards.get(session);
  if (guard === undefined) {
    guard = new SessionGuard(session, heartbeat);
    guards.set(session, guard);
  }
  return guard;
}

/** Ends a session whose client floods it, or answers no more. */
class SessionGuard {
  readonly #session: Http2Session;
  readonly #heartbeat: Heartbeat;
  #timer: NodeJS.Timeout | undefined;
  readonly #resets = new Rate(MAX_RESETS);
  /** One listener for all streams. */
  readonly #onStreamClose: (this: ServerHttp2Stream) => void;

  constructor(session: Http2Session, heartbeat: Heartbeat) {
    this.#session = session;
    this.#heartbeat = heartbeat;
    const closed = (stream: ServerHttp2Stream): void => this.#streamClosed(stream);
    this.#onStreamClose = function () {
      closed(this);
    };
    for (const event of ['ping', 'remoteSettings'] as const) {
      const rate = new Rate(MAX_FRAMES);
      session.on(event, () => {
        if (rate.exceeds()) this.#end(`the client sends too many frames (${event})`);
      });
    }
    session.once('close', () => clearTimeout(this.#timer));
    this.#pingLater();
  }

  watch(stream: ServerHttp2Stream): void {
    if (answeredAt.has(stream)) return;
    answeredAt.set(stream, performance.now());
    stream.on('close', this.#onStreamClose);
  }

  #streamClosed(stream: ServerHttp2Stream): void {
    const { aborted, rstCode, errored, headersSent } = stream;
    const isReset = aborted || (rstCode ?? NO_ERROR) !== NO_ERROR;
    // Our own resets have an AbortError, and a session that ends resets all its streams.
    if (!isReset || errored?.name === 'AbortError' || this.#session.destroyed) return;
    const isEarly = !headersSent || performance.now() - answeredAt.get(stream)! < SECOND;
    if (isEarly && this.#resets.exceeds()) this.#end('the client resets too many streams');
  }

  /**
   * Node 20 does not report a session that nghttp2 has ended for a fault of the client: no event,
   * and not even the end of the socket. Only a ping without an answer shows it.
   */
  #pingLater(): void {
    this.#wait(this.#heartbeat.interval, () => {
      if (this.#session.destroyed) return;
      this.#wait(this.#heartbeat.timeout, () => this.#end('the client answers no ping'));
      this.#session.ping((error) => {
        if (error === null) this.#pingLater();
      });
    });
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
    unref(this.#timer);
  }

  #end(why: string): void {
    // Within 'close' of one of many streams that were reset at once, `destroy` makes Node 20 loop for
    // ever.
    setImmediate(() => this.#session.destroy(new Error(why), ENHANCE_YOUR_CALM));
  }
}

/** Counts events in seconds. */
class Rate {
  readonly #most: number;
  #count = 0;
  #since = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts an event. @returns whether there were too many in this second. */
  exceeds(): boolean {
    const now = performance.now();
    if (now - this.#since > SECOND) {
      this.#since = now;
      this.#count = 0;
    }
    return ++this.#count > this.#most;
  }
}
