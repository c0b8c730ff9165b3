import { badType, bound, checked, checkOptionNames, fromCaller, kind } from '../arguments.ts';
import { formatCloseMessage, parseCloseMessage } from '../close/close-payload.ts';
import { BackpressureError, ProtocolError } from '../errors.ts';
import { NEED_MORE } from '../frames/decoder-options.ts';
import { FrameEncoder } from '../frames/encoder.ts';
import { isBytes } from '../masking/mask.ts';
import { MaskKeys } from '../masking/mask-key.ts';
import { existingSimd } from '../masking/simd.ts';
import { NO_BYTES, type OwnedBytes, type SlabSource } from '../memory/slab.ts';
import { MessageDecoder } from '../messages/message-decoder.ts';
import { CLOSE, MESSAGE, PING, PONG } from '../messages/message-decoder-options.ts';
import {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  MAX_CLOSE_REASON,
  MAX_CONTROL_PAYLOAD,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from '../protocol.ts';
import { utf8Length, writeUtf8 } from '../text/utf8-automaton.ts';

/** Options of `Endpoint`. `false` switches a bound off; 0 does not. */
export interface EndpointOptions {
  /** The end of the connection. A client masks its frames (RFC 6455, section 5.1). */
  role: Role;
  /**
   * Longest message that is accepted, in bytes. A longer one fails with close code 1009. Default 1
   * MiB for a server, 16 MiB for a client.
   */
  readLimit?: number | false;
  /**
   * Most bytes of output that wait for `output()`, beyond one message. Default 16 MiB.
   */
  maxBufferedAmount?: number | false;
  /** Whether the newest unanswered ping is answered with a pong. Default true. */
  autoPong?: boolean;
  /**
   * Fills `words` with random bits for masking keys. They must be unpredictable (RFC 6455, section
   * 10.3). Default: the platform's `crypto.getRandomValues`.
   */
  random?: (words: Int32Array) => void;
}

const NAMES: readonly (keyof EndpointOptions)[] = [
  'role',
  'readLimit',
  'maxBufferedAmount',
  'autoPong',
  'random',
];

const MIB = 1_048_576;

/**
 * Returns the options with their defaults; Infinity is no bound.
 *
 * @throws TypeError or RangeError that names the invalid or unknown option.
 */
function settingsOf(options: EndpointOptions) {
  checkOptionNames('Endpoint', options, NAMES);
  const { role, autoPong = true, random } = options;
  if (role !== 'client' && role !== 'server') {
    throw new TypeError(`role: expected 'client' or 'server', got ${String(role)}`);
  }
  if (typeof autoPong !== 'boolean') {
    throw badType('autoPong: expected true or false', autoPong);
  }
  if (random !== undefined && typeof random !== 'function') {
    throw badType('random: expected a function', random);
  }
  const { readLimit = role === 'server' ? MIB : 16 * MIB } = options;
  const { maxBufferedAmount = 16 * MIB } = options;
  return {
    role,
    readLimit: bound('readLimit', readLimit),
    maxBufferedAmount: bound('maxBufferedAmount', maxBufferedAmount),
    autoPong,
    random,
  };
}

/** How the connection of an `Endpoint` ended. */
export interface EndpointCloseInfo {
  /**
   * The code of the peer's close frame, 1005 when that frame had no code. Without a close frame of
   * the peer: the code with which this end failed the connection, or 1006 (RFC 6455, section 7.1.5).
   */
  readonly code: number;
  /** The reason of the peer's close frame, else `''`. Escape it before you print it. */
  readonly reason: string;
  /** Whether the peer has sent a close frame. Ours came before it or answers it. */
  readonly wasClean: boolean;
  /** The rule that the peer broke, if that ended the connection. */
  readonly error?: ProtocolError;
}

/** Data that an endpoint sends: a string is text, an ArrayBuffer or any view is binary. */
export type EndpointData = string | ArrayBufferLike | ArrayBufferView;

/** An action of the peer. `data` is owned by the receiver. */
export type EndpointEvent =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'binary'; readonly data: OwnedBytes }
  | { readonly kind: 'ping' | 'pong'; readonly data: OwnedBytes }
  | ({ readonly kind: 'close' } & EndpointCloseInfo);

/**
 * Plain memory: an endpoint that is dropped with output or with half a frame needs no clean-up.
 */
const HEAP: SlabSource = {
  take: (size) => ({ bytes: new Uint8Array(size), release: () => {} }),
};

