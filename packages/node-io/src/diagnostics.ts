import { type Channel, channel } from 'node:diagnostics_channel';
import type { CloseInfo, Conn, Watch } from '@ws/conn';

/** A message, as the channels of {@link Diagnostics} tell of it. */
export interface MessageSeen {
  /** The connection that it came or went by. */
  readonly conn: Conn;
  /** `TextMessage` (1) or `BinaryMessage` (2). */
  readonly type: number;
  /** Bytes of plain payload. */
  readonly bytes: number;
}

/**
 * The channels of `node:diagnostics_channel` to which every connection with `nodeHost` publishes, and what.
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
  /** A connection was made, on either side: `conn.role` tells which. */
  readonly '@ws:open': { readonly conn: Conn };
  /** A connection ended by a fault, `error`: its `@ws:close` follows at once. */
  readonly '@ws:fail': { readonly conn: Conn; readonly error: unknown };
  /** A connection is over, in whatever way: `info` is what `conn.closed` resolves with. */
  readonly '@ws:close': { readonly conn: Conn; readonly info: CloseInfo };
  /** A message has come, whole; nobody has got it yet. */
  readonly '@ws:message:in': MessageSeen;
  /** A message was accepted for sending. */
  readonly '@ws:message:out': MessageSeen;
}

function ours(name: keyof Diagnostics): Channel {
  return channel(name);
}

const open = /* @__PURE__ */ ours('@ws:open');
const fail = /* @__PURE__ */ ours('@ws:fail');
const close = /* @__PURE__ */ ours('@ws:close');
const messageIn = /* @__PURE__ */ ours('@ws:message:in');
const messageOut = /* @__PURE__ */ ours('@ws:message:out');

function tellOpen(conn: object): void {
  open.publish({ conn });
}

function tellClose(conn: object, info: CloseInfo): void {
  if (info.error !== undefined) fail.publish({ conn, error: info.error });
  close.publish({ conn, info });
}

function tellIn(conn: object, type: number, bytes: number): void {
  messageIn.publish({ conn, type, bytes });
}

function tellOut(conn: object, type: number, bytes: number): void {
  messageOut.publish({ conn, type, bytes });
}

/**
 * Publishes to the channels that somebody subscribes to. A class: V8 looks up its getters in 1 ns, an object literal's in
 * 11.
 */
class Publisher implements Watch {
  get opened(): Watch['opened'] {
    return open.hasSubscribers ? tellOpen : undefined;
  }

  get closed(): Watch['closed'] {
    return close.hasSubscribers || fail.hasSubscribers ? tellClose : undefined;
  }

  get messageIn(): Watch['messageIn'] {
    return messageIn.hasSubscribers ? tellIn : undefined;
  }

  get messageOut(): Watch['messageOut'] {
    return messageOut.hasSubscribers ? tellOut : undefined;
  }
}

/** What `nodeHost` lends as its watch. */
export const diagnostics: Watch = /* @__PURE__ */ new Publisher();
