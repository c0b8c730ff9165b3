import {
  CloseCode,
  CloseMessage,
  type DeflateExtension,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from '@ws/codec';
import { checked, fromCaller } from '@ws/codec/internal';
import {
  type ConnCloseOptions,
  checkCloseOptions,
  checkWaits,
  checkWriterOptions,
  type NextWriterOptions,
  type PingOptions,
  type WriteOptions,
} from './call-options.ts';
import { CONN_FACTS, CONN_HABITS } from './conn-habits.ts';
import { Connection } from './connection/connection.ts';
import type { MessageWriter } from './connection/message-writer.ts';
import { sendPrepared } from './connection/messages.ts';
import { cancelRead, MessageIterator, read } from './connection/pull-reads.ts';
import { sharedOf } from './connection/shared.ts';
import { writeControl, writeData } from './connection/write-call.ts';
import {
  type CloseHandler,
  type PingPongHandler,
  UserHandler,
} from './control/control-handlers.ts';
import { addHabits, type Habits, refuseHandlers } from './habits.ts';
import { InternalsOfConn } from './internals-of-conn.ts';
import { copyOf } from './memory/copy.ts';
import type { Message } from './message.ts';
import { compressionLevel } from './options/compression.ts';
import {
  type ConnOptions,
  ResolvedOptions,
  readLimit,
  resolveOptions,
} from './options/conn-options.ts';
import { deflateExtension } from './options/deflate.ts';
import type { CloseInfo, ConnState, ConnStats } from './platform/observer.ts';
import { checkNoMaps, formatJSON, parseLater } from './read/json.ts';
import type { MessageReader } from './read/message-reader.ts';
import { type MessageStreams, streamsOf } from './read/message-streams.ts';
import { type MessageHandler, receive, startReceive } from './read/receive-call.ts';
import { markHandled, rejected, resolvedAt } from './time/promises.ts';
import { keepAliveFor, type WaitOptions, withTimeout } from './time/wait.ts';
import { checkTransport, type Transport } from './transport.ts';
import { badType, duration, kind, refuseCopy } from './validate.ts';
import { controlPayload, dataTypeOf, isControlType, type MessageData } from './writing/payload.ts';
import { PreparedMessage } from './writing/prepared-message.ts';

/**
 * A WebSocket connection over any {@link Transport} (RFC 6455).
 *
 * There are five ways to read: {@link readMessage}, {@link nextReader},
 * `for await (const message of conn)`, {@link receive} (the fastest) and {@link discardReads}. Any
 * number of callers may write. Messages are sent in the order of the calls.
 *
 * A promise of a Conn that you ignore causes no unhandled rejection. {@link closed} reports how the
 * connection ended. The option `report` gets the errors of your functions and of wrong arguments.
 *
 * @typeParam Data - The type of {@link Conn.data}.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 *
 * const [client, server] = connPair();
 * void server.receive((message) => server.send(message));
 * await client.send('hello');
 * const message = await client.readMessage();
 * console.log(message.text());
 * await client.close();
 * ```
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface below
// oxlint-disable-next-line typescript/no-explicit-any, typescript/no-unsafe-declaration-merging -- code that ignores `data` names no type
export class Conn<Data = any> implements AsyncIterable<Message>, AsyncDisposable {
  /**
   * Data of the application. The library does not read this field. On a server the initial value is
   * what `authenticate` has admitted, otherwise undefined.
   */
  data: Data = undefined as Data;
  /** The subprotocol that the handshake agreed on, or `''` (RFC 6455, section 1.9). */
  readonly subprotocol: string;
  /** The extensions that the handshake agreed on, as in the response's header, or `''`. */
  readonly extensions: string;
  readonly #connection: Connection;
  /** Undefined unless both ends have agreed on permessage-deflate. */
  readonly #deflate: DeflateExtension | undefined;

  /**
   * A Conn emits no events: read with {@link Conn.receive} or `for await`, and await
   * {@link Conn.closed}.
   *
   * @deprecated
   * @throws TypeError
   */
  set onmessage(_: never) {
    this.on();
  }

  /**
   * Starts `transport`. No other code may use the transport from then on. The connection parses no
   * frame before your code reaches its first `await`, so your code can set handlers in time.
   *
   * @throws TypeError, RangeError for a bad option; TypeError when the first argument is no
   *   transport. The transport is not started then.
   */
  constructor(transport: Transport, options: ConnOptions) {
    const resolved = checked(
      () => {
        checkTransport(transport);
        return options instanceof ResolvedOptions ? options : resolveOptions(options);
      },
      new.target,
    );
    hasHabits ||=
      addHabits(Conn.prototype, 'conn', CONN_HABITS, CONN_FACTS) &&
      refuseHandlers(Conn.prototype, 'a Conn emits no events; await conn.closed');
    const { role, platform, settings, subprotocol, extensions, deflate, extension } = resolved;
    this.subprotocol = subprotocol;
    this.extensions = extensions;
    const shared = sharedOf[role](platform);
    this.#deflate = deflateExtension(deflate, settings.writing.compression, role, platform);
    this.#connection = new Connection(
      this,
      transport,
      shared,
      settings,
      this.#deflate ?? extension,
    );
    this.#connection.start();
  }

  /** The role of this end: `client` or `server`. */
  get role(): Role {
    return this.#connection.shared.role;
  }

  /**
   * `open` at first. `closing` as soon as this end sends a close frame, answers the peer's close
   * frame or the end of its stream, or fails or destroys the connection. `closed` after the
   * transport has closed.
   */
  get state(): ConnState {
    return this.#connection.state;
  }

  /** How the connection ended. Resolves when the transport has closed; never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#connection.closedPromise();
  }

  /** Bytes of accepted writes that the operating system does not have yet. */
  get bufferedAmount(): number {
    return this.#connection.bufferedAmount;
  }

  /** A snapshot of the counters. */
  get stats(): ConnStats {
    const connection = this.#connection;
    const { machine, control } = connection;
    return {
      messagesIn: machine.messagesIn,
      messagesOut: connection.messagesOut,
      messagesRefused: control?.writes?.messagesRefused ?? 0,
      messagesDropped: control?.reads?.messagesDropped ?? 0,
      framesIn: machine.framesIn,
      framesOut: machine.framesOut,
      bytesIn: connection.bytesIn,
      bytesOut: machine.bytesOut,
      pingsIn: machine.pingsIn,
      pingsOut: control?.pingsOut ?? 0,
      rtt: control?.pings?.rtt ?? NaN,
      compressionBytes: this.#deflate === undefined ? 0 : this.#deflate.historyBytes,
    };
  }

  /** The local address, as the transport names it. */
  get localAddr(): string | undefined {
    return this.#connection.transport.localAddr;
  }

  /**
   * The peer's address, as the transport names it. Read this while the connection is open, because
   * a closed socket does not know it.
   */
  get remoteAddr(): string | undefined {
    return this.#connection.transport.remoteAddr;
  }

  /**
   * The object under the transport, for example a `net.Socket`. Reading or writing it corrupts the
   * connection.
   */
  get underlyingConn(): unknown {
    return this.#connection.transport.underlying;
  }

  /**
   * Reads the next message. You own its bytes.
   *
   * `signal` and `timeout` (ms) end the wait, not the connection. A later read then gets the message.
   *
   * @throws (rejects) The error that ended the connection, usually a {@link CloseError}; every
   *   later read rejects with the same error. {@link ReadPendingError} while another read is
   *   pending, {@link TimeoutError} after `timeout`, the reason of `signal`.
   */
  readMessage(options?: WaitOptions): Promise<Message> {
    const connection = this.#connection;
    if (options === undefined) return read(connection, 'readMessage');
    return waitForRead(connection, 'readMessage', options);
  }

  /**
   * Reads the next message, text or binary, and parses it as JSON.
   *
   * @throws (rejects) {@link JSONError} when the message is not JSON. The message is consumed, and
   *   the connection stays usable. Otherwise as {@link readMessage}.
   */
  readJSON<T = unknown>(options: WaitOptions = {}): Promise<T> {
    const message = waitForRead<Message>(this.#connection, 'readJSON', options);
    const value: Promise<T> = parseLater(message, () => void markHandled(value));
    return value;
  }

  /**
   * Waits until the next message begins, and returns it as a stream. The unread rest of the
   * previous message is dropped.
   *
   * `signal` and `timeout` (ms) end the wait for the first byte.
   *
   * @throws (rejects) As {@link readMessage}.
   */
  nextReader(options?: WaitOptions): Promise<MessageReader> {
    const connection = this.#connection;
    if (options === undefined) return read(connection, 'nextReader');
    return waitForRead(connection, 'nextReader', options);
  }

  /**
   * Iterates over the messages. The iteration ends after close code 1000, 1001 or 1005, and throws
   * the {@link CloseError} for other codes. `break` leaves the connection open.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    return new MessageIterator(this.#connection);
  }

  /**
   * Calls `handler` with every message until the connection ends. This is the fastest way to read:
   * all messages use the same {@link BorrowedMessage} object. If you are new to the library, start
   * with `for await`.
   *
   * The object is valid until the handler returns. If the handler returns a promise, the object is
   * valid until that promise settles, and the next message waits. Meanwhile pings are answered and
   * messages are read ahead. You may keep the values of `data`, `text()`, `json()` and `copy()`.
   *
   * @returns How the connection ended, after close code 1000, 1001 or 1005.
   * @throws (rejects) {@link CloseError} for other codes; a `TransportError` when the peer has
   *   closed within a message; the error of the handler, which closes the connection with 1011;
   *   {@link ReadPendingError}; TypeError when `handler` is not a function.
   */
  receive(handler: MessageHandler): Promise<CloseInfo>;
  receive(handler: MessageHandler, ...more: unknown[]): Promise<CloseInfo> {
    return receive(this.#connection, handler, more);
  }

  /**
   * Reads and drops every message. For programs that only write: unread messages would delay pings,
   * pongs and the peer's close frame, and so `close()`. Settles as {@link receive} does.
   */
  discardReads(): Promise<CloseInfo> {
    return startReceive(this.#connection, undefined);
  }

  /**
   * Sends a message as one frame of any size, or in several above `fragmentationThreshold`.
   *
   * @param type - `TextMessage` or `BinaryMessage`; a control type is passed to
   *   {@link writeControl}.
   * @param data - A string, an ArrayBuffer, any view, or a received message. A client copies all data
   *   during the call. A server copies less than 32 KiB, and references more: do not change such data
   *   until the promise settles. The memory of a BorrowedMessage stays valid until the message is
   *   sent: do not change the bytes of `borrow()` after the call. Lone surrogates in a string are sent
   *   as U+FFFD. Bytes that you send as text must be valid UTF-8, which is not checked.
   * @param options - An abort of `signal` cancels the message while it waits for the transport or for
   *   an open MessageWriter. Once the transport has the message, the abort has no effect.
   * @returns A promise that resolves at once, although the bytes are sent at the end of the turn, or
   *   at once when the first bytes of the turn have waited for 10 ms.
   *   Above the high-water mark it resolves when the transport has drained; after 1 MiB or 1,000
   *   frames in this turn, in the next turn; for referenced data, when the transport has released
   *   the bytes. Await the promise, so that a slow peer slows you down.
   * @throws (rejects) {@link CloseSentError}, {@link BackpressureError}, {@link TransportError};
   *   TypeError for other data or another type; the reason of `signal`. A write that rejects while
   *   the connection is open was not sent. A write that rejects at the end may have reached the
   *   peer.
   * @see RFC 6455, sections 5.6 and 6.1
   */
  writeMessage(type: number, data: MessageData, options?: WriteOptions): Promise<void> {
    return writeData(this.#connection, 'writeMessage', type, data, options);
  }

  /**
   * As {@link writeMessage}: a string is sent as text, bytes as binary, a {@link Message} or
   * {@link BorrowedMessage} with its own type.
   */
  send(data: MessageData, options?: WriteOptions): Promise<void> {
    const type = typeof data === 'string' ? TextMessage : dataTypeOf(data);
    return writeData(this.#connection, 'send', type, data, options);
  }

  /**
   * Opens a writer for a message that is sent as a stream, in fragments of `writeBufferSize` bytes.
   *
   * At most one writer is open, as in gorilla/websocket. This call finishes an open writer: the
   * last fragment is sent, and the next call of that writer rejects with {@link WriteClosedError}.
   * With `queue: true` this call waits until the owner closes the open writer. Use `queue` when
   * several producers write streams. Whole messages always wait until the writer is closed.
   *
   * @param type - `TextMessage` or `BinaryMessage`. The writer of a control type sends one control
   *   frame when it is closed.
   * @throws (rejects) {@link CloseSentError}, {@link BackpressureError} when too many writes wait,
   *   the error that ended the connection, TypeError for another type.
   * @see RFC 6455, section 5.4
   */
  nextWriter(type: number, options: NextWriterOptions = {}): Promise<MessageWriter> {
    try {
      checkWriterOptions(type, options);
      const queue = this.#connection.outbox.queueOrNew();
      return queue.nextWriter(type, options.queue === true, options.compress);
    } catch (error) {
      return this.#connection.rejected(error, 'nextWriter');
    }
  }

  /**
   * Sends `value` as a text message in JSON.
   *
   * @throws (rejects) {@link JSONError} when `value` cannot be serialized, TypeError for a Map, a Set or a
   *   promise in it. Nothing is sent then.
   *   Otherwise as {@link writeMessage}.
   */
  writeJSON(value: unknown, options?: WriteOptions): Promise<void> {
    let text: string;
    try {
      text = formatJSON(value);
      checkNoMaps('writeJSON', value, text);
    } catch (error) {
      fromCaller(error, this, 'writeJSON');
      this.#connection.report(error, 'writeJSON');
      return rejected(error);
    }
    return writeData(this.#connection, 'writeJSON', TextMessage, text, options);
  }

  /**
   * Sends a {@link PreparedMessage}. All connections share its compressed variant. The promise
   * settles as for {@link writeMessage}.
   *
   * @throws (rejects) As {@link writeMessage}; TypeError when `message` is not a PreparedMessage.
   */
  writePreparedMessage(message: PreparedMessage): Promise<void> {
    try {
      checkPrepared(message);
      if (isControlType(message.type)) return this.writeControl(message.type, message.bytes);
      return sendPrepared(this.#connection, message);
    } catch (error) {
      return this.#connection.rejected(error, 'writePreparedMessage');
    }
  }

  /**
   * Sends a control frame (RFC 6455, section 5.5). Pings and pongs overtake queued messages. A
   * close frame is sent after all accepted messages and starts the closing handshake, as
   * {@link close} does.
   *
   * @param type - `CloseMessage`, `PingMessage` or `PongMessage`.
   * @param data - At most 125 bytes, copied during the call. For a close frame: empty, or the
   *   result of {@link formatCloseMessage}.
   * @param deadline - A Date or ms since 1970. A frame with a past deadline is not sent.
   * @throws (rejects) TypeError for another type, RangeError for an invalid payload,
   *   {@link TimeoutError} after the deadline, {@link CloseSentError}, {@link BackpressureError}
   *   when 64 pings already wait. While the transport is blocked, only the newest pong waits. Older
   *   pongs are not sent then, but their promises resolve.
   */
  writeControl(
    type: number,
    data: MessageData = '',
    deadline?: Date | number | null,
  ): Promise<void> {
    return writeControl(this.#connection, type, data, deadline);
  }

  /**
   * Sends a ping. Resolves with the round trip in ms when the pong of this ping or of a later one
   * arrives (RFC 6455, section 5.5.3).
   *
   * @param data - At most 125 bytes, copied. Default: a number that is unique on this connection.
   * @throws (rejects) {@link TimeoutError} after `timeout` (20 s), the reason of `signal`,
   *   {@link BackpressureError} when 64 pings are unanswered, the error that ended the connection.
   */
  ping(
    data?: string | ArrayBufferLike | ArrayBufferView,
    options: PingOptions = {},
  ): Promise<number> {
    const { platform, outbox } = this.#connection;
    const pings = this.#connection.pings();
    try {
      checkWaits('ping', options);
      const timeout = duration('timeout', options.timeout, 20_000, true);
      const payload =
        data === undefined ? pings.nextPayload() : copyOf(controlPayload(data, platform, 'ping'));
      return withTimeout(
        platform,
        { signal: options.signal },
        () => {
          const answer = pings.add(payload, timeout, (bytes) => outbox.control(PingMessage, bytes));
          if (typeof options.timeout !== 'number') return answer;
          return keepAliveFor(platform, timeout, answer);
        },
        (answer, reason) => pings.giveUp(answer, reason),
      );
    } catch (error) {
      return this.#connection.rejected(error, 'ping');
    }
  }

  /**
   * Switches compression of later messages on or off, if permessage-deflate was agreed on. The
   * option `compress` of a write has priority. Switch compression off for messages that contain
   * both secrets and text of other people: the compressed length reveals the secrets in part.
   *
   * @throws TypeError when `on` is not a boolean.
   * @see RFC 7692, section 6
   */
  enableWriteCompression(on: boolean): void {
    checked(
      () => {
        if (typeof on === 'boolean') return;
        throw new TypeError(`enableWriteCompression: expected true or false, got ${kind(on)}`);
      },
      this,
      'enableWriteCompression',
    );
    if (this.#deflate !== undefined) this.#deflate.compressor.enabled = on;
  }

  /**
   * Sets the compression level from the next message on.
   *
   * @param level - -2 (Huffman only), -1 (zlib's default), 0 (none: messages are sent uncompressed)
   *   to 9 (best).
   * @throws TypeError, RangeError for another value, also when no compression was agreed on.
   */
  setCompressionLevel(level: number): void {
    const known = checked(
      () => compressionLevel('setCompressionLevel', level),
      this,
      'setCompressionLevel',
    );
    if (this.#deflate !== undefined) this.#deflate.compressor.level = known;
  }

  /**
   * Sets the size of the longest accepted message, in bytes after inflation. The limit also applies
   * to a message that has begun. A longer message closes the connection with 1009 and a
   * {@link ReadLimitError}.
   *
   * @param bytes - A whole number of 1 or more; `false` for no limit.
   * @throws TypeError, RangeError for another value.
   */
  setReadLimit(bytes: number | false): void {
    const limit = checked(() => readLimit(bytes), this, 'setReadLimit');
    this.#connection.controlOrNew().readsOrNew().setLimit(limit);
  }

  /**
   * Sets a deadline for reads. When it expires, the pending read and every later one reject with
   * {@link TimeoutError}: permanently, as in Go.
   *
   * @param at - A Date or ms since 1970; a past time expires at once. `null` removes the deadline.
   *   A later call moves a deadline that has not expired.
   * @throws TypeError, RangeError for another value.
   */
  setReadDeadline(at: Date | number | null): void {
    checked(
      () => this.#connection.controlOrNew().readsOrNew().setDeadline(at),
      this,
      'setReadDeadline',
    );
  }

  /**
   * Sets a deadline for writes. If data is unsent when the deadline expires, the transport is
   * destroyed. Otherwise the next write destroys the transport. Writes reject with
   * {@link TimeoutError}. {@link writeControl} takes a separate deadline.
   *
   * @param at - As for {@link setReadDeadline}.
   * @throws TypeError, RangeError for another value.
   */
  setWriteDeadline(at: Date | number | null): void {
    checked(
      () => this.#connection.controlOrNew().writesOrNew().setDeadline(at),
      this,
      'setWriteDeadline',
    );
  }

  /**
   * Sets when the peer's login expires. The connection then closes with 4401 `login expired`, and
   * drops unread messages. A clock that is set back does not extend the login. After a sleep of the
   * machine, an expired login ends at the next message, or within 20 s.
   *
   * @param expires - A Date or ms since 1970; a past time expires at once. `null`: never.
   * @throws TypeError, RangeError for another value.
   */
  renew(expires: Date | number | null): void {
    checked(() => this.#connection.controlOrNew().setExpiry(expires), this, 'renew');
  }

  /**
   * Sets a handler for pings, called with the payload (owned bytes). The connection then sends no pong
   * itself. While the handler's promise is pending, only the newest ping waits for the next call.
   * `null` restores the default answer. An error of the handler closes the connection with 1011; after
   * our close frame, {@link closed} only reports the error. An error that the handler got from the
   * ended connection has no effect.
   *
   * @throws TypeError when `handler` is neither a function nor null.
   */
  setPingHandler(handler: PingPongHandler | null): void {
    const connection = this.#connection;
    const ping = checked(() => UserHandler.of('setPingHandler', handler), this, 'setPingHandler');
    connection.handlers().ping = ping;
    connection.machine.autoPong = ping === undefined;
  }

  /**
   * Sets a handler for pongs, called with the payload (owned bytes) after {@link ping} was resolved.
   * While the handler's promise is pending, only the newest pong waits. `null` removes the handler.
   * An error of the handler closes the connection with 1011.
   *
   * @throws TypeError when `handler` is neither a function nor null.
   */
  setPongHandler(handler: PingPongHandler | null): void {
    this.#connection.handlers().pong = checked(
      () => UserHandler.of('setPongHandler', handler),
      this,
      'setPongHandler',
    );
  }

  /**
   * Sets a handler for the peer's close frame, called before the answer is sent. When the handler
   * has settled without sending a close frame, the answer repeats the peer's code. The answer waits
   * for the handler for at most half of `closeTimeout`. `null` removes the handler. An error of the
   * handler closes the connection with 1011. The handler has the `AsyncLocalStorage` context of
   * this call.
   *
   * @throws TypeError when `handler` is neither a function nor null.
   */
  setCloseHandler(handler: CloseHandler | null): void {
    this.#connection.handlers().close = checked(
      () => UserHandler.of('setCloseHandler', handler),
      this,
      'setCloseHandler',
    );
  }

  /**
   * The current ping handler. The default handler sends a pong, and throws a RangeError for more than
   * 125 bytes.
   */
  pingHandler(): PingPongHandler {
    const { platform, outbox } = this.#connection;
    const handlers = this.#connection.handlers();
    handlers.defaultPing ??= (payload) => {
      void outbox.control(PongMessage, controlPayload(payload, platform, 'pingHandler'), true);
    };
    return handlers.ping?.given ?? handlers.defaultPing;
  }

  /** The current pong handler; the default one does nothing. */
  pongHandler(): PingPongHandler {
    return this.#connection.handlers().pong?.given ?? ignorePong;
  }

  /** The current close handler; the default one repeats the peer's code. */
  closeHandler(): CloseHandler {
    const handlers = this.#connection.handlers();
    handlers.defaultClose ??= (code) =>
      void this.writeControl(CloseMessage, formatCloseMessage(code));
    return handlers.close?.given ?? handlers.defaultClose;
  }

  /**
   * Runs the closing handshake (RFC 6455, section 7): sends a close frame after all accepted
   * messages, waits for the close frame of the peer and for the end of the transport. If a
   * handshake is already running, the call waits for its end.
   *
   * Later writes reject with {@link CloseSentError}. Readers still get the messages before the peer's
   * close frame, even after the returned promise has resolved. To reach the close frame, messages
   * beyond `readAhead` are dropped if no read has begun, or if a reader makes no progress for half of
   * the timeout; at once if a handler of {@link receive} called `close` and still runs.
   * `stats.messagesDropped` counts dropped messages. Reads then reject with a {@link TimeoutError}
   * after the queued messages, and `receive` and loops do not end normally.
   *
   * @param code - 1000 to 1003, 1007 to 1014 or 3000 to 4999.
   * @param reason - At most 123 bytes of UTF-8.
   * @param options - `timeout`: ms for the handshake, after which the transport is destroyed; default
   *   `closeTimeout`. The time restarts as long as the peer accepts a tenth of the unsent bytes in
   *   each period. The answer of the peer does not restart the time, and a later call can only shorten
   *   it. `signal`: an abort destroys the transport at once; with an aborted signal nothing is sent.
   *   `discard`: true drops unread and later messages at once; pending reads wait for the peer's
   *   close frame.
   * @returns How the connection ended.
   * @throws (rejects) TypeError, RangeError for a bad argument; nothing is sent then. The reason of
   *   `signal`.
   */
  close(
    code: number = CloseCode.NormalClosure,
    reason = '',
    options: ConnCloseOptions = {},
  ): Promise<CloseInfo> {
    const connection = this.#connection;
    try {
      checkCloseOptions(options);
      if (typeof reason === 'object') {
        throw new TypeError('close: expected a reason; options are the third argument');
      }
      const payload = formatCloseMessage(code, reason);
      if (payload.length === 0) {
        throw new RangeError(
          `websocket: close code ${code} must not be sent; writeControl(CloseMessage) sends none`,
        );
      }
      const timeout =
        options.timeout === undefined ? undefined : duration('timeout', options.timeout, 0, false);
      return withTimeout(
        connection.platform,
        { signal: options.signal },
        () => {
          const ending = connection.endingOrNew();
          const { info } = ending;
          if (info !== undefined) return resolvedAt(info, () => info);
          ending.ourClose(payload, timeout, options.discard === true);
          const closed = connection.closedPromise();
          if (timeout === undefined) return closed;
          return keepAliveFor(connection.platform, timeout, closed);
        },
        () => {
          connection.endingOrNew().terminate();
          return true;
        },
      );
    } catch (error) {
      return connection.rejected(error, 'close');
    }
  }

  /**
   * Destroys the transport without a close frame, as gorilla/websocket's `Close` does.
   * {@link closed} reports 1006.
   */
  terminate(): void {
    this.#connection.endingOrNew().terminate();
  }

  /**
   * The messages as web streams: strings and Uint8Arrays, with owned bytes. A cancelled `readable`
   * and a closed `writable` close the connection with 1000, an aborted `writable` terminates it. A
   * chunk that cannot be sent fails the `writable` and closes the connection with 1011. No other
   * code may read.
   */
  toStreams(): MessageStreams {
    this.#connection.inbox.streamCreated();
    return streamsOf(this);
  }

  /** `close(1000)`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal See `internalsOf`. */
  get '@ws/internals'(): InternalsOfConn<Conn> {
    return new InternalsOfConn(this, this.#connection);
  }
}

/** Names that a Conn lacks, see {@link Habits}. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: `addHabits` adds them to the prototype
// oxlint-disable-next-line typescript/no-explicit-any, no-unused-vars -- as the class
export interface Conn<Data = any> extends Habits<typeof CONN_HABITS> {}

/** Whether the prototype has its {@link Habits}. */
let hasHabits = false;

/** Runs a read with a signal or a timeout. `name` is the method that the caller used. */
function waitForRead<Result extends Message | MessageReader>(
  connection: Connection,
  name: string,
  options: WaitOptions,
): Promise<Result> {
  try {
    checkWaits(name, options);
    return withTimeout(
      connection.platform,
      options,
      () => read<Result>(connection, name),
      (started, reason) => cancelRead(connection, started, reason),
    );
  } catch (error) {
    return connection.rejected(error, name);
  }
}

/** The default pong handler. */
function ignorePong(): void {}

/** @throws TypeError when `message` is no PreparedMessage of this copy of the package. */
function checkPrepared(message: unknown): void {
  if (message instanceof PreparedMessage) return;
  refuseCopy(message, PreparedMessage, 'writePreparedMessage');
  throw badType('expected a PreparedMessage', message);
}