/**
 * One end of a connection, without I/O: bytes of the peer become events, and what you send becomes
 * bytes. It joins fragments, checks UTF-8 and all limits, answers pings and close frames.
 *
 * ```ts
 * import { Endpoint } from '@ws/codec';
 *
 * const server = new Endpoint({ role: 'server' });
 * const client = new Endpoint({ role: 'client' });
 *
 * client.send('hello');
 * for (const event of server.receive(client.output())) {
 *   if (event.kind === 'text') server.send(event.text);
 * }
 * console.log(client.receive(server.output())); // [ { kind: 'text', text: 'hello' } ]
 * ```
 *
 * After each call that may produce output, write `output()` to the transport. When
 * {@link finished} is true, end the transport. An endpoint has no timer: end the transport of a
 * peer that does not answer a close frame. It has no extensions: negotiate none.
 *
 * @see RFC 6455, sections 5 to 7
 */
export class Endpoint {
  readonly #settings: ReturnType<typeof settingsOf>;
  readonly #decoder: MessageDecoder;
  readonly #encoder: FrameEncoder;
  /** Payload of the newest ping that is not answered. */
  #pong: Uint8Array | undefined = undefined;
  /** Payload of our close frame. It is encoded by `output`, after all messages. */
  #closePayload: Uint8Array | undefined = undefined;
  #closeSent = false;
  #closeCalled = false;
  #transportEnded = false;
  #closeInfo: EndpointCloseInfo | undefined = undefined;
  #rest: Uint8Array = NO_BYTES;

