import type { ClientHttp2Session } from 'node:http2';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Http2Code, unref } from '@ws/node-io/internal';
import type { DialScope } from '../dial-scope.ts';
import { BadHandshakeError, dialError } from '../errors.ts';

/** Most streams of a session, also if its server allows more. */
export const MAX_STREAMS = 1_000;
/** Milliseconds in which the server of a session that is over may end its side of the socket. */
const LINGER_MS = 2_000;

/** A session, and the number of its streams. */
export class SharedSession {
  readonly session: ClientHttp2Session;
  streams = 0;
  /** The server has ended the session with HTTP_1_1_REQUIRED (RFC 9113, section 7). */
  requiresHttp1 = false;
  /** Set by the pool of the session. */
  onRetire: (() => void) | undefined = undefined;
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
    this.onRetire?.();
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

/** Pending answers of {@link offersWebSockets}. Listeners for each dial would be too many. */
const pendingOffers = new WeakMap<ClientHttp2Session, Promise<boolean>>();

/**
 * Whether the server allows WebSockets (RFC 8441, section 3). Waits for its SETTINGS.
 *
 * @param isNew - The session has read nothing yet.
 * @throws BadHandshakeError when the server does not speak HTTP/2; TransportError when the session ends
 *   before its SETTINGS.
 */
export async function offersWebSockets(
  session: ClientHttp2Session,
  scope: DialScope,
  isNew: boolean,
): Promise<boolean> {
  if (!session.connecting && isEnabled(session)) return true;
  scope.stage = 'waiting for the settings of HTTP/2';
  let offer = pendingOffers.get(session);
  if (offer === undefined) {
    offer = waitForSettings(session, isNew).finally(() => pendingOffers.delete(session));
    pendingOffers.set(session, offer);
    offer.catch(() => {});
  }
  return scope.race(offer);
}

/** Turns of the event loop in which Node emits an end that has arrived with the SETTINGS. */
const END_TURNS = 16;

function afterTurns(turns: number, then: () => void): void {
  setImmediate(() => (turns > 1 ? afterTurns(turns - 1, then) : then()));
}

/** Only SETTINGS without WebSockets need more: their values are defaults before. */
async function waitForSettings(session: ClientHttp2Session, isNew: boolean): Promise<boolean> {
  await new Promise<void>((resolve, reject) => {
    const fail = (error?: Error | null): void => {
      stop();
      reject(failureOf(error ?? undefined));
    };
    const stop = (): void => {
      session.off('error', fail).off('close', fail).off('remoteSettings', onSettings);
    };
    const done = (): void => {
      stop();
      resolve();
    };
    const onSettings = (): void => {
      if (isEnabled(session)) done();
      // The end may have come with them: Node takes some turns to emit it.
      else afterTurns(END_TURNS, done);
    };
    // SETTINGS that came before show no event. The answer to a PING comes after them.
    const ask = (): void => {
      session.ping((error) => {
        if (error === null) done();
        else fail(error);
      });
    };
    session.once('error', fail).once('close', fail).on('remoteSettings', onSettings);
    if (session.destroyed) fail();
    else if (!isNew && !session.connecting) ask();
  });
  return isEnabled(session);
}

function failureOf(cause: NodeJS.ErrnoException | undefined): Error {
  // nghttp2 cannot read the answer.
  if (cause?.code === 'ERR_HTTP2_ERROR') {
    return new BadHandshakeError('the server does not speak HTTP/2', undefined, { cause });
  }
  if (cause !== undefined) return dialError('the HTTP/2 session has failed', cause);
  const what = 'the connection ended before the first frame of HTTP/2';
  return dialError(`${what}; perhaps the server does not speak it`, undefined);
}

/** Whether the server has allowed WebSockets. Before its SETTINGS, the values are defaults. */
export function isEnabled({ remoteSettings }: ClientHttp2Session): boolean {
  return remoteSettings.enableConnectProtocol === true;
}
