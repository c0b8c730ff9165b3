import {
  badType,
  bound,
  checked,
  checkFunction,
  checkOptionNames,
  checkRole,
  rejectPromise,
} from '../../arguments.ts';
import { bufferOf, bytesOfView, isBytes, lengthOf } from '../../byte-facts.ts';
import { parseCloseMessage } from '../../close/close-payload.ts';
import { BackpressureError, ProtocolError } from '../../errors.ts';
import { FAILED, NEED_MORE } from '../../frames/decoder-options.ts';
import { FrameQueue, SLAB_PAYLOAD } from '../../frames/frame-queue.ts';
import { FrameSlab } from '../../frames/frame-slab.ts';
import { headerSize } from '../../frames/header.ts';
import { FIN } from '../../frames/rules.ts';
import { checkedKeys, MaskKeys, nextSharedKey } from '../../masking/mask-key.ts';
import { existingSimd } from '../../masking/simd.ts';
import { MessageBuffers } from '../../memory/message-buffers.ts';
import { NO_BYTES, type OwnedBytes, once, type SlabSource } from '../../memory/slab.ts';
import { sharedSlabPool } from '../../memory/slab-pool.ts';
import { MessageDecoder } from '../../messages/message-decoder.ts';
import {
  BORROWED,
  CLOSE,
  MESSAGE,
  OWNED,
  type PayloadMemory,
  PING,
  PONG,
} from '../../messages/message-decoder-options.ts';
import {
  BinaryMessage,
  CloseCode,
  PingMessage,
  PongMessage,
  type Role,
  TextMessage,
} from '../../protocol.ts';
import { readUtf8, utf8Length, writeUtf8 } from '../../text/utf8-automaton.ts';
import { type Failure, failureBy, Machine, type MachineOwner } from '../machine.ts';
import { CLOSE_RECEIVED, CLOSED, OPEN } from '../states.ts';
import { flush, takeBytes } from './encoder.ts';
import { bytesOf, closePayload, controlPayload } from './given-data.ts';

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
  checkRole(role);
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
 * Receives the events of the peer. The payload is `bytes[start, end)`, borrowed until the function
 * returns: the UTF-8 of a text; empty for `'close'`, see {@link Endpoint.closeInfo}.
 */
export type EndpointListener = (
  kind: EndpointEvent['kind'],
  bytes: Uint8Array,
  start: number,
  end: number,
) => void;

/**
 * The memory of endpoints: pooled, but not of the SIMD memory. So all memory of an endpoint that is
 * dropped with output or with half a message is garbage.
 */
const SLABS: SlabSource = { take: (size) => sharedSlabPool().takeWatched(size) };
let buffers: MessageBuffers | undefined;

function ordinaryBuffers(): MessageBuffers {
  buffers ??= new MessageBuffers({ simd: false });
  return buffers;
}

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
 * {@link finished} is true, a server ends the transport; a client waits for that end for a time. An
 * endpoint has no timer: end the transport of a peer that does not answer a close frame. It has no
 * extensions: negotiate none. An endpoint that you drop needs no clean-up.
 *
 * @see RFC 6455, sections 5 to 7
 */
export class Endpoint {
  readonly #settings: ReturnType<typeof settingsOf>;
  readonly #frames: FrameQueue;
  readonly #machine: Machine;
  readonly #decoder: MessageDecoder;
  #closeInfo: EndpointCloseInfo | undefined = undefined;
  /** Whether the close event was not reported, because output was lost. */
  #closeIsDue = false;
  #receiving = false;
  #rest: OwnedBytes = NO_BYTES;

