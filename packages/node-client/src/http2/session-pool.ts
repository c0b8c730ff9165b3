import type { ClientHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import process from 'node:process';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { Http2Code, sessionMemory, unref } from '@ws/node-io/internal';
import type { StreamOpeners } from '../connect.ts';
import type { DialScope } from '../dial-scope.ts';
import { BadHandshakeError, dialError } from '../errors.ts';
import type { GuardedStream } from '../guarded-stream.ts';
import type { Http2Mode } from '../options.ts';
import type { Target } from '../url.ts';
import { offersWebSockets } from './websocket-support.ts';

/** Bytes that a server may send on one stream before they are read. */
const STREAM_WINDOW = 256 * 1024;
/** The same for all streams of a session. Node gives it back when bytes arrive. */
const SESSION_WINDOW = 1024 * 1024;
/** Most streams of a session, also if its server allows more. */
const MAX_STREAMS = 1_000;
/** Milliseconds in which the server of a session that is over may end its side of the socket. */
const LINGER_MS = 2_000;
/** Milliseconds for which an origin without WebSockets over HTTP/2 is not asked again. */
const HTTP1_ONLY_MS = 600_000;
/** OpenSSL's code when the server knows none of the protocols that a client offers. */
const NO_PROTOCOL = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
/** Most such origins. */
const MAX_HTTP1_ONLY = 1_000;

/** A session, and the number of its streams. */
export class SharedSession {
  readonly session: ClientHttp2Session;
  streams = 0;
  /** The server has ended the session with HTTP_1_1_REQUIRED (RFC 9113, section 7). */
  requiresHttp1 = false;
  /** Carries a pooled session, and may outlive it. Undefined for a session of the caller. */
  readonly #socket: Duplex | undefined;
  /** A request took too long, and no answer to a ping has come since. */
  #isDoubted = false;

  constructor(session: ClientHttp2Session, socket: Duplex | undefined) {
    this.session = session;
    this.#socket = socket;
    session.once('goaway', (code) => {
      this.requiresHttp1 = code === Http2Code.HTTP_1_1_REQUIRED;
    });
  }

  /** Whether the session takes one more stream. Node queues silently above the server's maximum. */
  get hasRoom(): boolean {
    const { closed, destroyed, remoteSettings } = this.session;
    const most = Math.min(remoteSettings?.maxConcurrentStreams ?? MAX_STREAMS, MAX_STREAMS);
    return !closed && !destroyed && !this.#isDoubted && this.streams < most;
  }

  acquireStream(): this {
    this.streams++;
    return this;
  }

  /** A stream has closed. A pooled session without streams ends. */
  releaseStream(): void {
    this.streams--;
    // Not within 'close' of a stream: Node 20 loops for ever, see session-guard.ts of node-server.
    if (this.streams === 0) setImmediate(() => this.endIfUnused());
  }

  /**
   * Ends a pooled session without streams. It keeps no process alive, and its server has a moment to
   * end its side: Node waits without a bound.
   */
  endIfUnused(): void {
    const socket = this.#socket;
    if (this.streams > 0 || socket === undefined || socket.destroyed) return;
    this.session.close();
    (socket as Partial<Socket>).unref?.();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    unref(timer);
    socket.once('close', () => clearTimeout(timer));
  }

  /** Removes the session from its pool. Its open streams continue. */
  retire(): void {
    for (const [key, pool] of pools) {
      if (pool.sessions.delete(this)) removeIfUnused(key, pool);
    }
  }

  /**
   * A request took too long. Only an answer to a ping brings dials back to the session: perhaps its
   * server does not answer at all.
   */
  doubt(): void {
    const { session } = this;
    if (this.#isDoubted || session.destroyed) return;
    this.#isDoubted = true;
    session.ping((error) => {
      if (error === null) this.#isDoubted = false;
    });
  }
}

/** The sessions with one server. */
interface Pool {
  readonly sessions: Set<SharedSession>;
  /**
   * The session that a dial opens now. Resolves with undefined when the server has no WebSockets
   * over HTTP/2.
   */
  pending: Promise<SharedSession | undefined> | undefined;
}

/** Pools of the process, by {@link poolKey}. One without sessions is removed. */
const pools = new Map<string, Pool>();
/** When each origin is asked again, by `Date.now()`: the newest {@link MAX_HTTP1_ONLY}, oldest first. */
const askAgainAt = new Map<string, number>();

/** Carrier of a request: a stream of HTTP/1.1, or a session of HTTP/2. */
export type Carrier = GuardedStream | SharedSession;

/** Opens a stream to the server, which chooses one of these protocols. */
export type OpenWith = (protocols: readonly string[]) => Promise<GuardedStream>;

/**
 * Returns a session of the server with room for one more stream, or a stream for HTTP/1.1.
 *
 * @param key - The pool of the session.
 * @throws BadHandshakeError when HTTP/2 is required, and the server has no WebSockets over it; the
 *   errors of `open`.
 */
export async function acquireCarrier(
  mode: Http2Mode,
  target: Target,
  key: string,
  scope: DialScope,
  open: OpenWith,
): Promise<Carrier> {
  if (typeof mode === 'object') return givenSession(mode, scope);
  const origin = `${target.secure} ${String(target.address)}`;
  const asks = mode === 'only' || (mode === 'auto' && target.secure && !isHttp1Only(origin));
  if (!asks) return open(['http/1.1']);
  for (;;) {
    const pool = poolOf(key);
    for (const shared of pool.sessions) if (shared.hasRoom) return shared.acquireStream();
    if (pool.pending !== undefined) {
      // Ignores another dial's error: this dial makes its own attempt.
      const other = await scope.race(pool.pending.catch(() => undefined));
      if (other === undefined && mode === 'auto' && isHttp1Only(origin)) {
        return open(['http/1.1']);
      }
      continue;
    }
    let stream: GuardedStream | undefined;
    pool.pending = makeSession(mode, target, scope, open).then((made) => {
      if (!(made instanceof SharedSession)) {
        stream = made;
        return undefined;
      }
      pool.sessions.add(made);
      made.session
        .once('close', () => made.retire())
        .once('goaway', () => {
          made.retire();
          setImmediate(() => made.endIfUnused());
        });
      return made;
    });
    try {
      const shared = await pool.pending;
      if (shared !== undefined) return shared.acquireStream();
    } finally {
      pool.pending = undefined;
      removeIfUnused(key, pool);
    }
    if (mode === 'only') throw stream === undefined ? notOffered() : notSpoken(stream);
    rememberHttp1Only(origin);
    return stream ?? open(['http/1.1']);
  }
}

function removeIfUnused(key: string, { sessions, pending }: Pool): void {
  if (sessions.size === 0 && pending === undefined) pools.delete(key);
}

function notOffered(): BadHandshakeError {
  return new BadHandshakeError('the server does not offer WebSockets over HTTP/2 (RFC 8441)');
}

/** TLS has chosen HTTP/1.1, or nothing. */
function notSpoken(stream: GuardedStream): BadHandshakeError {
  stream.destroy();
  return new BadHandshakeError('the server does not speak HTTP/2');
}

/** Opens a stream for HTTP/2 alone. @throws BadHandshakeError when TLS finds no common protocol. */
async function openOnly(open: OpenWith): Promise<GuardedStream> {
  try {
    return await open(['h2']);
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    if (cause?.code !== NO_PROTOCOL) throw error;
    throw new BadHandshakeError('the server does not speak HTTP/2', undefined, { cause });
  }
}

function isHttp1Only(origin: string): boolean {
  return (askAgainAt.get(origin) ?? 0) > Date.now();
}

function rememberHttp1Only(origin: string): void {
  askAgainAt.delete(origin);
  askAgainAt.set(origin, Date.now() + HTTP1_ONLY_MS);
  if (askAgainAt.size <= MAX_HTTP1_ONLY) return;
  for (const oldest of askAgainAt.keys()) {
    askAgainAt.delete(oldest);
    return;
  }
}

function poolOf(key: string): Pool {
  let pool = pools.get(key);
  if (pool === undefined) {
    pool = { sessions: new Set(), pending: undefined };
    pools.set(key, pool);
  }
  return pool;
}

/**
 * Opens a session.
 *
 * @returns The open stream when the server chooses HTTP/1.1; undefined without RFC 8441.
 */
async function makeSession(
  mode: 'auto' | 'only',
  target: Target,
  scope: DialScope,
  open: OpenWith,
): Promise<SharedSession | GuardedStream | undefined> {
  const guarded = await (mode === 'only' ? openOnly(open) : open(['h2', 'http/1.1']));
  const { stream } = guarded;
  if (target.secure && !(stream instanceof TLSSocket && stream.alpnProtocol === 'h2')) {
    return guarded;
  }
  const session = sessionOver(stream, target);
  guarded.release();
  const shared = new SharedSession(session, stream);
  try {
    if (await offersWebSockets(session, scope, true)) return shared;
  } catch (error) {
    session.destroy();
    // With a write under way, Node may leave the socket of a session open for ever.
    setImmediate(() => stream.destroy());
    if (shared.requiresHttp1) return undefined;
    throw error;
  }
  shared.endIfUnused();
  return undefined;
}

function sessionOver(stream: Duplex, { secure, host }: Target): ClientHttp2Session {
  const session = process
    .getBuiltinModule('node:http2')
    .connect(`${secure ? 'https' : 'http'}://${host}`, {
      createConnection: () => stream,
      settings: { enablePush: false, initialWindowSize: STREAM_WINDOW },
      maxSessionMemory: sessionMemory(MAX_STREAMS),
    });
  session.on('error', () => {});
  session.once('connect', () => {
    // The event comes one turn late.
    if (!session.destroyed) session.setLocalWindowSize(SESSION_WINDOW);
  });
  return session;
}

/** Checks the caller's session. */
async function givenSession(session: ClientHttp2Session, scope: DialScope): Promise<SharedSession> {
  if (session.closed || session.destroyed) {
    throw dialError('the HTTP/2 session has ended', undefined);
  }
  if (!(await offersWebSockets(session, scope, false))) throw notOffered();
  return new SharedSession(session, undefined).acquireStream();
}

const ids = new WeakMap<object, number>();
let lastId = 0;

/**
 * The key of a pool: two dials share it only when the same options open and secure their streams.
 */
export function poolKey(
  { tls, proxyTls, proxy, netDial, netDialTLS, socket }: StreamOpeners,
  target: Target,
  isNamedServer: boolean,
): string {
  const parts = [
    target.secure,
    String(target.address),
    target.address.path,
    target.host,
    isNamedServer,
    proxy,
    netDial,
    netDialTLS,
    ...Object.entries({ ...tls }).flat(),
    'proxyTls',
    ...Object.entries({ ...proxyTls }).flat(),
    'socket',
    ...Object.entries(socket).flat(),
  ];
  return JSON.stringify(parts.map(identityOf));
}

/** A value that compares as `===`. */
function identityOf(value: unknown): unknown {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return value;
  let id = ids.get(value);
  if (id === undefined) {
    id = ++lastId;
    ids.set(value, id);
  }
  return { id };
}
