import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { ConnSettings, Heartbeat } from '@ws/conn';
import { Bucket, type BucketPlan } from '@ws/conn/internal';
import { Http2Code, unref } from '@ws/node-io/internal';
import { destroyOnError } from '../client-socket.ts';

/**
 * Most streams of a session in a second that the client resets before their answer or soon after it:
 * a rapid reset (CVE-2023-44487). Behind a proxy, many users share a session and may leave at once: so
 * new streams are refused above it. The session ends after as many again.
 */
const MAX_RESETS = 200;
/**
 * nghttp2 takes 1,000 RST_STREAM at once and 33 a second. Above that it sends GOAWAY with
 * INTERNAL_ERROR, at which clients drop all streams. The session ends in an orderly way before that.
 */
const RESETS: BucketPlan = { perMs: 0.03, size: 800 };
/** Most PING or SETTINGS frames of a client in a second. */
const MAX_FRAMES = 1_000;
const SECOND = 1_000;
/** Pings without an answer, and without any other bytes, after which a session ends. */
const PINGS = 2;
/** Milliseconds between two looks at the bytes of a session. */
const LOOK_MS = 1_000;
/** Milliseconds in which the client of a session that is over may end its side of the socket. */
const LINGER_MS = 2_000;
/** Bytes that the operating systems of both ends may hold, as for a socket (`inTransit`). */
const IN_TRANSIT = 10_485_760;
/** Most milliseconds for which a ping may wait for these bytes. */
const MAX_TRANSIT_MS = 600_000;
/** The assumed speed of a client before it was measured, in bytes per ms, as for a connection. */
const SLOWEST = 16.384;

/** Returns the ping interval of sessions. `heartbeat: false` does not disable it. */
export function heartbeatOf({ heartbeat }: Pick<ConnSettings, 'heartbeat'>): Heartbeat {
  return heartbeat || { interval: 20_000, timeout: 20_000 };
}

/** Start of each stream, later the time of its answer, by `performance.now()`. */
const startedOrAnsweredAt = new WeakMap<ServerHttp2Stream, number>();
/**
 * Streams that this side has closed first. Node reports its own RST_STREAM and the client's in the same way.
 */
const closedHere = new WeakSet<ServerHttp2Stream>();
/** Streams with a complete answer: this side has ended. A reset by their client is harmless. */
const endedHere = new WeakSet<ServerHttp2Stream>();
/** Streams that their client has ended while they were open. */
const endedByClient = new WeakSet<ServerHttp2Stream>();
const guards = new WeakMap<Http2Session, SessionGuard>();

/** Notes that a stream is answered. */
export function noteAnswer(stream: ServerHttp2Stream): void {
  if (startedOrAnsweredAt.has(stream)) startedOrAnsweredAt.set(stream, performance.now());
}

/**
 * Guards the session of a new stream, and counts the stream when its client resets it.
 *
 * @param heartbeat - When the session is pinged.
 * @returns false for a stream that was refused: its client resets too many.
 */
export function watchResets(stream: ServerHttp2Stream, heartbeat: Heartbeat): boolean {
  const { session } = stream;
  return session === undefined || guardSession(session, heartbeat).watch(stream);
}

/**
 * Returns the guard of a session. The sessions of the user's server have the bounds of the user.
 *
 * @param settingsTimeout - Milliseconds until the SETTINGS of the client; Infinity for no bound.
 * @param idleTimeout - Milliseconds without a stream; Infinity for no bound.
 */
export function guardSession(
  session: Http2Session,
  heartbeat: Heartbeat,
  settingsTimeout: number = Infinity,
  idleTimeout: number = Infinity,
): SessionGuard {
  let guard = guards.get(session);
  if (guard === undefined) {
    guard = new SessionGuard(session, heartbeat, settingsTimeout, idleTimeout);
    guards.set(session, guard);
  }
  return guard;
}

/**
 * Ends a session that its client floods, no longer answers, or does not use. When streams are reset too
 * often, only new ones are refused: the open ones may belong to other users of a proxy.
 */
class SessionGuard {
  readonly #session: Http2Session;
  /** Carries the session, and may outlive it. */
  readonly #socket: Socket;
  readonly #heartbeat: Heartbeat;
  /** Milliseconds without a stream; Infinity for no bound. */
  readonly #idleTimeout: number;
  #timer: NodeJS.Timeout | undefined;
  #idleTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #streams = 0;
  /** Resets before the answer was complete, and streams that were refused for them. */
  readonly #resets = new EventsPerSecond();
  /** Streams that were perhaps reset, as nghttp2 counts them. */
  readonly #allResets = new Bucket(RESETS, performance.now());
  /** One listener for all streams. */
  readonly #onStreamClose: (this: ServerHttp2Stream) => void;