  /** @throws TypeError or RangeError that names the invalid or unknown option. */
  constructor(options: EndpointOptions) {
    const settings = checked(() => settingsOf(options), Endpoint);
    const { role, readLimit, autoPong, random } = settings;
    this.#settings = settings;
    const keys = random && new MaskKeys(random);
    this.#frames = new FrameQueue(new FrameSlab(SLABS, 4096, false, ordinaryBuffers()), {
      masks: role === 'client',
      nextKey: keys === undefined ? nextSharedKey : checkedKeys(() => keys.next()),
      writeUtf8,
    });
    const decoder = new MessageDecoder({
      role,
      readLimit,
      pool: SLABS,
      buffers: ordinaryBuffers(),
    });
    this.#decoder = decoder;
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

  /** Size in bytes of what `output()` would return. */
  get bufferedAmount(): number {
    const { state, waitingPong, received } = this.#machine;
    let bytes = this.#frames.bytes;
    if (waitingPong !== undefined) bytes += this.#frameSize(waitingPong.length);
    if (state === CLOSE_RECEIVED) {
      bytes += this.#frameSize(received!.code === CloseCode.NoStatusReceived ? 0 : 2);
    }
    return bytes;
  }

  /** Whether the connection is over and `output()` has returned everything. */
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
  receive(chunk: Uint8Array): EndpointEvent[];
  /**
   * The same, but no memory is made for a message.
   *
   * @param chunk - Lent for the call, which may change its bytes.
   * @param on - Called with each event. It may send, but must not call `receive`. The events after
   *   one for which it throws follow at the next call.
   * @throws As above, and what `on` throws; TypeError when `on` returns a promise.
   */
  receive(chunk: Uint8Array, on: EndpointListener): void;
  receive(chunk: Uint8Array, on?: EndpointListener): EndpointEvent[] | undefined {
    if (!isBytes(chunk)) throw new TypeError('chunk must be a Uint8Array');
    return on === undefined ? this.#receiveOwned(chunk) : this.#parse(chunk, on, BORROWED);
  }

  #receiveOwned(chunk: Uint8Array): EndpointEvent[] {
    const events: EndpointEvent[] = [];
    const add: EndpointListener = (kind) => events.push(this.#ownedEvent(kind));
    try {
      this.#parse(chunk, add, OWNED);
    } catch (error) {
      if (this.#receiving) throw error;
      this.#failBy(error, add);
    }
    return events;
  }

  #parse(chunk: Uint8Array, on: EndpointListener, memory: PayloadMemory): undefined {
    checkFunction('on', on);
    if (this.#receiving) throw new Error('receive must not be called by its own function `on`');
    if (this.#reportClose(on) || this.#closeInfo !== undefined) return;
    this.#receiving = true;
    try {
      this.#decoder.memory = memory;
      const isPushed = this.#push(chunk, memory, on);
      if (isPushed) while (this.#closeInfo === undefined && this.#deliverNext(on));
    } finally {
      this.#receiving = false;
      this.#machine.keep();
    }
  }

  /** Returns false after a fault. */
  #push(chunk: Uint8Array, memory: PayloadMemory, on: EndpointListener): boolean {
    try {
      const size = lengthOf(chunk);
      // Throws for a chunk that was detached.
      if (size === 0) bytesOfView(chunk);
      // An owned payload is unmasked while it is copied. Only in the memory of the SIMD kernel that
      // changes the chunk.
      const copies = memory === OWNED && bufferOf(chunk) === existingSimd()?.buffer;
      this.#machine.push(copies ? bytesOfView(chunk).slice() : chunk, size);
      return true;
    } catch (error) {
      this.#failBy(error, on);
      return false;
    }
  }

  /**
   * The transport has ended, or it failed.
   *
   * @returns A close event with code 1006 when there was none before, else nothing.
   */
  end(): EndpointEvent[] {
    const events: EndpointEvent[] = [];
    this.#machine.drop();
    // Half of the transport may be open: what waits can be written, but is in no pool.
    if (!this.#frames.lost) {
      this.#machine.answer();
      this.#frames.own();
    }
    this.#machine.gone();
    this.#lose();
    this.#reportClose((kind) => events.push(this.#ownedEvent(kind)));
    return events;
  }

  /**
   * Sends a message: a string as text, bytes as binary.
   *
   * @param data - Copied, unless you pass `release`.
   * @param release - Called once when the bytes of `data` are free again. A server then references
   *   bytes that no slab has room for, more than 65,520: they must not change before. Others are
   *   copied, and free within this call. Not called when nothing is sent.
   * @returns False when it was not sent: the connection is closing or closed. Messages before the
   *   peer's close frame can be answered until the next `output()`.
   * @throws {@link BackpressureError} when more than `maxBufferedAmount` bytes would wait; TypeError
   *   for other data; Error after an `output()` that has lost a chunk; what `release` throws within
   *   this call. Nothing is sent then.
   */
  send(data: EndpointData, release?: () => void): boolean {
    if (release !== undefined) checkFunction('release', release);
    if (typeof data === 'string') {
      if (!this.#maySend(data, undefined)) return false;
      this.#frames.addText(FIN | TextMessage, data, release);
      return true;
    }
    const bytes = this.#bytesOf(data);
    const size = lengthOf(bytes);
    if (!this.#maySend(data, size)) return false;
    const isReferenced =
      release !== undefined && this.#settings.role === 'server' && size > SLAB_PAYLOAD;
    if (isReferenced) {
      const free = once(release, 'payload');
      this.#frames.addReference(FIN | BinaryMessage, bytes, 0, size, free);
    } else {
      this.#frames.addCopy(FIN | BinaryMessage, bytes, 0, size, undefined, release);
    }
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
    this.#frames.checkWhole();
    const payload = checked(() => closePayload(code, reason), this, 'close');
    if (this.#closeInfo === undefined) this.#machine.close(payload);
  }

  /**
   * Removes the bytes that wait for the transport and returns them. Do not call it while the
   * transport takes no bytes: what waits here counts against `maxBufferedAmount`.
   *
   * @returns Owned by the caller. Empty when nothing waits.
   * @throws TypeError when bytes that were sent with a `release` were detached or have shrunk. The
   *   stream then has a hole: all output is dropped, the connection is over with 1006, and each later
   *   call that sends throws. End the transport.
   */
  output(): OwnedBytes;
  /**
   * The same without a copy: each chunk is lent by the thread's pool.
   *
   * @param write - Called for each chunk, in order. Call `release` once, when the transport no longer
   *   reads the chunk. Do not transfer the chunk's `buffer`.
   * @throws As above, and what `write` throws, with the same effect.
   */
  output(write: (chunk: Uint8Array, release: () => void) => void): void;
  output(write?: (chunk: Uint8Array, release: () => void) => void): OwnedBytes | undefined {
    if (write !== undefined) checkFunction('write', write);
    this.#frames.checkWhole();
    this.#machine.answer();
    this.#machine.queuePong();
    try {
      return write === undefined ? takeBytes(this.#frames) : void flush(this.#frames, write);
    } finally {
      if (this.#frames.lost) this.#lose();
    }
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

  /** Reports the next event. Returns false when there is none. */
  #deliverNext(on: EndpointListener): boolean {
    const input = this.#decoder;
    let event: number;
    try {
      event = this.#machine.next();
    } catch (error) {
      this.#failBy(error, on);
      return false;
    }
    switch (event) {
      case MESSAGE:
        this.#call(on, input.type === TextMessage ? 'text' : 'binary');
        return true;
      case PING:
        this.#call(on, 'ping');
        return true;
      case PONG:
        this.#call(on, 'pong');
        return true;
      case CLOSE:
        this.#rest = input.rest();
        this.#finish({ ...this.#machine.received!, wasClean: true }, on);
        return false;
      case FAILED:
        this.#failed(on);
        return false;
      default:
        return event !== NEED_MORE;
    }
  }

  #call(on: EndpointListener, kind: EndpointEvent['kind']): void {
    const { bytes, start, end } = this.#decoder;
    const result: unknown = on(kind, bytes, start, end);
    if (result !== undefined) rejectPromise('on', result);
  }

  /** The event for an owned payload of the decoder, or for the end. */
  #ownedEvent(kind: EndpointEvent['kind']): EndpointEvent {
    if (kind === 'close') return { kind, ...this.#closeInfo! };
    const data = this.#decoder.data();
    return kind === 'text' ? { kind, text: readUtf8(data) } : { kind, data };
  }

  /** The failure by a fault. For a message over the limit, its error names the option. */
  #failureBy(error: ProtocolError): Failure {
    const failure = failureBy(error);
    const { readLimit } = this.#settings;
    if (failure.code !== CloseCode.MessageTooBig || readLimit === Infinity) return failure;
    const text = `read limit of ${readLimit} bytes exceeded by a message of the peer; raise it with the option readLimit`;
    return { ...failure, error: new ProtocolError(CloseCode.MessageTooBig, [text]) };
  }

  /** `error` is a fault of the peer, or of the platform. */
  #failBy(error: unknown, on: EndpointListener): void {
    this.#machine.fault(asProtocolError(error));
    this.#failed(on);
  }

  #failed(on: EndpointListener): void {
    const error = this.#machine.failed!.error as ProtocolError;
    this.#finish({ code: error.closeCode, reason: '', wasClean: false, error }, on);
  }

  #finish(info: EndpointCloseInfo, on: EndpointListener): void {
    this.#closeInfo = info;
    this.#closeIsDue = true;
    this.#reportClose(on);
  }

  /** Reports the close event, if it was not reported. */
  #reportClose(on: EndpointListener): boolean {
    if (!this.#closeIsDue) return false;
    this.#closeIsDue = false;
    const result: unknown = on('close', NO_BYTES, 0, 0);
    if (result !== undefined) rejectPromise('on', result);
    return true;
  }

  /** The transport is over, or has to end. */
  #lose(): void {
    this.#machine.drop();
    this.#machine.gone();
    if (this.#closeInfo !== undefined) return;
    this.#closeInfo = { code: CloseCode.AbnormalClosure, reason: '', wasClean: false };
    this.#closeIsDue = true;
  }

  /** Size in bytes of a control frame. */
  #frameSize(length: number): number {
    return headerSize(length) + (this.#settings.role === 'client' ? 4 : 0) + length;
  }

  #hasOutput(): boolean {
    const { state, waitingPong } = this.#machine;
    return state === CLOSE_RECEIVED || waitingPong !== undefined || this.#frames.bytes > 0;
  }

  #control(method: 'ping' | 'pong', data: EndpointData): boolean {
    const payload = checked(() => controlPayload(data), this, method);
    if (!this.#maySend(data, payload.length)) return false;
    const type = method === 'ping' ? PingMessage : PongMessage;
    this.#frames.addCopy(FIN | type, payload, 0, payload.length);
    return true;
  }

  /** Without a view, and without the context of a closure, for the usual data. */
  #bytesOf(data: EndpointData): Uint8Array {
    // An empty one may have lost its memory: that is an error.
    return isBytes(data) && lengthOf(data) > 0 ? data : this.#otherBytes(data);
  }

  #otherBytes(data: EndpointData): Uint8Array {
    return checked(() => bytesOf(data), this, 'send');
  }

  /**
   * Whether a message may be sent. An empty output accepts one of any size.
   *
   * @throws BackpressureError when too much output waits, Error when output was lost.
   */
  #maySend(data: EndpointData, bytes: number | undefined): boolean {
    this.#frames.checkWhole();
    if (!this.#machine.open) return false;
    const { maxBufferedAmount } = this.#settings;
    const pending = this.#frames.bytes;
    // A UTF-16 code unit is at most 3 bytes of UTF-8.
    const most = bytes ?? 3 * (data as string).length;
    if (pending === 0 || pending + most <= maxBufferedAmount) return true;
    const size = bytes ?? utf8Length(data as string);
    if (pending + size <= maxBufferedAmount) return true;
    throw new BackpressureError(
      `${pending} bytes are already buffered and ${size} more would exceed maxBufferedAmount (${maxBufferedAmount}); write output() first`,
    );
  }
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
