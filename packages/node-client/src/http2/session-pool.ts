import type { ClientHttp2Session } from 'node:http2';
import process from 'node:process';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { sessionMemory } from '@ws/node-io/internal';
import { type Connector, identityOf } from '../connect.ts';
import type { DialScope } from '../dial-scope.ts';
import { BadHandshakeError, dialError } from '../errors.ts';
import type { GuardedStream } from '../guarded-stream.ts';
import type { DialerPlan, Http2Mode } from '../options.ts';
import type { Target } from '../url.ts';
import { isEnabled, MAX_STREAMS, offersWebSockets, SharedSession } from './shared-session.ts';

/** Bytes that a server may send on one stream before they are read. */
const STREAM_WINDOW = 256 * 1024;
/** The same for all streams of a session. Node gives it back when bytes arrive. */
const SESSION_WINDOW = 1024 * 1024;
/** Milliseconds for which an origin without WebSockets over HTTP/2 is not asked again. */
const HTTP1_ONLY_MS = 600_000;
/** OpenSSL's code when the server knows none of the protocols that a client offers. */
const NO_PROTOCOL = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
/** Most such origins. */
const MAX_HTTP1_ONLY = 1_000;

/** Carrier of a request: a stream of HTTP/1.1, or a session of HTTP/2. */
export type Carrier = GuardedStream | SharedSession;

/** Opens a stream to the server, which chooses one of these protocols. Default: HTTP/1.1. */
export type OpenWith = (protocols?: readonly string[]) => Promise<GuardedStream>;

/** The sessions with one server. */
class Pool {
  /** The key of its connector. */
  readonly options: string;
  /** The key of the pool. */
  readonly #key: string;
  readonly sessions = new Set<SharedSession>();
  /**
   * The session that a dial opens now. Resolves with undefined when the server has no WebSockets
   * over HTTP/2.
   */
  pending: Promise<SharedSession | undefined> | undefined = undefined;

  constructor(options: string, key: string) {
    this.options = options;
    this.#key = key;
  }

  /** Adds a session until it closes or its server ends it. */
  add(shared: SharedSession): void {
    this.sessions.add(shared);
    shared.onRetire = () => {
      if (this.sessions.delete(shared)) this.removeIfEmpty();
    };
    shared.session
      .once('close', () => shared.retire())
      .once('goaway', () => {
        shared.retire();
        setImmediate(() => shared.endIfUnused());
      });
  }

  /** Removes the pool when it has no session, and none is opened. */
  removeIfEmpty(): void {
    if (this.sessions.size === 0 && this.pending === undefined) pools.delete(this.#key);
  }
}

/** Pools of the process, by the key of their connector with {@link serverKey}. An empty one is removed. */
const pools = new Map<string, Pool>();
/** The sessions of callers. */
const given = new WeakMap<ClientHttp2Session, SharedSession>();
/** When each origin is asked again, by `Date.now()`: the newest {@link MAX_HTTP1_ONLY}, oldest first. */
const askAgainAt = new Map<string, number>();

/** Whether a session is open that a connector with the same options has opened. */
export function hasSessions(connector: Connector): boolean {
  const key = connector.sessionKey();
  return [...pools.values()].some(({ options, sessions }) => options === key && sessions.size > 0);
}

/**
 * Finds a session of HTTP/2 with a server that has room for one more stream, or opens one; with
 * `'auto'` perhaps a stream of HTTP/1.1.
 *
 * @throws as `openCarrier`
 */
export function carrierOf(
  connector: Connector,
  { proxy, http2 }: Pick<DialerPlan, 'proxy'> & { readonly http2: Exclude<Http2Mode, false> },
  target: Target,
  isNamedServer: boolean,
  scope: DialScope,
  open: OpenWith,
): Carrier | Promise<Carrier> {
  if (typeof http2 === 'object') return givenSession(http2, scope);
  if (http2 === 'auto' && (!target.secure || isHttp1Only(originOf(target)))) return open();
  const options = connector.sessionKey();
  const find = (): Pool => poolOf(options, options + serverKey(target, isNamedServer, proxy));
  return sessionOf(find()) ?? nextSession(find, http2, target, scope, open);
}

/** A session of the pool, with one more stream. */
function sessionOf({ sessions }: Pool): SharedSession | undefined {
  for (const shared of sessions) if (shared.hasRoom) return shared.acquireStream();
  return undefined;
}

/** Waits for the session that another dial opens, and opens one when there is none. */
async function nextSession(
  find: () => Pool,
  mode: 'auto' | 'only',
  target: Target,
  scope: DialScope,
  open: OpenWith,
): Promise<Carrier> {
  for (;;) {
    // The pool may have been removed meanwhile.
    const pool = find();
    const shared = sessionOf(pool);
    if (shared !== undefined) return shared;
    if (pool.pending === undefined) return openSession(pool, mode, target, scope, open);
    // Ignores another dial's error: this dial makes its own attempt.
    const other = await scope.race(pool.pending.catch(() => undefined));
    if (other === undefined && mode === 'auto' && isHttp1Only(originOf(target))) return open();
  }
}

async function openSession(
  pool: Pool,
  mode: 'auto' | 'only',
  target: Target,
  scope: DialScope,
  open: OpenWith,
): Promise<Carrier> {
  let stream: GuardedStream | undefined;
  pool.pending = makeSession(mode, target, scope, open).then((made) => {
    if (made instanceof SharedSession) {
      pool.add(made);
      return made;
    }
    stream = made;
    return undefined;
  });
  try {
    const shared = await pool.pending;
    if (shared !== undefined) return shared.acquireStream();
  } finally {
    pool.pending = undefined;
    pool.removeIfEmpty();
  }
  if (mode === 'only') throw stream === undefined ? notOffered() : notSpoken(stream);
  rememberHttp1Only(originOf(target));
  return stream ?? open();
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

function originOf({ secure, address }: Target): string {
  return `${secure} ${String(address)}`;
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

function poolOf(options: string, key: string): Pool {
  let pool = pools.get(key);
  if (pool === undefined) {
    pool = new Pool(options, key);
    pools.set(key, pool);
  }
  return pool;
}

/** The part of a pool's key for the server and the proxy. The connector has the rest. */
function serverKey(
  { secure, host, address }: Target,
  isNamedServer: boolean,
  proxy: DialerPlan['proxy'],
): string {
  return JSON.stringify([secure, host, String(address), isNamedServer, identityOf(proxy)]);
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
  guarded.unguard();
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
function givenSession(
  session: ClientHttp2Session,
  scope: DialScope,
): SharedSession | Promise<SharedSession> {
  if (session.closed || session.destroyed) {
    throw dialError('the HTTP/2 session has ended', undefined);
  }
  if (session.connecting || !isEnabled(session)) return offeredSession(session, scope);
  // One object for all dials: it listens to the session.
  let shared = given.get(session);
  if (shared === undefined) {
    shared = new SharedSession(session, undefined);
    given.set(session, shared);
  }
  return shared.acquireStream();
}

async function offeredSession(
  session: ClientHttp2Session,
  scope: DialScope,
): Promise<SharedSession> {
  if (!(await offersWebSockets(session, scope, false))) throw notOffered();
  return givenSession(session, scope);
}
