import {
  CloseError,
  type CloseHandler,
  type CloseInfo,
  CloseSentError,
  type ConnCloseOptions,
  type ConnLike,
  type ConnState,
  type ConnStats,
  type DataType,
  type Message,
  type MessageData,
  type MessageHandler,
  type NextWriterOptions,
  type PingOptions,
  type PingPongHandler,
  type PreparedMessage,
  type Role,
  TextMessage,
  TimeoutError,
  type WaitOptions,
  type WriteOptions,
} from '@ws/conn';
import {
  badType,
  bound,
  type ConnInternals,
  checkNames,
  checkReceive,
  errorOf,
  kind,
  MAX_CLOSE_REASON,
  markHandled,
  rejected,
} from '@ws/conn/internal';
import { UnsupportedError } from './errors.ts';
import { formatJSON, parseJSON } from './json.ts';
import { WholeMessageReader } from './message-reader.ts';
import { GatheringWriter } from './message-writer.ts';
import type { BrowserConnSettings } from './options.ts';
import { dataTypeOf, type PageMessage, payloadOf } from './payload.ts';
import { after, attempt, bounded, checkSignal, nothing } from './promises.ts';
import { ReadSide } from './read-side.ts';
import { utf8Length } from './utf8-length.ts';
import type { PageSocket, WebSocketEvent } from './web-types.ts';
import { WriteSide } from './write-side.ts';

/** Time in ms in which the peer must answer a close frame. */
export const CLOSE_TIMEOUT = 5_000;
const WAIT_OPTION_NAMES = ['signal', 'timeout'];
const CLOSE_OPTION_NAMES = ['discard', ...WAIT_OPTION_NAMES];

/** Returns whether the library takes a message, so that readers do not get it. */
export type MessageFilter = (data: unknown) => boolean;

/** A connection over a WebSocket of the runtime: in a page, or on a server of `@ws/fetch`. */
// oxlint-disable-next-line typescript/no-explicit-any -- code that ignores `data` names no type
export abstract class WebSocketConn<Data = any> implements ConnLike<Data>, AsyncDisposable {
  /** A value of the application: the library does not read it. */
  data: Data = undefined as Data;
  /**
   * Resolves when the connection has ended, to how it ended; never rejects. For a broken connection, a
   * browser reports only code 1006 without a reason.
   */
  readonly closed: Promise<CloseInfo>;
  readonly #socket: PageSocket;
  readonly #settings: BrowserConnSettings;
  readonly #reads: ReadSide;
  /** @internal */
  protected readonly writes: WriteSide;
  readonly #stopListening: () => void;
  #resolveClosed!: (info: CloseInfo) => void;
  #state: ConnState = 'open';
  #hasClosed = false;
  /** Our close frame, if it was sent before the peer's came. */
  #ours: { readonly code: number; readonly reason: string } | undefined;
  /** The peer's close frame, unless it has answered ours. */
  #peerClose: { readonly code: number; readonly reason: string } | undefined;
  /** The error of the last `error` event. Browsers hide the error, other runtimes have it. */
  #cause: unknown;
  /** The error that has failed the connection. */
  #failure: { readonly error: unknown; readonly code: number } | undefined;
  /** The last writer that `nextWriter` has returned. It may be closed. */
  #openWriter: GatheringWriter | undefined;
  /** The writer of the last call of `nextWriter`. The call may still wait for earlier writers. */
  #lastWriter: GatheringWriter | undefined;
  /** Number of calls of `nextWriter` without `queue`. Each closes all earlier writers. */
  #closings = 0;
  #cancelReadDeadline: () => void = nothing;
  #cancelWriteDeadline: () => void = nothing;

