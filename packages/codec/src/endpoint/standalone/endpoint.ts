import { badType, bound, checked, checkOptionNames, kind } from '../../arguments.ts';
import { bytesOfView, isBytes } from '../../byte-facts.ts';
import { formatCloseMessage, parseCloseMessage } from '../../close/close-payload.ts';
import { BackpressureError, ProtocolError } from '../../errors.ts';
import { FAILED, NEED_MORE } from '../../frames/decoder-options.ts';
import { FrameQueue } from '../../frames/frame-queue.ts';
import { FrameSlab } from '../../frames/frame-slab.ts';
import { FIN } from '../../frames/rules.ts';
import { checkedKeys, MaskKeys, nextSharedKey } from '../../masking/mask-key.ts';
import { existingSimd } from '../../masking/simd.ts';
import { NO_BYTES, type OwnedBytes, type SlabSource } from '../../memory/slab.ts';
import { MessageDecoder } from '../../messages/message-decoder.ts';
import { CLOSE, MESSAGE, OWNED, PING, PONG } from '../../messages/message-decoder-options.ts';
import {
  BinaryMessage,
  CloseCode,
  MAX_CONTROL_PAYLOAD,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from '../../protocol.ts';
import { readUtf8, toUtf8, utf8Length, writeUtf8 } from '../../text/utf8-automaton.ts';
import { type Failure, failureBy, Machine, type MachineOwner } from '../machine.ts';
import { CLOSE_RECEIVED, CLOSED, OPEN } from '../states.ts';
import { flush, takeBytes } from './encoder.ts';

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

const MIB = 1_048_576;

/**
 * Returns the options with their defaults; Infinity is no bound.
 *
 * @throws TypeError or RangeError that names the invalid or unknown option.
 */
function settingsOf(options: EndpointOptions) {
  const names = ['role', 'readLimit', 'maxBufferedAmount', 'autoPong', 'random'];
  checkOptionNames('Endpoint', options, names);
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
  readonly #frames: FrameQueue;
  readonly #machine: Machine;
  #closeInfo: EndpointCloseInfo | undefined = undefined;
  #rest: OwnedBytes = NO_BYTES;

  /** @throws TypeError or RangeError that names the invalid or unknown option. */
  constructor(options: EndpointOptions) {
    const settings = checked(() => settingsOf(options), Endpoint);
    const { role, readLimit, autoPong, random } = settings;
    this.#settings = settings;
    const keys = random && new MaskKeys(random);
    this.#frames = new FrameQueue(new FrameSlab(HEAP, 1024, false, HEAP), {
      masks: role === 'client',
      nextKey: keys === undefined ? nextSharedKey : checkedKeys(() => keys.next()),
      writeUtf8,
    });
    const decoder = new MessageDecoder({ role, readLimit, pool: HEAP, memory: OWNED });
    const owner: MachineOwner = {
      lendDecoder: () => decoder,
      takeDecoder: () => {},
      readClose: parseCloseMessage,
      failureBy: (error) => this.#failureBy(asProtocolError(error)),
    };
    this.#machine = new Machine(owner, this.#frames);
    this.#machine.autoPong = autoPong;
    // The newest ping is answered, at the next output.
    this.#machine.blocked = true;
  }

  /**
   * `open` at first. `closing` after `close()`, the peer's close frame or a fault. `closed` when
   * {@link finished}, or after `end()`.
   */
  get state(): 'open' | 'closing' | 'closed' {
    const { state } = this.#machine;
    if (this.finished || state === CLOSED) return 'closed';
    return state === OPEN ? 'open' : 'closing';
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
   * @returns The events that the chunk completed, in order. A fault of the peer is a close event with `error`,
   *   and a close frame in the output. Empty after the close event: bytes that come later are
   *   ignored.
   * @throws TypeError when `chunk` is not a Uint8Array. Never for the bytes of the peer.
   */
  receive(chunk: Uint8Array): EndpointEvent[] {
    if (!isBytes(chunk)) throw new TypeError('chunk must be a Uint8Array');
    const events: EndpointEvent[] = [];
    if (this.#closeInfo !== undefined) return events;
    try {
      const bytes = bytesOf(chunk);
      // The decoder unmasks payload while it copies it. Only in the memory of the SIMD kernel it
      // unmasks in place.
      const copies = bytes.buffer === existingSimd()?.buffer;
      this.#machine.push(copies ? bytes.slice() : bytes, bytes.length);
      this.#read(events);
    } catch (error) {
      this.#machine.fault(asProtocolError(error));
      this.#failed(events);
    }
    this.#machine.keep();
    return events;
  }

  /**
   * The transport has ended, or it failed.
   *
   * @returns A close event with code 1006 when there was none before, else nothing.
   */
  end(): EndpointEvent[] {
    const events: EndpointEvent[] = [];
    this.#machine.drop();
    // Half of the transport may be open.
    this.#machine.answer();
    this.#machine.gone();
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
    const bytes = typeof data === 'string' ? undefined : checked(() => bytesOf(data), this, 'send');
    if (!this.#machine.open) return false;
    this.#checkRoom(data, bytes);
    if (bytes === undefined) this.#frames.addText(FIN | TextMessage, data as string);
    else this.#frames.addCopy(FIN | BinaryMessage, bytes, 0, bytes.length);
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
    return this.#control('ping', data);
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
    return this.#control('pong', data);
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
    if (this.#closeInfo === undefined) this.#machine.close(payload);
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
    this.#machine.answer();
    this.#machine.queuePong();
    return write === undefined ? takeBytes(this.#frames) : void flush(this.#frames, write);
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
    const machine = this.#machine;
    let event: number;
    while ((event = machine.next()) !== NEED_MORE) {
      const input = machine.input!;
      if (event === MESSAGE) events.push(message(input));
      else if (event === PING) events.push({ kind: 'ping', data: input.data() });
      else if (event === PONG) events.push({ kind: 'pong', data: input.data() });
      else if (event === FAILED) return this.#failed(events);
      else if (event === CLOSE) {
        this.#rest = input.rest();
        return this.#finish({ ...machine.received!, wasClean: true }, events);
      }
    }
  }

  /** The failure by a fault. For a message over the limit, its error names the option. */
  #failureBy(error: ProtocolError): Failure {
    const failure = failureBy(error);
    const { readLimit } = this.#settings;
    if (failure.code !== CloseCode.MessageTooBig || readLimit === Infinity) return failure;
    const text = `read limit of ${readLimit} bytes exceeded by a message of the peer; raise it with the option readLimit`;
    return { ...failure, error: new ProtocolError(CloseCode.MessageTooBig, [text]) };
  }

  #failed(events: EndpointEvent[]): void {
    const error = this.#machine.failed!.error as ProtocolError;
    this.#finish({ code: error.closeCode, reason: '', wasClean: false, error }, events);
  }

  #finish(info: EndpointCloseInfo, events: EndpointEvent[]): void {
    this.#closeInfo = info;
    events.push({ kind: 'close', ...info });
  }

  #hasOutput(): boolean {
    const { state, waitingPong } = this.#machine;
    return state === CLOSE_RECEIVED || waitingPong !== undefined || this.#frames.bytes > 0;
  }

  #control(method: 'ping' | 'pong', data: EndpointData): boolean {
    const payload = checked(() => controlPayload(data), this, method);
    if (!this.#machine.open) return false;
    this.#checkRoom(data, payload);
    const type = method === 'ping' ? PingMessage : PongMessage;
    this.#frames.addCopy(FIN | type, payload, 0, payload.length);
    return true;
  }

  /** An empty output accepts a message of any size. */
  #checkRoom(data: EndpointData, bytes: Uint8Array | undefined): void {
    const { maxBufferedAmount } = this.#settings;
    const pending = this.#frames.bytes;
    // A UTF-16 code unit is at most 3 bytes of UTF-8.
    const most = bytes === undefined ? 3 * (data as string).length : bytes.length;
    if (pending === 0 || pending + most <= maxBufferedAmount) return;
    const size = bytes === undefined ? utf8Length(data as string) : bytes.length;
    if (pending + size <= maxBufferedAmount) return;
    throw new BackpressureError(
      `${pending} bytes are already buffered and ${size} more would exceed maxBufferedAmount (${maxBufferedAmount}); write output() first`,
    );
  }
}

