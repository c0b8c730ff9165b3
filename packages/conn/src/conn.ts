import {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  formatCloseMessage,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from '@ws/codec';
import type { CloseInfo, ConnState } from './closing.ts';
import type { ConnStats } from './conn-stats.ts';
import type { CloseHandler, PingPongHandler } from './controls.ts';
import { copyOf } from './copy.ts';
import { bytesOf, controlPayload, isBorrowed, isUnstable, type MessageData } from './data.ts';
import { untilOf } from './deadline.ts';
import { Deflating } from './deflate/compression.ts';
import { SHARED } from './deflate/compression-options.ts';
import { TimeoutError } from './errors.ts';
import { checkSchema, formatJSON, parseJSON } from './json.ts';
import { kitFor } from './kit.ts';
import type { DataType, Message } from './message.ts';
import type { MessageReader } from './message-reader.ts';
import type { MessageWriter } from './message-writer.ts';
import {
  type ConnOptions,
  compressionLevel,
  deflateParameters,
  duration,
  kind,
  readLimit,
  resolveSettings,
} from './options.ts';
import { BORROW_FROM } from './outbox.ts';
import { checkPatience, type Patience, patiently } from './patience.ts';
import { portableHost } from './portable-host.ts';
import { checkClosePayload, PreparedMessage } from './prepared-message.ts';
import { done, handled, rejected } from './promises.ts';
import type { MessageHandler } from './reception.ts';
import { Session } from './session.ts';
import type { SchemaOutput, StandardSchema } from './standard-schema.ts';
import type { Transport } from './transport.ts';

/** How {@link Conn.ping} waits. */
export interface PingOptions {
  /** Gives up when it is aborted; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** In ms, default 20 s; `false` waits as long as the connection lasts. */
  readonly timeout?: number | false | undefined;
}

/** How a write waits, and what becomes of it on the way. */
export interface WriteOptions {
  /**
   * `false` sends the message as it is, `true` compresses it whatever its size, where compression is agreed on and makes it
   * smaller. Default: what the connection is set to.
   */
  readonly compress?: boolean | undefined;
  /** Gives up when it is aborted; the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** How {@link Conn.nextWriter} takes its turn. */
export interface NextWriterOptions {
  /** Wait for an open writer to be closed by its owner, in place of finishing it. Default: false. */
  readonly queue?: boolean | undefined;
  /** As for {@link Conn.writeMessage}; the whole stream is compressed, or nothing of it. */
  readonly compress?: boolean | undefined;
}

/** The session behind a Conn, for those functions of this package that work on Conns. */
export let sessionOf: (conn: Conn) => Session;

/**
 * A WebSocket connection over any {@link Transport} (RFC 6455).
 *
 * Read in one of four ways: {@link readMessage}, `for await (const message of conn)`, {@link receive} (the fast one)
 * or {@link discardReads}. Write from anywhere, in any number: messages leave in the order of the calls.
 *
 * No promise of a Conn causes an unhandled rejection when you look away, and nothing is thrown at the process:
 * {@link closed} tells how the connection ended.
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
export class Conn implements AsyncIterable<Message>, AsyncDisposable {
  /** The subprotocol agreed on in the handshake, `''` when there is none. */
  readonly subprotocol: string;
  /** The extensions agreed on in the handshake, as the response named them; `''` when there are none. */
  readonly extensions: string;
  readonly #session: Session;

  static {
    sessionOf = (conn) => conn.#session;
  }

  /**
   * Starts `transport`, which is this connection's from now on. No frame is parsed before the code that makes the Conn
   * has run to its first `await`: handlers set there see the first frame.
   *
   * @throws TypeError, RangeError for a bad option, before the transport is touched.
   */
  constructor(transport: Transport, options: ConnOptions) {
    if (typeof options !== 'object' || options === null) {
      throw new TypeError(`new Conn: expected options, got ${kind(options)}`);
    }
    const { role, subprotocol = '', extensions = '', host = portableHost, deflate } = options;
    if (role !== 'client' && role !== 'server') {
      throw new TypeError(`role: expected 'client' or 'server', got ${String(role)}`);
    }
    const settings = resolveSettings(options, role);
    const { compression } = settings;
    const agreed = deflateParameters(deflate);
    const deflating =
      agreed === undefined
        ? undefined
        : new Deflating(agreed, compression === false ? SHARED : compression, role, host);
    this.subprotocol = subprotocol;
    this.extensions = extensions;
    const kit = kitFor(role, host, settings, deflating !== undefined);
    this.#session = new Session(this, transport, kit, deflating);
    host.watch?.opened?.(this);
  }

  /** Which end this is. */
  get role(): Role {
    return this.#session.kit.role;
  }

  /** `open` until a close frame is sent or answered, or the connection fails; `closed` once the transport is gone. */
  get state(): ConnState {
    return this.#session.state;
  }

  /** Resolves once, when the transport is gone, and never rejects. */
  get closed(): Promise<CloseInfo> {
    return this.#session.closed;
  }

  /** Bytes accepted by writes and not yet handed to the operating system. */
  get bufferedAmount(): number {
    return this.#session.bufferedAmount;
  }

  /** The counters as they stand now. */
  get stats(): ConnStats {
    const session = this.#session;
    return {
      messagesIn: session.messagesIn,
      messagesOut: session.messagesOut,
      framesIn: session.framesIn,
      framesOut: session.framesOut,
      bytesIn: session.bytesIn,
      bytesOut: session.bytesOut,
      pingsIn: session.pingsIn,
      pingsOut: session.pingsOut,
      rtt: session.rtt,
      compressionBytes: session.deflating === undefined ? 0 : session.deflating.held,
    };
  }

  /** This end's address, as the transport names it. */
  get localAddr(): string | undefined {
    return this.#session.transport.localAddr;
  }

  /** The peer's address, as the transport names it. */
  get remoteAddr(): string | undefined {
    return this.#session.transport.remoteAddr;
  }

  /** What the transport stands on, a `net.Socket` for example. Reading from it or writing to it corrupts the stream. */
  get underlyingConn(): unknown {
    return this.#session.transport.underlying;
  }

  /**
   * The next message. Its bytes are yours.
   *
   * `signal` and `timeout` (ms) end the wait, not the connection: the message is there for the next read.
   *
   * @throws (rejects) {@link CloseError} when the connection has ended, in whatever way; the same error for every later
   *   read. {@link ReadPendingError} when another way of reading is pending, {@link TimeoutError}, the signal's reason.
   */
  readMessage(options?: Patience): Promise<Message> {
    return this.#read('readMessage', options);
  }

  /**
   * The next message, of either type, parsed as JSON.
   *
   * @param options - `schema`: a Standard Schema (zod, valibot, …) that the value must fit; what it makes of the value is
   *   returned. `signal`, `timeout`: as for {@link readMessage}.
   * @throws (rejects) {@link JSONError} when the message is no JSON or does not fit: it is gone, and the connection goes
   *   on. TypeError for a schema that is none. Else as {@link readMessage}.
   */
  readJSON<S extends StandardSchema>(
    options: Patience & { readonly schema: S },
  ): Promise<SchemaOutput<S>>;
  readJSON<T = unknown>(options?: Patience & { readonly schema?: undefined }): Promise<T>;
  readJSON(
    options: Patience & { readonly schema?: StandardSchema | undefined } = {},
  ): Promise<unknown> {
    try {
      checkPatience(options);
      checkSchema(options.schema);
    } catch (error) {
      return rejected(error);
    }
    const { schema, ...patience } = options;
    return handled(this.#read('readJSON', patience).then((message) => parseJSON(message, schema)));
  }

  /**
   * The next message as a stream, as soon as it begins. What was not read of the previous one is dropped.
   *
   * `signal` and `timeout` (ms) end the wait for its first byte.
   *
   * @throws (rejects) As {@link readMessage}.
   */
  nextReader(options?: Patience): Promise<MessageReader> {
    const session = this.#session;
    if (options === undefined) return session.reading.nextReader();
    return patiently(
      session.host,
      options,
      () => session.reading.nextReader(),
      (read, reason) => session.reading.giveUp(read, reason),
    );
  }

  #read(name: string, options: Patience | undefined): Promise<Message> {
    const session = this.#session;
    if (options === undefined) return session.reading.read(name);
    return patiently(
      session.host,
      options,
      () => session.reading.read(name),
      (read, reason) => session.reading.giveUp(read, reason),
    );
  }

  /**
   * The messages, one after the other, until the connection ends: done on 1000, 1001 and 1005, otherwise the error is
   * thrown. `break` leaves the connection open.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const session = this.#session;
    return {
      next: () => session.reading.next(),
      return: () => Promise.resolve({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Gives every message to `handler`, until the connection ends: the fast way, nothing is allocated for a message.
   *
   * The {@link BorrowedMessage} is valid until the handler returns or, when it returns a promise, until that settles;
   * the next message waits for it. Pings are answered meanwhile, and messages are read ahead.
   *
   * @returns How the connection ended, for 1000, 1001 and 1005.
   * @throws (rejects) {@link CloseError} for other codes; what the handler threw, which closes the connection with 1011;
   *   {@link ReadPendingError}; TypeError when `handler` is no function.
   */
  receive(handler: MessageHandler): Promise<CloseInfo> {
    if (typeof handler !== 'function') {
      return rejected(new TypeError(`receive: expected a function, got ${kind(handler)}`));
    }
    return this.#session.reading.receive(handler);
  }

  /**
   * For those who only write: reads and drops every message, so that pings, pongs and the close frame are handled.
   * Ends as {@link receive}.
   */
  discardReads(): Promise<CloseInfo> {
    return this.#session.reading.discard();
  }

  /**
   * Sends a message, as one frame whatever its size.
   *
   * @param type - `TextMessage` or `BinaryMessage`; a control type is handed to {@link writeControl}.
   * @param data - Text, or bytes in any shape. Up to 64 KiB, and all that a client sends, are copied during the call.
   *   Larger ones are referenced: leave them alone until the promise settles, which it does when they are free again. A
   *   {@link BorrowedMessage} needs no care. Lone surrogates in text leave as U+FFFD. Bytes sent as text are taken for
   *   valid UTF-8.
   * @param options - `signal`: ends the wait. A message that waits behind an open MessageWriter, or to be compressed on
   *   another thread, is not sent then; one that is on its way to the peer is.
   * @returns A promise that resolves when the message is accepted below the high-water mark, else when the transport has
   *   drained. Await it, and a slow peer slows you down.
   * @throws (rejects) {@link CloseSentError}, {@link BackpressureError}, {@link TransportError}; TypeError for what is
   *   neither text nor bytes, or no message type. Nothing is sent then.
   */
  writeMessage(type: number, data: MessageData, options?: WriteOptions): Promise<void> {
    if (options === undefined) return this.#write(type, data, undefined);
    return this.#softly(options, () => this.#write(type, data, options.compress));
  }

  #write(type: number, data: MessageData, compress: boolean | undefined): Promise<void> {
    const session = this.#session;
    if (type !== TextMessage && type !== BinaryMessage) {
      if (isControlType(type)) return this.writeControl(type, isBorrowed(data) ? data.data : data);
      return rejected(badType(type));
    }
    try {
      if (typeof data === 'string') return session.writing.text(type, data, compress);
      if (isBorrowed(data)) {
        data.check();
        return session.writing.message(type, data.bytes, data.start, data.end, compress);
      }
      let bytes = bytesOf(data);
      if (bytes.length > BORROW_FROM && isUnstable(bytes)) bytes = copyOf(bytes);
      return session.writing.message(type, bytes, 0, bytes.length, compress);
    } catch (error) {
      session.rest();
      return rejected(error);
    }
  }

  /** Sends a string as text, bytes as binary, a {@link BorrowedMessage} as what it is. As {@link writeMessage}. */
  send(data: MessageData, options?: WriteOptions): Promise<void> {
    if (typeof data === 'string') return this.writeMessage(TextMessage, data, options);
    return this.writeMessage(isBorrowed(data) ? data.type : BinaryMessage, data, options);
  }

  /** Waits for a write no longer than its signal says. */
  #softly(options: WriteOptions, write: () => Promise<void>): Promise<void> {
    const session = this.#session;
    try {
      checkPatience(options);
      checkCompress(options.compress);
    } catch (error) {
      return rejected(error);
    }
    const { signal } = options;
    if (signal === undefined) return write();
    if (signal.aborted) return rejected(signal.reason);
    const written = write();
    if (written === done) return done;
    return patiently(
      session.host,
      { signal },
      () => written,
      (_written, reason) => {
        session.writing.giveUp(written, reason);
        session.rest();
        return true;
      },
    );
  }

  /**
   * A message as a stream: it leaves in fragments of `writeBufferSize` while you write it.
   *
   * At most one is open, as in gorilla/websocket: a writer that is open is finished first, its last fragment leaves, and
   * its owner's next call rejects with {@link WriteClosedError}. With `queue: true` this call waits until its owner has
   * closed it: for several producers of streams. Whole messages always wait until the writer is closed.
   *
   * @param type - `TextMessage` or `BinaryMessage`. A control type gives
   *   a writer that sends one control frame when it is closed.
   * @throws (rejects) {@link CloseSentError}, what ended the connection, TypeError for a wrong type.
   */
  nextWriter(type: number, options: NextWriterOptions = {}): Promise<MessageWriter> {
    if (!isDataType(type) && !isControlType(type)) return rejected(badType(type));
    if (typeof options !== 'object' || options === null) {
      return rejected(new TypeError(`nextWriter: expected options, got ${kind(options)}`));
    }
    try {
      checkCompress(options.compress);
    } catch (error) {
      return rejected(error);
    }
    return this.#session.writing.nextWriter(type, options.queue === true, options.compress);
  }

  /**
   * Sends `value` as JSON, in a text message.
   *
   * @throws (rejects) {@link JSONError} when it has no JSON, and nothing is sent; else as {@link writeMessage}.
   */
  writeJSON(value: unknown, options?: WriteOptions): Promise<void> {
    try {
      return this.writeMessage(TextMessage, formatJSON(value), options);
    } catch (error) {
      return rejected(error);
    }
  }

  /** Sends a {@link PreparedMessage}; one that cannot be compressed, as it is. As {@link writeMessage}. */
  writePreparedMessage(message: PreparedMessage): Promise<void> {
    if (!(message instanceof PreparedMessage)) {
      return rejected(new TypeError(`expected a PreparedMessage, got ${kind(message)}`));
    }
    if (isControlType(message.type)) return this.writeControl(message.type, message.bytes);
    try {
      return this.#session.writing.prepared(message);
    } catch (error) {
      this.#session.rest();
      return rejected(error);
    }
  }

  /**
   * Sends a control frame; pings and pongs pass messages that wait. A close frame starts the closing handshake, as
   * {@link close} does, after all messages accepted before it.
   *
   * @param type - `CloseMessage`, `PingMessage` or `PongMessage`.
   * @param data - At most 125 bytes, copied. Of a close frame: what {@link formatCloseMessage} gives, or nothing.
   * @param deadline - A Date or ms since 1970: past it, nothing is sent.
   * @throws (rejects) TypeError for a wrong type, RangeError for bytes that do not fit, {@link TimeoutError} past the
   *   deadline, {@link CloseSentError}, {@link BackpressureError} when too many pings wait.
   */
  writeControl(
    type: number,
    data: string | ArrayBufferLike | ArrayBufferView = '',
    deadline?: Date | number | null,
  ): Promise<void> {
    const { host } = this.#session;
    try {
      if (!isControlType(type)) throw badType(type);
      const payload = controlPayload(data, host);
      if (type === CloseMessage) checkClosePayload(payload);
      if (deadline !== undefined && untilOf(deadline) <= 0) throw new TimeoutError('write timeout');
      return this.#session.control(type, payload);
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Sends a ping; resolves with the round trip in ms when its pong, or that of a later one, arrives
   * (RFC 6455, section 5.5.3).
   *
   * @param data - At most 125 bytes; without it, bytes that tell this ping from others.
   * @throws (rejects) {@link TimeoutError} after `timeout` (20 s), the signal's reason, {@link BackpressureError} when
   *   `maxPendingPings` are unanswered, and what ended the connection.
   */
  ping(
    data?: string | ArrayBufferLike | ArrayBufferView,
    options: PingOptions = {},
  ): Promise<number> {
    const { controls, host } = this.#session;
    try {
      checkPatience(options);
      const timeout = duration('timeout', options.timeout, 20_000, true);
      const payload =
        data === undefined ? controls.pings.payload() : copyOf(controlPayload(data, host));
      return patiently(
        host,
        { signal: options.signal },
        () => controls.send(payload, timeout),
        (answer, reason) => controls.pings.giveUp(answer, reason),
      );
    } catch (error) {
      return rejected(error);
    }
  }

  /**
   * Whether messages are compressed from here on, where that was agreed on; those with `compress` of their own decide
   * for themselves. Switch it off for secrets that travel with text of others: the length of what is compressed together
   * tells about both.
   */
  enableWriteCompression(on: boolean): void {
    if (typeof on !== 'boolean')
      throw new TypeError(`enableWriteCompression: expected true or false, got ${kind(on)}`);
    const { deflating } = this.#session;
    if (deflating !== undefined) deflating.deflation.enabled = on;
  }

  /**
   * Sets how much work is put into compressing from the next message on.
   *
   * @param level - -2 (Huffman only), -1 (zlib's default), 0 to 9.
   * @throws TypeError, RangeError for what is no level, also where nothing is compressed.
   */
  setCompressionLevel(level: number): void {
    const checked = compressionLevel('setCompressionLevel', level);
    const { deflating } = this.#session;
    if (deflating !== undefined) deflating.deflation.level = checked;
  }

  /**
   * Sets the longest message that is accepted from here on, in bytes of plain payload; `false`: no limit.
   *
   * @throws TypeError, RangeError for what is no such number.
   */
  setReadLimit(bytes: number | false): void {
    this.#session.setReadLimit(readLimit(bytes));
  }

  /**
   * When it strikes, the pending read and every later one rejects with {@link TimeoutError}: for good, as in Go.
   *
   * @param at - A Date or ms since 1970, strikes at once when it is past; `null`: none. Moving it in time keeps it from
   *   striking.
   * @throws TypeError, RangeError for what is no moment.
   */
  setReadDeadline(at: Date | number | null): void {
    this.#session.setReadDeadline(at);
  }

  /**
   * When it strikes with writes under way, or at the first write after it, the transport is dropped, since the stream is
   * corrupt: writes reject with {@link TimeoutError}. Control frames of {@link writeControl} have deadlines of their own.
   *
   * @param at - As for {@link setReadDeadline}.
   * @throws TypeError, RangeError for what is no moment.
   */
  setWriteDeadline(at: Date | number | null): void {
    this.#session.setWriteDeadline(at);
  }

  /**
   * What to do with a ping, in place of answering it with a pong; `null` restores that. An error of the handler closes
   * the connection with 1011.
   */
  setPingHandler(handler: PingPongHandler | null): void {
    this.#session.controls.pingHandler = functionOrNull('setPingHandler', handler);
  }

  /** What to do with a pong, after those who wait in {@link ping} are served; `null`: nothing. */
  setPongHandler(handler: PingPongHandler | null): void {
    this.#session.controls.pongHandler = functionOrNull('setPongHandler', handler);
  }

  /**
   * What to do when the peer's close frame is handled, before it is answered: with its code, if the handler has not
   * sent a close frame by the time it is done. `null`: nothing.
   */
  setCloseHandler(handler: CloseHandler | null): void {
    this.#session.controls.closeHandler = functionOrNull('setCloseHandler', handler);
  }

  /** The handler that is in force. */
  pingHandler(): PingPongHandler {
    return (
      this.#session.controls.pingHandler ??
      ((payload) =>
        void this.#session.outbox.control(PongMessage, payload, 0, payload.length, true))
    );
  }

  /** The handler that is in force. */
  pongHandler(): PingPongHandler {
    return this.#session.controls.pongHandler ?? (() => {});
  }

  /** The handler that is in force. */
  closeHandler(): CloseHandler {
    return (
      this.#session.controls.closeHandler ??
      ((code) => void this.writeControl(CloseMessage, formatCloseMessage(code)))
    );
  }

  /**
   * The closing handshake (RFC 6455, section 7): sends a close frame after all accepted messages, waits for the peer's,
   * dropping messages, and for the transport to end. Called again, or after the peer has begun, it joins what is under
   * way.
   *
   * @param code - 1000-1003, 1007-1014 or 3000-4999.
   * @param reason - At most 123 bytes of UTF-8.
   * @param options - `timeout`: how long the peer may take, in ms, default `closeTimeout`; the transport is dropped
   *   then. `signal`: when it is aborted meanwhile, the transport is dropped
   *   at once; when it is aborted already, nothing is sent.
   * @returns How the connection ended.
   * @throws (rejects) TypeError, RangeError for a bad argument: nothing is sent. The signal's reason.
   */
  close(
    code: number = CloseCode.NormalClosure,
    reason = '',
    options: Patience = {},
  ): Promise<CloseInfo> {
    const session = this.#session;
    try {
      checkPatience(options);
      const payload = formatCloseMessage(code, reason);
      if (payload.length === 0)
        throw new RangeError(`websocket: close code ${code} must not be sent`);
      const timeout = duration('timeout', options.timeout, session.settings.closeTimeout, false);
      return patiently(
        session.host,
        { signal: options.signal },
        () => {
          session.sendClose(payload, timeout);
          return this.closed;
        },
        () => {
          session.terminate();
          return true;
        },
      );
    } catch (error) {
      return rejected(error);
    }
  }

  /** Drops the connection at once, without a close frame: gorilla/websocket's `Close`. {@link closed} tells 1006. */
  terminate(): void {
    this.#session.terminate();
  }

  /** `close(1000)`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function isDataType(type: unknown): type is DataType {
  return type === TextMessage || type === BinaryMessage;
}

function isControlType(type: unknown): type is number {
  return type === CloseMessage || type === PingMessage || type === PongMessage;
}

function badType(type: unknown): TypeError {
  return new TypeError(
    `websocket: bad write message type: ${typeof type === 'number' ? type : kind(type)}`,
  );
}

/** @throws TypeError when it is neither true, false nor left out. */
function checkCompress(compress: unknown): void {
  if (compress === undefined || typeof compress === 'boolean') return;
  throw new TypeError(`compress: expected true or false, got ${kind(compress)}`);
}

function functionOrNull<T>(name: string, handler: T | null): T | undefined {
  if (handler === null) return undefined;
  if (typeof handler !== 'function')
    throw new TypeError(`${name}: expected a function or null, got ${kind(handler)}`);
  return handler;
}