  /** @internal */
  constructor(socket: PageSocket, settings: BrowserConnSettings, isForLibrary?: MessageFilter) {
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#socket = socket;
    this.#settings = settings;
    this.writes = new WriteSide(socket, settings, this.closed);
    this.#reads = new ReadSide(socket, settings, (error, code) => this.#fail(error, code));
    socket.binaryType = 'arraybuffer';
    this.#stopListening = listen(socket, {
      message: ({ data }) => {
        if (isForLibrary?.(data)) this.#reads.serve();
        else this.#reads.add(data);
      },
      drain: () => this.writes.check(),
      error: ({ error }) => {
        this.#cause = error;
        // A close event comes in the same turn, if at all. There is none in workers after a fault of the
        // peer, in Node 22 after a failed dial, and in Chromium for a URL that a Content-Security-Policy
        // forbids.
        setTimeout(() => this.#ended());
      },
      close: ({ code = 0, reason, wasClean }) => {
        // Deno reports 0 for a broken connection. React Native before 0.82 has no `wasClean`.
        this.#ended(code || undefined, reason, wasClean ?? ![0, 1006].includes(code));
      },
    });
  }

  #attempt<T>(call: () => Promise<T>): Promise<T> {
    return attempt(call, this.#settings.report);
  }

  // Facts

  /** `client` in a page, `server` on a server. */
  abstract get role(): Role;

  /**
   * Read with {@link receive} or `for await`.
   *
   * @deprecated
   * @throws TypeError
   */
  set onmessage(_: never) {
    throw new TypeError('a Conn emits no events; read with receive(handler) or for await');
  }

  /** The subprotocol that the server chose, `''` when there is none. */
  get subprotocol(): string {
    return this.#socket.protocol ?? '';
  }

  /** The extensions in use, as in the response's header; `''` when there are none. */
  get extensions(): string {
    return this.#socket.extensions ?? '';
  }

  /** As `Conn.state`. It is `open` also while the socket of {@link fromWebSocket} connects. */
  get state(): ConnState {
    return this.#state === 'open' && this.#socket.readyState > 1 ? 'closing' : this.#state;
  }

  /** Bytes of messages that writes have accepted and that the browser has not sent. */
  get bufferedAmount(): number {
    return this.writes.buffered;
  }

  /**
   * A snapshot of the counters. Browsers show only messages: `bytesIn` and `bytesOut` count payloads.
   * The counts of frames and pings, `rtt` and `compressionBytes` are NaN.
   */
  get stats(): ConnStats {
    return {
      messagesIn: this.#reads.messages,
      messagesOut: this.writes.messages,
      messagesRefused: this.writes.refused,
      // Messages that a close drops are not counted.
      messagesDropped: 0,
      bytesIn: this.#reads.bytes,
      bytesOut: this.writes.bytes,
      framesIn: NaN,
      framesOut: NaN,
      pingsIn: NaN,
      pingsOut: NaN,
      rtt: NaN,
      compressionBytes: NaN,
    };
  }

  // Reading

  /** Reads the next message: see `Conn.readMessage`. */
  readMessage(options?: WaitOptions): Promise<Message> {
    return this.#read('readMessage', options);
  }

  /** Reads the next message and parses it as JSON: see `Conn.readJSON`. */
  readJSON<T = unknown>(options?: WaitOptions): Promise<T> {
    const message = this.#read('readJSON', options);
    return markHandled(message.then((read) => parseJSON(read) as T));
  }

  /**
   * Reads the next message as a stream. Browsers deliver whole messages, so this call waits for the
   * last byte.
   *
   * @throws (rejects) As {@link readMessage}.
   */
  nextReader(options?: WaitOptions): Promise<WholeMessageReader> {
    const message = this.#read('nextReader', options);
    return markHandled(message.then((read) => new WholeMessageReader(read)));
  }

  #read(name: string, options?: WaitOptions): Promise<PageMessage> {
    const start = (
      resolve: (result: PageMessage) => void,
      reject: (reason: unknown) => void,
    ): ((reason: unknown) => void) => this.#reads.read(name, resolve, reject);
    if (options === undefined) return markHandled(new Promise(start));
    return this.#attempt(() => {
      checkNames(name, options, WAIT_OPTION_NAMES, 'reject');
      return bounded(options, start);
    });
  }

  /**
   * Iterates over the messages: see `Conn`. `break` leaves the connection open. `return()` ends a
   * pending `next()` without a message.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Message> {
    const end = { done: true, value: undefined } as const;
    let endPending = nothing;
    return {
      next: () =>
        markHandled(
          new Promise((resolve, reject) => {
            const stop = this.#reads.read(
              'for await',
              (value) => resolve({ done: false, value }),
              (error) =>
                error === end || this.#reads.isNormalEnd(error) ? resolve(end) : reject(error),
            );
            endPending = () => stop(end);
          }),
        ),
      return: async () => {
        endPending();
        return end;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Calls `handler` with every message until the connection ends: see `Conn.receive`. An error of
   * the handler closes the connection with close code 3011, because a page cannot send 1011. The
   * message stays valid after the handler has finished.
   */
  receive(handler: MessageHandler): Promise<CloseInfo>;
  receive(handler: MessageHandler, ...more: unknown[]): Promise<CloseInfo> {
    return this.#attempt(() => {
      checkReceive(handler, more);
      return this.#reads.receive(handler, this.closed);
    });
  }

  /** Reads and drops every message. Settles as {@link receive} does. */
  discardReads(): Promise<CloseInfo> {
    return markHandled(this.#reads.discard(this.closed));
  }

  // Writing

  /**
   * Sends a message: a string as text, bytes as binary, a message with its own type. All data is
   * copied during the call.
   *
   * @returns Resolves at once below `highWaterMark`, else when the browser has sent enough.
   *   Browsers have no event for that: the connection checks `bufferedAmount` in each turn of the
   *   event loop for 20 ms, in a hidden page for 100 ms, then after 4, 8, ... 50 ms.
   * @param options - `signal` has an effect only if it has aborted before the call: a page cannot
   *   take a message back.
   * @throws (rejects) CloseSentError, BackpressureError, CloseError; TypeError for other data.
   */
  send(data: MessageData, options?: WriteOptions): Promise<void> {
    return this.#send('send', dataTypeOf(data), data, options);
  }

  /**
   * As {@link send}, with the type of the message. The option `compress` has no effect: the browser
   * decides about compression.
   */
  writeMessage(type: number, data: MessageData, options?: WriteOptions): Promise<void> {
    return this.#send('writeMessage', type, data, options);
  }

  #send(method: string, type: number, data: MessageData, options?: WriteOptions): Promise<void> {
    return this.#attempt(() => {
      const payload = payloadOf(method, type, data);
      checkType(method, type);
      if (options !== undefined) {
        checkNames(method, options, ['compress', 'signal'], 'reject');
        const { signal } = options;
        checkSignal(signal);
        // A later abort has no effect: a page cannot take a message back from its socket.
        if (signal?.aborted) return rejected(signal.reason, signal);
      }
      return this.writes.send(payload);
    });
  }

  /** Sends `value` as a text message in JSON: see `Conn.writeJSON`. */
  writeJSON(value: unknown, options?: WriteOptions): Promise<void> {
    return this.#attempt(() => this.#send('writeJSON', TextMessage, formatJSON(value), options));
  }

  /** Sends a PreparedMessage of `@ws/conn`: see `Conn.writePreparedMessage`. */
  writePreparedMessage(message: PreparedMessage): Promise<void> {
    return this.#attempt(() => {
      if (message?.bytes === undefined) throw badType('expected a PreparedMessage', message);
      return this.#send('writePreparedMessage', message.type, message.bytes);
    });
  }

  /**
   * Opens a writer for a message that is written in pieces. Browsers send whole messages: the writer
   * gathers at most `maxBufferedAmount` bytes and sends them when it closes. Other messages are sent
   * meanwhile. This call first closes all earlier writers; with `queue: true` it waits until their
   * owners close them.
   *
   * @throws (rejects) TypeError for another type, UnsupportedError for a control type; as
   *   {@link send} after the end.
   */
  nextWriter(type: number, options: NextWriterOptions = {}): Promise<GatheringWriter> {
    return this.#attempt(() => {
      checkType('nextWriter', type);
      checkNames('nextWriter', options, ['queue', 'compress'], 'reject');
      return this.#nextWriter(type, options.queue);
    });
  }

  async #nextWriter(type: number, queue: boolean | undefined): Promise<GatheringWriter> {
    const before = this.#lastWriter;
    const writer = new GatheringWriter(type, this.writes);
    this.#lastWriter = writer;
    if (!queue) {
      this.#closings++;
      void this.#openWriter?.[Symbol.asyncDispose]();
    }
    const closings = this.#closings;
    await before?.ended;
    const { rejection } = this.writes;
    if (rejection !== undefined) {
      writer.abort();
      return rejection;
    }
    this.#openWriter = writer;
    if (closings < this.#closings) void writer[Symbol.asyncDispose]();
    return writer;
  }

  // Settings

  /**
   * Sets the size of the longest accepted message, in bytes; `false` for no limit. A longer message
   * closes the connection with close code 3009 and a ReadLimitError.
   *
   * @throws TypeError, RangeError for another value.
   */
  setReadLimit(bytes: number | false): void {
    this.#settings.readLimit = bound('setReadLimit', bytes);
  }

  /** Sets a deadline for reads: see `Conn.setReadDeadline`. */
  setReadDeadline(at: Date | number | null): void {
    this.#cancelReadDeadline = deadline('read', at, this.#cancelReadDeadline, (error) => {
      this.#reads.drop();
      this.#reads.stop(error);
    });
  }

  /** Sets a deadline for writes: see `Conn.setWriteDeadline`. */
  setWriteDeadline(at: Date | number | null): void {
    this.writes.applyDeadline = nothing;
    this.#cancelWriteDeadline = deadline('write', at, this.#cancelWriteDeadline, (error) => {
      this.writes.applyDeadline = () => this.lose(error);
      if (this.bufferedAmount > 0) this.writes.applyDeadline();
    });
  }

  // Ending

  /**
   * Runs the closing handshake: see `Conn.close`. Messages that have arrived can still be read. A
   * WebSocket drops later messages.
   *
   * @param code - 1000 or 3000 to 4999: browsers allow no other code.
   * @param reason - At most 123 bytes of UTF-8.
   * @param options - `timeout`: ms after which the connection counts as closed, with 1006. Default:
   *   5,000. The browser may continue to send buffered messages. `signal`: its abort ends the
   *   connection at once. `discard`: true drops unread and later messages.
   */
  close(code = 1000, reason = '', options: ConnCloseOptions = {}): Promise<CloseInfo> {
    return this.#attempt(() => {
      checkNames('close', options, CLOSE_OPTION_NAMES, 'reject');
      checkClose(this.#settings, code, reason, options);
      const { signal, timeout = CLOSE_TIMEOUT } = options;
      return bounded<CloseInfo>({ signal, timeout }, (resolve, reject) => {
        void this.closed.then(resolve);
        this.#close(code, reason);
        if (options.discard) this.#reads.drop();
        return (cause) => {
          if (signal?.aborted) reject(cause);
          this.terminate();
        };
      });
    });
  }

  /**
   * Ends the connection at once: {@link closed} reports 1006. A page cannot destroy a socket: the
   * browser closes it in the background.
   */
  terminate(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closing';
    this.#socket.close();
    this.#ended();
  }

  /** `close(1000)`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // Features that a page lacks

  /** @throws (rejects) UnsupportedError */
  ping(_data?: unknown, _options?: PingOptions): Promise<number> {
    return rejected(new UnsupportedError('ping'), this);
  }

  /** @throws (rejects) UnsupportedError */
  writeControl(_type: number, _data?: unknown, _deadline?: unknown): Promise<never> {
    return rejected(new UnsupportedError('writeControl'), this);
  }

  /** @throws UnsupportedError, except for null. */
  setPingHandler(handler: PingPongHandler | null): void {
    if (handler !== null) throw new UnsupportedError('setPingHandler');
  }

  /** @throws UnsupportedError, except for null. */
  setPongHandler(handler: PingPongHandler | null): void {
    if (handler !== null) throw new UnsupportedError('setPongHandler');
  }

  /** @throws UnsupportedError, except for null. */
  setCloseHandler(handler: CloseHandler | null): void {
    if (handler !== null) throw new UnsupportedError('setCloseHandler');
  }

  /** @throws UnsupportedError */
  enableWriteCompression(_on: boolean): void {
    throw new UnsupportedError('enableWriteCompression');
  }

  /** @throws UnsupportedError */
  setCompressionLevel(_level: number): void {
    throw new UnsupportedError('setCompressionLevel');
  }

  // The end

  #close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    // The peer's own close frame may be there: only its event is still to come.
    if (this.#socket.readyState === 1) this.#ours = { code, reason };
    this.#state = 'closing';
    this.writes.stop(new CloseSentError());
    this.#reads.closing = true;
    this.#socket.close(code, reason);
  }

  /** Fails an open connection. Has no effect after a close has begun. */
  #fail(fault: unknown, code: number): void {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#failure = { error: fault, code };
    this.#reads.stop(fault);
    this.writes.fail(new CloseSentError());
    this.#socket.close(code);
    const cancel = after(CLOSE_TIMEOUT, () => this.terminate());
    void this.closed.then(cancel);
  }

  /** @internal Ends a connection that is lost. */
  protected lose(error: TimeoutError): void {
    this.#failure ??= { error, code: 1006 };
    this.writes.fail(error);
    this.terminate();
  }

  #ended(code = 1006, reason = '', wasClean = false): void {
    if (this.#state === 'closed') return;
    this.#hasClosed = this.#state === 'closing';
    const isBreak = code === 1001 && this.#settings.breaksOnGoingAway && !this.#hasClosed;
    const isClean = wasClean && !isBreak;
    const isOrderly = wasClean || this.#hasClosed;
    const isAnswer = code === this.#ours?.code && (reason === '' || reason === this.#ours.reason);
    if (wasClean && !isAnswer) this.#peerClose = { code, reason };
    this.#state = 'closed';
    this.#stopListening();
    this.#cancelReadDeadline();
    this.#cancelWriteDeadline();
    const end = new CloseError(code, reason, this.#noteOf(code, isOrderly));
    if (this.#cause !== undefined) end.cause = this.#cause;
    const failure = this.#failure ?? (isClean ? undefined : { error: end, code });
    this.#reads.stop(failure?.error ?? end, isBreak);
    this.writes.fail(isClean ? new CloseSentError() : end);
    this.#openWriter?.abort();
    this.#resolveClosed({
      code: code === 1006 ? (failure?.code ?? code) : code,
      reason,
      wasClean,
      ...(failure && { error: errorOf(failure.error) }),
    });
  }

  #noteOf(code: number, isOrderly: boolean): string {
    const note = this.#hasClosed ? '' : this.endNoteOf(code);
    return note === '' && !isOrderly ? this.#settings.note : note;
  }

  /** @internal Why the peer may have ended the connection with `code`. */
  protected endNoteOf(_code: number): string {
    return '';
  }

  /** @internal Whether this end has closed the connection. */
  protected get hasClosed(): boolean {
    return this.#hasClosed;
  }

  /** @internal The error that has failed the connection. */
  protected get failure(): unknown {
    return this.#failure?.error;
  }

  /** @internal */
  get '@ws/internals'(): Pick<
    ConnInternals,
    | 'closeAfterError'
    | 'peerClose'
    | 'untilWritable'
    | 'maxBufferedAmount'
    | 'readAhead'
    | 'unreadBytes'
  > {
    return {
      unreadBytes: this.#reads.cost,
      readAhead: this.#settings.maxQueuedBytes,
      peerClose: this.#peerClose,
      maxBufferedAmount: this.#settings.maxBufferedAmount,
      closeAfterError: (error) => this.close(this.#settings.errorCloseCode(error)),
      untilWritable: () => this.writes.untilWritable(),
    };
  }
}