/** @throws TypeError, RangeError for a code or reason that cannot be sent. */
function closePayload(code: number, reason: string): Uint8Array {
  const payload = formatCloseMessage(code, reason);
  if (payload.length > 0) return payload;
  throw new RangeError(`websocket: close code ${code} must not be sent; close() sends 1000`);
}

/** The event for the complete message of `decoder`. */
function message(decoder: MessageDecoder): EndpointEvent {
  const data = decoder.data();
  if (decoder.type !== TextMessage) return { kind: 'binary', data };
  return { kind: 'text', text: readUtf8(data) };
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
 * @throws TypeError for other data, and for bytes of a buffer that is detached or has shrunk.
 */
function bytesOf(data: unknown): Uint8Array {
  if (ArrayBuffer.isView(data)) return bytesOfView(data);
  const tag = kind(data);
  if (tag === 'ArrayBuffer' || tag === 'SharedArrayBuffer') {
    return new Uint8Array(data as ArrayBufferLike);
  }
  const hint = tag === 'Object' || tag === 'Array' ? '; JSON.stringify makes a string of it' : '';
  throw new TypeError(`data: expected a string or bytes, got ${tag}${hint}`);
}

/**
 * Returns the payload of a control frame.
 *
 * @throws TypeError as {@link bytesOf} does, RangeError for more than 125 bytes (RFC 6455, section
 *   5.5).
 */
function controlPayload(data: unknown): Uint8Array {
  const size = typeof data === 'string' ? utf8Length(data) : bytesOf(data).length;
  if (size > MAX_CONTROL_PAYLOAD) {
    throw new RangeError(`data: expected at most ${MAX_CONTROL_PAYLOAD} bytes, got ${size}`);
  }
  return typeof data === 'string' ? toUtf8(data) : bytesOf(data);
}