  /** @throws TypeError or RangeError that names the invalid or unknown option. */
  constructor(options: EndpointOptions) {
    const settings = checked(() => settingsOf(options), Endpoint);
    const { role, readLimit, random } = settings;
    this.#settings = settings;
    this.#decoder = new MessageDecoder({ role, readLimit, pool: HEAP });
    const keys = random && new MaskKeys(random);
    this.#encoder = new FrameEncoder({
      role,
      pool: HEAP,
      slabBytes: 1024,
      borrowFrom: Infinity,
      nextKey: keys && (() => keys.next()),
    });
  }

  /**
   * `open` at first. `closing` after `close()`, the peer's close frame or a fault. `closed` when
   * {@link finished}, or after `end()`.
   */
  get state(): 'open' | 'closing' | 'closed' {
    if (this.finished || this.#transportEnded) return 'closed';
    return this.#closeCalled || this.#closeInfo !== undefined ? 'closing' : 'open';
  }

  /** How the connection ended: the fields of the close event. Undefined before it. */
  get closeInfo(): EndpointCloseInfo | undefined {
    return this.#closeInfo;
  }

  /** Whether the close event was reported and `output()` has returned everything: end the transport. */
  get finished(): boolean {
    return this.#closeInfo !== undefined && !this.#hasOutput();
  }

  /**
   * Parses bytes of the peer.
   *
   * @param chunk - Any part of the stream. Not changed; copied as far as it is kept.
   * @returns What the chunk completed, in order. A fault of the peer is a close event with `error`,
   *   and a close frame in the output. Empty after the close event: bytes that come later are
   *   ignored.
   * @throws TypeError when `chunk` is not a Uint8Array. Never for the bytes of the peer.
   */
  receive(chunk: Uint8Array): EndpointEvent[] {
    if (!isBytes(chunk)) throw new TypeError('chunk must be a Uint8Array');
    const events: EndpointEvent[] = [];
    if (this.#closeInfo !== undefined) return events;
    try {
      const bytes = bytesOf(chunk, this, 'receive');
      // The decoder unmasks payload while it copies it. Only in the memory of the SIMD kernel it
      // unmasks in place.
      const copies = bytes.buffer === existingSimd()?.buffer;
      this.#decoder.push(copies ? bytes.slice() : bytes);
      this.#read(events);
    } catch (error) {
      this.#fail(asProtocolError(error), events);
    }
    return events;
  }

  /**
   * The transport has ended, or it failed.
   *
   * @returns A close event with code 1006 when there was none before, else nothing.
   */
  end(): EndpointEvent[] {
    const events: EndpointEvent[] = [];
    this.#transportEnded = true;
    this.#pong = undefined;
    if (this.#closeInfo === undefined) {
      this.#finish({ code: CloseCode.AbnormalClosure, reason: '', wasClean: false }, events);
    }
    return events;
  }

  /**
   * Sends a message: a string as text, bytes as binary.
   *
   * @param data - Copied.
   * @returns False when it was not sent: the connection is closing or closed. Messages before the
   *   peer's close frame can be answered until the next `output()`.
   * @throws {@link BackpressureError} when more than `maxBufferedAmount` bytes would wait; TypeError
   *   for other data.
   */
  send(data: EndpointData): boolean {
    const bytes = typeof data === 'string' ? undefined : bytesOf(data, this, 'send');
    if (!this.#canSend()) return false;
    this.#checkRoom(data, bytes);
    if (bytes === undefined) this.#encoder.text(TextMessage, true, 0, data as string);
    else this.#encoder.frame(BinaryMessage, true, 0, bytes);
    return true;
  }

  /**
   * Sends a ping. The peer answers it with a pong of the same payload.
   *
   * @param data - At most 125 bytes; a string is sent as UTF-8. Default: empty.
   * @returns As {@link send}.
   * @throws RangeError for a longer payload, otherwise as {@link send}.
   * @see RFC 6455, section 5.5.2
   */
  ping(data: EndpointData = NO_BYTES): boolean {
    return this.#control(PingMessage, data, 'ping');
  }

  /**
   * Sends a pong. Only for `autoPong: false`, and for pongs that answer no ping.
   *
   * @param data - As of {@link ping}.
   * @returns As {@link send}.
   * @throws As {@link ping}.
   * @see RFC 6455, section 5.5.3
   */
  pong(data: EndpointData = NO_BYTES): boolean {
    return this.#control(PongMessage, data, 'pong');
  }

  /**
   * Starts the closing handshake, after all messages sent so far. Messages that the peer has sent
   * before its answer are still reported. No effect when the connection is closing or closed.
   *
   * @throws RangeError for a code that must not be sent, or a reason over 123 bytes of UTF-8;
   *   TypeError for a code that is not a number, or a reason that is not a string.
   * @see RFC 6455, section 7.1.2
   */
  close(code: number = CloseCode.NormalClosure, reason = ''): void {
    const payload = checked(() => closePayload(code, reason), this, 'close');
    if (this.#closeCalled || this.#closeInfo !== undefined) return;
    this.#closeCalled = true;
    this.#closePayload = payload;
  }

  /**
   * Removes the bytes that wait for the transport and returns them. Do not call it while the
   * transport takes no bytes: what waits here counts against `maxBufferedAmount`.
   *
   * @returns Owned by the caller. Empty when nothing waits.
   */
  output(): OwnedBytes;
  /**
   * The same without a copy.
   *
   * @param write - Called for each chunk, in order. Call `release` when the transport no longer
   *   reads the chunk.
   */
  output(write: (chunk: Uint8Array, release: () => void) => void): void;
  output(write?: (chunk: Uint8Array, release: () => void) => void): OwnedBytes | undefined {
    this.#encodeLast();
    if (write === undefined) return this.#encoder.bytes();
    this.#encoder.flush(write);
    return undefined;
  }

  /**
   * The bytes after the peer's close frame in the chunk that contained it: the start of what follows
   * on the same stream. Bytes of later chunks are yours already.
   *
   * @returns Owned by the caller. Empty before the close frame, and after a fault.
   */
  rest(): OwnedBytes {
    return this.#rest.slice();
  }

  #read(events: EndpointEvent[]): void {
    const decoder = this.#decoder;
    let event: number;
    // No frame is read after a close frame (RFC 6455, section 5.5.1).
    while (this.#closeInfo === undefined && (event = decoder.next()) > NEED_MORE) {
      if (event === MESSAGE) events.push(message(decoder));
      else if (event === PING) this.#ping(decoder.data(), events);
      else if (event === PONG) events.push({ kind: 'pong', data: decoder.data() });
      else if (event === CLOSE) this.#close(decoder.data(), events);
    }
    if (decoder.error !== undefined) throw this.#withOptionName(decoder.error);
  }

  #ping(data: OwnedBytes, events: EndpointEvent[]): void {
    if (this.#settings.autoPong) this.#pong = data.slice();
    events.push({ kind: 'ping', data });
  }

  #close(payload: Uint8Array, events: EndpointEvent[]): void {
    const { code, reason } = parseCloseMessage(payload);
    this.#closePayload ??= formatCloseMessage(code);
    this.#rest = this.#decoder.rest();
    this.#finish({ code, reason, wasClean: true }, events);
  }

  /** Returns the fault of a frame. For a frame over the limit it names the option. */
  #withOptionName(error: ProtocolError): ProtocolError {
    const { readLimit } = this.#settings;
    if (error.closeCode !== CloseCode.MessageTooBig || readLimit === Infinity) return error;
    return new ProtocolError(CloseCode.MessageTooBig, [
      `read limit of ${readLimit} bytes exceeded by a message of the peer; raise it with the option readLimit`,
    ]);
  }

  #fail(error: ProtocolError, events: EndpointEvent[]): void {
    // Do not reveal the limit to the peer.
    const isTooBig = error.closeCode === CloseCode.MessageTooBig;
    const reason = isTooBig ? '' : error.faults.join(', ').slice(0, MAX_CLOSE_REASON);
    this.#closePayload ??= formatCloseMessage(error.closeCode, reason);
    this.#finish({ code: error.closeCode, reason: '', wasClean: false, error }, events);
  }

  #finish(info: EndpointCloseInfo, events: EndpointEvent[]): void {
    this.#closeInfo = info;
    this.#decoder.destroy();
    events.push({ kind: 'close', ...info });
  }

  /** Whether data can be sent: before our close frame, and before the end of the transport. */
  #canSend(): boolean {
    return !this.#closeCalled && !this.#closeSent && !this.#transportEnded;
  }

  #hasOutput(): boolean {
    const unsentClose = this.#closePayload !== undefined && !this.#closeSent;
    return unsentClose || this.#encoder.pending > 0 || this.#pong !== undefined;
  }

  #control(opcode: number, data: EndpointData, method: string): boolean {
    const payload = controlPayload(data, this, method);
    if (!this.#canSend()) return false;
    this.#checkRoom(data, payload);
    this.#encoder.frame(opcode, true, 0, payload);
    return true;
  }

  /** An empty output accepts a message of any size. */
  #checkRoom(data: EndpointData, bytes: Uint8Array | undefined): void {
    const { maxBufferedAmount } = this.#settings;
    const { pending } = this.#encoder;
    // A UTF-16 code unit is at most 3 bytes of UTF-8.
    const most = bytes === undefined ? 3 * (data as string).length : bytes.length;
    if (pending === 0 || pending + most <= maxBufferedAmount) return;
    const size = bytes === undefined ? utf8Length(data as string) : bytes.length;
    if (pending + size <= maxBufferedAmount) return;
    throw new BackpressureError(
      `${pending} bytes are already buffered and ${size} more would exceed maxBufferedAmount (${maxBufferedAmount}); write output() first`,
    );
  }

  /** Encodes what follows all messages: a pong, and our close frame. */
  #encodeLast(): void {
    const pong = this.#pong;
    this.#pong = undefined;
    if (this.#closeSent) return;
    if (pong !== undefined) this.#encoder.frame(PongMessage, true, 0, pong);
    if (this.#closePayload === undefined) return;
    this.#encoder.frame(CloseMessage, true, 0, this.#closePayload);
    this.#closeSent = true;
  }
}