/**
 * Listens to a socket. Returns a function that stops the listeners. From then on, the socket no longer
 * references the connection and its unread messages: the peer may keep a socket open for any time.
 */
function listen(
  socket: PageSocket,
  listeners: Record<string, (event: WebSocketEvent) => void> | undefined,
): () => void {
  for (const type in listeners) {
    // `ws` throws an error event without a listener, so these stay.
    socket.addEventListener(type, (event) => listeners?.[type]!(event));
  }
  return () => {
    listeners = undefined;
  };
}

/** @throws TypeError for another type than text or binary, UnsupportedError for a control type. */
function checkType(method: string, type: unknown): asserts type is DataType {
  if (type === 1 || type === 2) return;
  if ([8, 9, 10].includes(type as number)) throw new UnsupportedError(method);
  throw new TypeError(`${method}: expected TextMessage (1) or BinaryMessage (2) as the type`);
}

/** @throws TypeError or RangeError for an invalid code or reason; TypeError for another `discard`. */
export function checkClose(
  { checkCode }: Pick<BrowserConnSettings, 'checkCode'>,
  code: number,
  reason = '',
  { discard }: Pick<ConnCloseOptions, 'discard'> = {},
): void {
  if (discard !== undefined && typeof discard !== 'boolean') {
    throw badType('discard: expected true or false', discard);
  }
  checkCode(code);
  if (typeof reason !== 'string') {
    throw badType('close: expected a string as the reason', reason);
  }
  const length = utf8Length(reason);
  if (length <= MAX_CLOSE_REASON) return;
  throw new RangeError(
    `close: expected a reason of at most ${MAX_CLOSE_REASON} bytes of UTF-8, got ${length}`,
  );
}

/**
 * Calls `expired` at the time `at`, or now if `at` is past. Cancels the earlier deadline. Returns a
 * function that cancels this one.
 *
 * @throws TypeError for an invalid deadline.
 */
function deadline(
  call: string,
  at: Date | number | null,
  cancelEarlier: () => void,
  expired: (error: TimeoutError) => void,
): () => void {
  // A Date may be of another realm.
  const time: unknown = at === null ? Infinity : kind(at) === 'Date' ? Number(at) : at;
  if (typeof time !== 'number' || Number.isNaN(time)) {
    throw new TypeError('deadline: expected a Date, ms since 1970 or null');
  }
  const ms = time - Date.now();
  cancelEarlier();
  const expire = (): void =>
    expired(new TimeoutError(`${call} timeout: the deadline has passed`, { permanent: true }));
  if (ms > 0) return after(ms, expire);
  expire();
  return nothing;
}