  constructor(
    session: Http2Session,
    heartbeat: Heartbeat,
    settingsTimeout: number,
    idleTimeout: number,
  ) {
    this.#session = session;
    this.#heartbeat = heartbeat;
    this.#idleTimeout = idleTimeout;
    const closed = (stream: ServerHttp2Stream): void => this.#streamClosed(stream);
    this.#onStreamClose = function () {
      closed(this);
    };
    for (const event of ['ping', 'remoteSettings'] as const) {
      const rate = new EventsPerSecond();
      session.on(event, () => {
        if (rate.add() > MAX_FRAMES) this.#destroy(`the client sends too many frames (${event})`);
      });
    }
    session.once('remoteSettings', () => this.#waitForStream());
    // `session.socket` forbids `destroy`. Its other functions return the socket itself.
    this.#socket = session.socket.once('close', () => {
      clearTimeout(this.#timer);
      clearTimeout(this.#idleTimer);
      clearInterval(this.#lookTimer);
    });
    this.#idleTimer = timerOf(settingsTimeout, () => session.destroy());
    this.#pingLater();
    this.#lookForFault();
  }

  /** @returns false for a stream that was refused. */
  watch(stream: ServerHttp2Stream): boolean {
    if (startedOrAnsweredAt.has(stream)) return true;
    if (this.#resets.now > MAX_RESETS) {
      this.#countReset();
      // A reset of the client may cross the refusal.
      this.#countAnyReset();
      stream.on('error', destroyOnError).close(Http2Code.REFUSED_STREAM);
      return false;
    }
    startedOrAnsweredAt.set(stream, performance.now());
    this.#streams++;
    clearTimeout(this.#idleTimer);
    stream.on('end', noteClientEnd).on('finish', noteEnd).on('close', this.#onStreamClose);
    stream.close = noteAndClose;
    stream.destroy = noteAndDestroy;
    return true;
  }

  #streamClosed(stream: ServerHttp2Stream): void {
    this.#streams--;
    this.#waitForStream();
    const { aborted, rstCode, headersSent } = stream;
    const isReset = aborted || (rstCode ?? Http2Code.NO_ERROR) !== Http2Code.NO_ERROR;
    // Node does not show a reset with NO_ERROR, nor a reset that crosses ours.
    const isEnded = !isReset && (stream.endAfterHeaders || endedByClient.has(stream));
    if (!isEnded) this.#countAnyReset();
    if (!isReset || closedHere.has(stream) || endedHere.has(stream)) return;
    const isEarly = !headersSent || performance.now() - startedOrAnsweredAt.get(stream)! < SECOND;
    if (isEarly) this.#countReset();
  }

  #countReset(): void {
    if (this.#resets.add() === 2 * MAX_RESETS) this.#destroy('the client resets too many streams');
  }

  #countAnyReset(): void {
    this.#allResets.refill(performance.now());
    const before = this.#allResets.tokens--;
    // Once, when the last token goes.
    if (before > 0 && before <= 1) this.#retire();
  }

  /**
   * Sends GOAWAY with NO_ERROR. The open streams continue, nghttp2 drops later ones, and the client
   * knows that they may be sent again on another session.
   */
  #retire(): void {
    // Not within 'close' of a stream, as in `#destroy`.
    setImmediate(() => this.#session.close());
  }

  /** Closes the session when no stream comes. The client may open another session at any time. */
  #waitForStream(): void {
    if (this.#streams > 0 || this.#socket.destroyed) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = timerOf(this.#idleTimeout, () => this.#session.close());
  }

  /**
   * Node 20 does not report a session that nghttp2 has ended for a fault of the client: no event,
   * and not even the end of the socket. But a ping of it never leaves. So each time when bytes have
   * come, and then none for a while, one ping is sent.
   */
  #lookForFault(): void {
    const socket = this.#socket;
    let heard = socket.bytesRead;
    /** The bytes until the last answer. */
    let answered = 0;
    /** `bytesWritten` at the ping; undefined after its answer. */
    let asked: number | undefined;
    this.#lookTimer = setInterval(() => {
      const { bytesRead, bytesWritten } = socket;
      const isQuiet = bytesRead === heard;
      heard = bytesRead;
      if (!isQuiet || this.#session.destroyed) return;
      if (asked === bytesWritten && bytesQueued(socket) === 0) {
        this.#destroy('the client has sent a frame that ends the session');
      } else if (asked === undefined && bytesRead !== answered) {
        asked = bytesWritten;
        askClient(this.#session, () => {
          answered = socket.bytesRead;
          asked = undefined;
        });
      }
    }, LOOK_MS);
    unref(this.#lookTimer);
  }

  /** A client that answers no ping has vanished. */
  #pingLater(written: number = this.#socket.bytesWritten): void {
    this.#wait(this.#heartbeat.interval, () => this.#ping(PINGS, written));
  }

  /**
   * @param left - The pings until the end, with this one.
   * @param written - The socket's, when the client was heard. Later bytes are in front of the ping.
   */
  #ping(left: number, written: number): void {
    if (this.#session.destroyed) return this.#destroySocket();
    askClient(this.#session, () => this.#pingLater());
    const { bytesRead, bytesWritten } = this.#socket;
    // While bytes wait in this process, the first wait measures the speed of the client.
    const inFront = bytesQueued(this.#socket) > 0 ? 0 : bytesWritten - written;
    this.#awaitAnswer(left, bytesRead, Math.min(inFront, IN_TRANSIT) / SLOWEST);
  }

  /**
   * Waits for the answer to a ping.
   *
   * @param bytesRead - The socket's, before the ping.
   * @param transit - Milliseconds that the client needs for the bytes that have left this process.
   */
  #awaitAnswer(left: number, bytesRead: number, transit: number): void {
    const since = performance.now();
    const queued = bytesQueued(this.#socket);
    const { bytesWritten } = this.#socket;
    const sent = bytesWritten - queued;
    const check = (): void => {
      const taken = this.#socket.bytesWritten - bytesQueued(this.#socket) - sent;
      // The answer may follow other bytes of a slow client.
      if (this.#socket.bytesRead > bytesRead) this.#pingLater(bytesWritten);
      // The ping follows older bytes, and the client takes them.
      else if (queued > 0 && taken > 0) {
        const needed = ((performance.now() - since) * IN_TRANSIT) / taken;
        this.#awaitAnswer(left, bytesRead, Math.min(needed, MAX_TRANSIT_MS));
      } else if (left > 1 || this.#session.destroyed) this.#ping(left - 1, bytesWritten);
      else this.#destroy('the client answers no ping');
    };
    // A process that was busy or suspended has to read the answer first.
    this.#wait(this.#heartbeat.timeout + transit, () => setImmediate(check));
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    if (!this.#socket.destroyed) this.#timer = timerOf(ms, then);
  }

  #destroy(why: string): void {
    // Within 'close' of one of many streams that were reset at once, `destroy` makes Node 20 loop for
    // ever.
    setImmediate(() => {
      this.#session.destroy(new Error(why), Http2Code.ENHANCE_YOUR_CALM);
      this.#destroySocket();
    });
  }

  /** After the end of a session, Node waits without a bound for the FIN of the client. */
  #destroySocket(): void {
    this.#wait(LINGER_MS, () => this.#socket.destroy());
  }
}

/**
 * Returns the bytes of a session that the operating system has not taken. `writableLength` of the
 * socket is 0: the session writes to its handle. Node has no public field.
 */
function bytesQueued(socket: Socket): number {
  const { _handle: handle } = socket as { readonly _handle?: { writeQueueSize?: number } | null };
  return handle?.writeQueueSize ?? 0;
}

/** Node cancels the pings of a session after a GOAWAY. The client answers SETTINGS too. */
function askClient(session: Http2Session, onAnswer: () => void): void {
  const answered = (error: Error | null): void => {
    if (error === null) onAnswer();
  };
  if (session.closed) session.settings({}, answered);
  else session.ping(answered);
}

function timerOf(ms: number, then: () => void): NodeJS.Timeout | undefined {
  if (ms === Infinity) return undefined;
  const timer = setTimeout(then, ms);
  unref(timer);
  return timer;
}

// A reset emits 'end' and 'finish' too.

function noteClientEnd(this: ServerHttp2Stream): void {
  if (!this.closed) endedByClient.add(this);
}

/** The last byte has left. */
function noteEnd(this: ServerHttp2Stream): void {
  if (!this.closed) endedHere.add(this);
}

/** Methods of a watched stream, each before the method of its class. */
function noteAndClose(
  this: ServerHttp2Stream,
  ...args: Parameters<ServerHttp2Stream['close']>
): void {
  noteClose(this);
  methodsOf(this).close.apply(this, args);
}

function noteAndDestroy(this: ServerHttp2Stream, error?: Error): ServerHttp2Stream {
  noteClose(this);
  methodsOf(this).destroy.call(this, error);
  return this;
}

function noteClose(stream: ServerHttp2Stream): void {
  if (!stream.closed) closedHere.add(stream);
}

function methodsOf(stream: ServerHttp2Stream): ServerHttp2Stream {
  return Object.getPrototypeOf(stream) as ServerHttp2Stream;
}

/** Counts events of the current second. */
class EventsPerSecond {
  #count = 0;
  #since = 0;

  /** The events of this second. */
  get now(): number {
    return performance.now() - this.#since > SECOND ? 0 : this.#count;
  }

  /** Counts an event. @returns the events of this second, with it. */
  add(): number {
    const now = performance.now();
    if (now - this.#since > SECOND) {
      this.#since = now;
      this.#count = 0;
    }
    return ++this.#count;
  }
}