let textDecoder: TextDecoder | undefined;

/** @throws TypeError, RangeError for a code or reason that cannot be sent. */
function closePayload(code: number, reason: string): Uint8Array {
  const payload = formatCloseMessage(code, reason);
  if (payload.length > 0) return payload;
  throw new RangeError(`websocket: close code ${code} must not be sent; close() sends 1000`);
}

/** The event for the complete message of `decoder`. A byte order mark of a text is kept. */
function message(decoder: MessageDecoder): EndpointEvent {
  const data = decoder.data();
  if (decoder.type !== TextMessage) return { kind: 'binary', data };
  textDecoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
  return { kind: 'text', text: textDecoder.decode(data) };
}

/** Any other error than a fault of the peer is a detached chunk or a failed allocation. */
function asProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  const detached = error instanceof TypeError;
  const fault = detached ? 'the chunk was detached' : 'the message does not fit in memory';
  return new ProtocolError(CloseCode.InternalServerErr, [fault], 'WS_ERR_PROTOCOL', {
    cause: error,
  });
}

/**
 * Returns a view of the bytes of `data`, without a copy.
 *
 * @param endpoint - Its method `method` got the data.
 * @throws TypeError for other data, and for bytes of a buffer that is detached or has shrunk.
 */
function bytesOf(data: unknown, endpoint: object, method: string): Uint8Array {
  if (ArrayBuffer.isView(data)) {
    // Without its memory a typed array looks empty, and only its methods throw.
    if (data.byteLength === 0) (data as Partial<Uint8Array>).indexOf?.(0);
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  const tag = kind(data);
  if (tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer') {
    return new Uint8Array(data as ArrayBufferLike);
  }
  const hint = tag === 'Object' || tag === 'Array' ? '; JSON.stringify makes a string of it' : '';
  const error = new TypeError(`data: expected a string or bytes, got ${tag}${hint}`);
  fromCaller(error, endpoint, method);
  throw error;
}

/**
 * Returns the payload of a control frame.
 *
 * @throws TypeError as {@link bytesOf} does, RangeError for more than 125 bytes (RFC 6455, section
 *   5.5).
 */
function controlPayload(data: unknown, endpoint: object, method: string): Uint8Array {
  const size = typeof data === 'string' ? utf8Length(data) : bytesOf(data, endpoint, method).length;
  if (size > MAX_CONTROL_PAYLOAD) {
    const error = new RangeError(
      `data: expected at most ${MAX_CONTROL_PAYLOAD} bytes, got ${size}`,
    );
    fromCaller(error, endpoint, method);
    throw error;
  }
  if (typeof data !== 'string') return bytesOf(data, endpoint, method);
  const bytes = new Uint8Array(size);
  writeUtf8(bytes, 0, data);
  return bytes;
}
