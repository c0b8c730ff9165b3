import { type Channel, channel } from 'node:diagnostics_channel';
import { type DebugLogger, debuglog } from 'node:util';
import { excerpt } from '@ws/codec/internal';
import type { CloseInfo, Conn, Observer, ReportedConn } from '@ws/conn';
import { internalsOf } from '@ws/conn/internal';

/** A message, as the channels of {@link Diagnostics} publish it. */
export interface MessageSeen {
  /** The connection of the message. */
  readonly conn: Conn;
  /** `TextMessage` (1) or `BinaryMessage` (2). */
  readonly type: number;
  /** Size of the uncompressed payload in bytes. */
  readonly bytes: number;
}

/**
 * The channels of `node:diagnostics_channel` and their payloads. Every connection with
 * `nodePlatform` publishes to them.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel';
 * import type { Diagnostics } from '@ws/node-io';
 *
 * subscribe('@ws:close', (event) => {
 *   const { conn, info } = event as Diagnostics['@ws:close'];
 *   console.log(conn.remoteAddr, info.code, conn.stats);
 * });
 * ```
 */
export interface Diagnostics {
  /** A connection was created. `conn.role` is its role. */
  readonly '@ws:open': { readonly conn: Conn };
  /** A connection ended with a fault, `error`. Its `@ws:close` follows at once. */
  readonly '@ws:fail': { readonly conn: Conn; readonly error: unknown };
  /** A connection has ended. `info` is the value of `conn.closed`. */
  readonly '@ws:close': { readonly conn: Conn; readonly info: CloseInfo };
  /** A whole message has arrived. The application does not have it yet. */
  readonly '@ws:message:in': MessageSeen;
  /** A message was accepted for sending. */
  readonly '@ws:message:out': MessageSeen;
  /** A client begins to dial `url`. Its options are valid. */
  readonly '@ws:dial': { readonly url: string };
  /** A dial has failed. The promise of `dial` rejects with `error`. */
  readonly '@ws:dial:fail': { readonly url: string; readonly error: unknown };
  /**
   * The handles of zlib have failed their self-test in this thread, for the reason `error`.
   * Compression uses the synchronous functions of zlib, which are slower. Published once; a second
   * time if these fail too: no compression is offered.
   */
  readonly '@ws:compression:fail': { readonly error: unknown };
}

/** The log of `NODE_DEBUG=ws`, on standard error. Check `enabled` before you format its text. */
export const debug: DebugLogger = /* @__PURE__ */ debuglog('ws');

function channelOf(name: keyof Diagnostics): Channel {
  return channel(name);
}

const open = /* @__PURE__ */ channelOf('@ws:open');
const fail = /* @__PURE__ */ channelOf('@ws:fail');
const close = /* @__PURE__ */ channelOf('@ws:close');
const messageIn = /* @__PURE__ */ channelOf('@ws:message:in');
const messageOut = /* @__PURE__ */ channelOf('@ws:message:out');
const compressionFail = /* @__PURE__ */ channelOf('@ws:compression:fail');

/** Publishes that a way to use zlib does not work. */
export function publishCompressionFailure(error: unknown): void {
  compressionFail.publish({ error });
  debug('compression: %s', describeError(error));
}

/** The role and the addresses of a connection. */
function describeConn({ role, localAddr, remoteAddr }: ReportedConn): string {
  return `${role} ${localAddr ?? '?'}, peer ${remoteAddr ?? '?'}`;
}

/** How a connection has ended. */
function describeClose({ code, reason, wasClean, error }: CloseInfo): string {
  const why = error === undefined ? '' : `, ${describeError(error)}`;
  return `${code} "${escaped(reason)}"${wasClean ? '' : ', not clean'}${why}`;
}

/** Class and message of an error, on one line. */
function describeError(error: unknown): string {
  try {
    return escaped(String(error));
  } catch {
    return 'a value that cannot be printed';
  }
}

/** The peer's bytes must not change what a terminal shows. */
function escaped(text: string): string {
  return excerpt(text, Infinity);
}

function publishOpen(conn: object): void {
  // Asks for the address, for those who get the end of the connection: a closed socket has none.
  void (conn as Conn).remoteAddr;
  open.publish({ conn });
  if (!debug.enabled) return;
  debug('open: %s', describeConn(conn as Conn));
  internalsOf(conn as Conn).rememberEvents((events) => {
    debug('bug in the library: %s: reader %s', describeConn(conn as Conn), events.join(', '));
  });
}

function publishClose(conn: object, info: CloseInfo): void {
  if (info.error !== undefined) fail.publish({ conn, error: info.error });
  close.publish({ conn, info });
  if (debug.enabled) debug('close: %s: %s', describeConn(conn as Conn), describeClose(info));
}

function publishMessageIn(conn: object, type: number, bytes: number): void {
  messageIn.publish({ conn, type, bytes });
}

function publishMessageOut(conn: object, type: number, bytes: number): void {
  messageOut.publish({ conn, type, bytes });
}

function logReported(error: unknown, where: string, conn: object | undefined): void {
  const whose = conn === undefined ? '' : ` of ${describeConn(conn as Conn)}`;
  debug('error in %s%s: %s', where, whose, describeError(error));
}

function logBlocked(conn: object, bytes: number, ms: number): void {
  debug(
    'blocked: %s: no read for %d ms while %d bytes of writes wait; the peer may wait in the same way: read while you write',
    describeConn(conn as Conn),
    ms,
    bytes,
  );
}

/**
 * Publishes to the channels that have subscribers. A class: V8 looks up its getters in 1 ns, in
 * an object literal in 11 ns.
 */
class Publisher implements Observer {
  get opened(): Observer['opened'] {
    const observed = open.hasSubscribers || close.hasSubscribers || fail.hasSubscribers;
    return observed || debug.enabled ? publishOpen : undefined;
  }

  get closed(): Observer['closed'] {
    const observed = close.hasSubscribers || fail.hasSubscribers || debug.enabled;
    return observed ? publishClose : undefined;
  }

  get reported(): Observer['reported'] {
    return debug.enabled ? logReported : undefined;
  }

  get blocked(): Observer['blocked'] {
    return debug.enabled ? logBlocked : undefined;
  }

  get messageIn(): Observer['messageIn'] {
    return messageIn.hasSubscribers ? publishMessageIn : undefined;
  }

  get messageOut(): Observer['messageOut'] {
    return messageOut.hasSubscribers ? publishMessageOut : undefined;
  }
}

/** The observer of `nodePlatform`. */
export const diagnostics: Observer = /* @__PURE__ */ new Publisher();
