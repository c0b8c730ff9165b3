import { EventEmitter } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type {
  Http2ServerRequest,
  Http2ServerResponse,
  Http2Session,
  IncomingHttpHeaders,
  ServerHttp2Stream,
  ServerOptions,
} from 'node:http2';
import type { Server as NetServer } from 'node:net';
import process from 'node:process';
import type { Duplex } from 'node:stream';
import { setImmediate, setTimeout as wait } from 'node:timers/promises';
import type { TlsOptions } from 'node:tls';
import type { Heartbeat } from '@ws/conn';
import { countUnread, endAtReset, sessionMemory } from '@ws/node-io/internal';
import { guardSession, watchResets } from './session-guard.ts';

/** The option `http2` as an object. */
export interface Http2Options {
  /**
   * Most streams of one session at a time. The server announces it; a client that opens more loses its
   * session. Default: 1,000.
   */
  readonly maxStreams?: number | undefined;
}

/** A listener for 'stream' of a server of node:http2. */
export type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags?: number,
  rawHeaders?: string[],
) => void;

/**
 * Bytes that a client may send on one stream before it is read. Unread streams of a session, also of
 * pages, hold at most 32 MiB together: above that, the longest-paused ones are reset.
 */
const STREAM_WINDOW = 256 * 1024;
/** Window of a session, in bytes: it carries many streams. */
const SESSION_WINDOW = 1024 * 1024;
/** Milliseconds to wait for sessions to close. */
const CLOSE_MS = 250;

/** Milliseconds after which a session without a stream closes. */
const IDLE_TIMEOUT = 120_000;

/** The options of a server (RFC 8441, section 3). */
function serverOptions({ maxStreams = 1_000 }: Http2Options): ServerOptions {
  const settings = {
    enableConnectProtocol: true,
    maxConcurrentStreams: maxStreams,
    initialWindowSize: STREAM_WINDOW,
  };
  return { settings, maxSessionMemory: sessionMemory(maxStreams) };
}

/**
 * Makes a server of HTTP/2; with `tls`, HTTP/1.1 is served beside it. node:http2 is loaded only here.
 *
 * @param tls - Undefined for HTTP/2 in clear.
 */
export function makeHttp2Server(http2: Http2Options, tls: TlsOptions | undefined): NetServer {
  const { createServer, createSecureServer } = process.getBuiltinModule('node:http2');
  const options = serverOptions(http2);
  if (tls === undefined) return createServer(options);
  return createSecureServer({ ...tls, ...options, allowHTTP1: true });
}

/** The sessions of a server that `serve` has created. */
export class Http2Sessions {
  readonly #sessions = new Set<Http2Session>();
  readonly #heartbeat: Heartbeat;
  readonly #handshakeTimeout: number;
  /** {@link refuseStreams} was called. */
  #refuses = false;

  /**
   * @param server - From {@link makeHttp2Server}, with its listener for 'request'.
   * @param handshakeTimeout - Milliseconds until the SETTINGS of a client; Infinity for no bound.
   * @param accept - Gets the streams with the method CONNECT. Others become requests.
   */
  constructor(
    server: NetServer,
    heartbeat: Heartbeat,
    handshakeTimeout: number,
    accept: StreamListener,
  ) {
    this.#heartbeat = heartbeat;
    this.#handshakeTimeout = handshakeTimeout;
    server.on('session', (session: Http2Session) => this.#add(session));
    // Node's own listener makes requests and responses of all streams. A WebSocket needs neither.
    const listeners = server.listeners('stream') as StreamListener[];
    server.removeAllListeners('stream');
    server.on('stream', (...args: Parameters<StreamListener>) => {
      const [stream, headers] = args;
      if (!watchResets(stream, heartbeat)) return;
      if (headers[':method'] === 'CONNECT') return accept(...args);
      endAtReset(stream);
      if (!stream.endAfterHeaders) stream.once('close', countUnread(stream));
      for (const listener of listeners) listener(...args);
    });
  }

  #add(session: Http2Session): void {
    this.#sessions.add(session);
    session.setLocalWindowSize(SESSION_WINDOW);
    session.once('close', () => this.#sessions.delete(session));
    guardSession(session, this.#heartbeat, this.#handshakeTimeout, IDLE_TIMEOUT);
    // Its TLS handshake was pending before.
    if (this.#refuses) session.close();
  }

  /** Sends GOAWAY: open streams continue, and clients open no more. */
  refuseStreams(): void {
    this.#refuses = true;
    for (const session of this.#sessions) session.close();
  }

  /** Destroys all sessions, and waits a moment for their clients. */
  async destroy(): Promise<void> {
    // Not within 'close' of a stream: Node 20 loops for ever, see session-guard.ts.
    await setImmediate();
    const sessions = [...this.#sessions];
    const closed = sessions.map((session) => new Promise((done) => session.once('close', done)));
    for (const session of sessions) if (!session.destroyed) session.destroy();
    const controller = new AbortController();
    const { signal } = controller;
    const late = wait(CLOSE_MS, undefined, { signal }).catch(() => {});
    await Promise.race([Promise.all(closed), late]);
    controller.abort();
  }
}

/** Streams that a listener of ours has got. */
const taken = new WeakSet<ServerHttp2Stream>();
/** Listeners for 'stream' of ours. */
const ownListeners = new WeakSet<object>();

/**
 * Makes a listener that passes on each CONNECT with a `:protocol`, and ignores all other streams.
 *
 * @param leaves - Whether it leaves a stream to other listeners.
 */
export function webSocketStreams(
  accept: StreamListener,
  leaves: (headers: IncomingHttpHeaders) => boolean = () => false,
): StreamListener {
  const listener: StreamListener = function (this: unknown, stream, headers, flags, rawHeaders) {
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] === undefined) return;
    answerConnect(this);
    if (leaves(headers)) return;
    taken.add(stream);
    accept(stream, headers, flags, rawHeaders);
  };
  ownListeners.add(listener);
  return listener;
}

/**
 * Keeps Node from answering 405 to a WebSocket on a server with a listener for 'request'. Node answers
 * unless 'connect' has a listener, and then answers no CONNECT: the listener answers the others.
 *
 * @param server - The server that emits 'stream'.
 */
function answerConnect(server: unknown): void {
  if (server instanceof EventEmitter && server.listenerCount('connect') === 0) {
    server.on('connect', refuseConnect);
  }
}

/** Listener for 'connect': does what Node does without one, except for WebSockets. */
function refuseConnect(
  this: EventEmitter,
  req: IncomingMessage | Http2ServerRequest,
  res: Duplex | Http2ServerResponse,
): void {
  // The application answers.
  if (this.listenerCount('connect') > 1) return;
  if (!('stream' in req)) return void (res as Duplex).destroy();
  const { stream, headers } = req;
  if (taken.has(stream) || stream.headersSent || stream.closed) return;
  const isOther = headers[':protocol'] !== undefined && hasOtherListener(this);
  if (isOther) return;
  (res as Http2ServerResponse).statusCode = 405;
  (res as Http2ServerResponse).end();
}

/** Whether the application has a listener for 'stream' beside ours and Node's own. */
function hasOtherListener(server: EventEmitter): boolean {
  return server
    .listeners('stream')
    .some((listener) => !ownListeners.has(listener) && listener.name !== NODES_LISTENER);
}

/** The listener that makes requests and responses of streams. */
const NODES_LISTENER = 'bound onServerStream';
