import { type ClosePayload, cutReason, formatCloseMessage } from '../close/close-payload.ts';
import type { ProtocolError } from '../errors.ts';
import { FAILED, NEED_MORE } from '../frames/decoder-options.ts';
import { FIN } from '../frames/rules.ts';
import { NO_BYTES } from '../memory/slab.ts';
import type { MessageDecoder } from '../messages/message-decoder.ts';
import {
  CLOSE,
  MESSAGE,
  type MessageCounters,
  type MessageEvent,
  PING,
} from '../messages/message-decoder-options.ts';
import {
  CloseCode,
  CloseMessage,
  isValidCloseCode,
  PingMessage,
  PongMessage,
  type Role,
} from '../protocol.ts';
import {
  ANSWER,
  BROKEN_RULE,
  DESTROY,
  DESTROYED,
  ECHO,
  endsOurSide,
  GONE,
  maySend,
  NO_FRAME,
  OPEN,
  OVER,
  PEER_CLOSE,
  PEER_END,
  type State,
  type StateEvent,
  TABLE,
  takesInput,
  WE_CLOSE,
  WE_FAIL,
} from './states.ts';

/**
 * The peer's stream has ended, and all input before that is parsed. No event of the peer follows. See
 * {@link Machine}.
 */
export const END = 9;

/** The results of {@link Machine.next}. */
export type MachineEvent = MessageEvent | typeof END;

/** Where frames wait for a transport: a {@link FrameQueue}, or an object with its method. */
export interface FrameOutput {
  /**
   * Adds a frame with a copy of `bytes[start, end)`. Returns its size in bytes.
   *
   * @param b0 - The first byte: FIN, RSV bits and opcode.
   */
  addCopy(b0: number, bytes: Uint8Array, start: number, end: number): number;
}

interface TextOutput extends FrameOutput {
  /** Adds a frame with a text. Returns its size in bytes. */
  addText(b0: number, text: string): number;
}

/** Why a connection fails, and the close frame that says so (section 7.1.7). */
export interface Failure {
  /** As the application gets it. */
  readonly error: unknown;
  readonly code: number;
  readonly reason: string;
}

/** What a {@link Machine} needs of its owner. */
export interface MachineOwner {
  /** Lends a decoder that is attached to the machine: input has arrived, and none is unparsed. */
  lendDecoder(): MessageDecoder;
  /** Ends the loan of an idle decoder. */
  takeDecoder(decoder: MessageDecoder): void;
  /**
   * Reads the payload of the peer's close frame, as `parseCloseMessage` does.
   *
   * @throws the error of a bad payload, which is given to {@link failureBy}.
   */
  readClose(payload: Uint8Array): ClosePayload;
  /**
   * The peer broke a rule. Only our close frame follows the frames that are queued now: those which a
   * blocked transport does not have may be dropped.
   *
   * @param error - Of the decoder, of {@link readClose} or of {@link Machine.fault}. If the decoder
   *   found it, {@link Machine.input} has the frame.
   */
  failureBy(error: Error): Failure;
}

/** How a connection ends. The first event of an end creates it. */
interface Ends {
  received: ClosePayload | undefined;
  failed: Failure | undefined;
  sent: boolean;
}

/**
 * One end of a connection, without I/O, clock or promise (RFC 6455, sections 5.4 to 5.6 and 7). Bytes
 * of the peer become events, what is sent becomes frames of {@link out}, and {@link state} decides the
 * rest. `Endpoint`, `Conn` and the `WebSocket` of `@ws/compat` run on it.
 *
 * Bytes in: {@link push} a chunk, then call {@link next} until it returns NEED_MORE, then
 * {@link keep}. While input is unparsed, {@link input} is a decoder on loan, and its fields describe
 * the last event. The machine answers pings and queues the close frame of a fault.
 *
 * Bytes out: messages and fragments are added while {@link open}. {@link close}, {@link fail},
 * {@link fault} and {@link answer} add the one close frame, and no frame follows it. After each call,
 * the owner writes {@link out} to its transport, and does what {@link ends} and {@link over} say.
 */
export class Machine<Out extends FrameOutput = FrameOutput> implements MessageCounters {
  framesIn = 0;
  messagesIn = 0;
  pingsIn = 0;
  framesOut = 0;
  bytesOut = 0;
  /** Only {@link #on} changes it. */
  state: State = OPEN;
  /**
   * Set while the transport takes nothing. Pings are then not answered in {@link out}: the newest pong
   * waits, and may overtake messages, see {@link takePong}.
   */
  blocked = false;
  /** Whether pings are answered. */
  autoPong = true;
  /** The decoder while input is unparsed, and until the next call after CLOSE and FAILED. */
  input: MessageDecoder | undefined = undefined;
  /** The frames that the transport does not have. */
  readonly out: Out;
  readonly #owner: MachineOwner;
  readonly #role: Role;
  /** The peer has ended its side of the transport. {@link END} may still be due. */
  #peerEnded = false;
  /** Payload of the pong that waits. */
  #pong: Uint8Array | undefined = undefined;
  #ends: Ends | undefined = undefined;

  constructor(owner: MachineOwner, role: Role, out: Out) {
    this.#owner = owner;
    this.#role = role;
    this.out = out;
  }

  // What the state says

  /** Whether frames may be sent. */
  get open(): boolean {
    return maySend(this.state);
  }

  /** Whether our side of the transport ends once {@link out} is written. */
  get ends(): boolean {
    return endsOurSide(this.state, this.#role);
  }

  /** Whether the transport is destroyed once {@link out} is sent. */
  get over(): boolean {
    return this.state === OVER;
  }

  /** The peer's close frame. */
  get received(): ClosePayload | undefined {
    return this.#ends?.received;
  }

  /** Why the connection has failed: the peer or the application broke a rule (section 7.1.7). */
  get failed(): Failure | undefined {
    return this.#ends?.failed;
  }

  /** Whether our close frame was queued. */
  get sent(): boolean {
    return this.#ends?.sent === true;
  }

  /** Whether {@link next} returns {@link END} after the input. */
  get endIsDue(): boolean {
    return this.state >= DESTROYED || (this.#peerEnded && takesInput(this.state));
  }

  // Bytes in

  /**
   * Adds `chunk[0, end)`. Dropped when no input is taken any more.
   *
   * @param chunk - Lent until {@link next} has returned NEED_MORE while the decoder is not `pending`,
   *   or until {@link keep}. The decoder may change it.
   */
  push(chunk: Uint8Array, end: number): void {
    if (!takesInput(this.state)) return;
    this.input ??= this.#owner.lendDecoder();
    this.input.push(chunk, end);
  }

  /** Ends the loan of the chunk. */
  keep(): void {
    if (this.#parses()) this.input?.keep();
    else this.drop();
  }

  /**
   * Advances to the next event.
   *
   * @throws Any error of the platform, for example when memory is missing.
   */
  next(): MachineEvent {
    const { input } = this;
    if (input === undefined || !this.#parses()) return this.#exhausted();
    const event = input.next();
    return event === MESSAGE ? event : this.#otherEvent(event, input);
  }

  /** Whether input is parsed. What arrived before the transport closed can still be read. */
  #parses(): boolean {
    const { state } = this;
    return takesInput(state) || (state >= DESTROYED && this.received === undefined);
  }

  #otherEvent(event: MessageEvent, input: MessageDecoder): MachineEvent {
    if (event === CLOSE) return this.#closeReceived(input);
    if (event === FAILED) return this.fault(input.error!);
    if (event === PING && this.autoPong && this.open) this.#answerPing(input);
    if (event !== NEED_MORE) return event;
    if (input.idle) this.giveBack();
    return this.#exhausted();
  }

  /** All input is parsed, or waits for the extension, or is not parsed. */
  #exhausted(): typeof NEED_MORE | typeof END {
    if (!this.#parses()) {
      this.drop();
      return NEED_MORE;
    }
    if (!this.endIsDue || this.input?.pending === true) return NEED_MORE;
    this.drop();
    this.#on(PEER_END);
    return END;
  }

  /** Ends the loan of the decoder, which is idle. */
  giveBack(): void {
    this.#owner.takeDecoder(this.input!);
    this.input = undefined;
  }

  /** Drops the unparsed input, and the message under way. */
  drop(): void {
    const { input } = this;
    if (input === undefined) return;
    input.destroy();
    this.giveBack();
  }

  /** The peer has ended its side of the transport. {@link next} returns END after all input before. */
  end(): void {
    this.#peerEnded = true;
    if (!takesInput(this.state)) this.#on(PEER_END);
  }

  // The closing handshake

  #closeReceived({ bytes, start, end }: MessageDecoder): typeof CLOSE | typeof FAILED {
    let close: ClosePayload;
    try {
      close = this.#owner.readClose(bytes.subarray(start, end));
    } catch (error) {
      return this.fault(error as Error);
    }
    this.#endsOrNew().received = close;
    this.#on(PEER_CLOSE);
    return CLOSE;
  }

  /**
   * Fails the connection because the peer broke a rule. The owner calls it for rules that it checks
   * itself.
   */
  fault(error: Error): typeof FAILED {
    this.#fail(BROKEN_RULE, this.#owner.failureBy(error));
    return FAILED;
  }

  /** Fails the connection because of an error of the application. Nothing more is parsed. */
  fail(error: unknown, code: number, reason: string): void {
    this.#fail(WE_FAIL, { error, code, reason });
    if (!this.#parses()) this.drop();
  }

  #fail(event: StateEvent, failure: Failure): void {
    if (this.state < DESTROYED) this.#endsOrNew().failed ??= failure;
    const { code, reason } = failure;
    this.#on(event, this.open ? formatCloseMessage(code, reason) : NO_BYTES);
  }

  /**
   * Sends our close frame (section 7.1.2).
   *
   * @returns Whether it was queued. No other close frame was, then.
   * @throws the error of {@link out}. The state is then DESTROYED.
   */
  close(payload: Uint8Array): boolean {
    return this.#on(WE_CLOSE, payload);
  }

  /**
   * The messages before the peer's close frame, or before its end, are handled: our answer follows.
   *
   * @returns Whether it was due.
   * @throws as {@link close}.
   */
  answer(): boolean {
    return this.#on(ANSWER);
  }

  /** The transport is destroyed. What arrived can still be read. */
  destroy(): void {
    this.#leave(DESTROY);
  }

  /** The transport has closed. What arrived can still be read. */
  gone(): void {
    this.#leave(GONE);
  }

  #leave(event: typeof DESTROY | typeof GONE): void {
    if (!this.#parses()) this.drop();
    this.#pong = undefined;
    this.#on(event);
  }

  /** Returns whether `event` changes the state: the only place where it changes. */
  #on(event: StateEvent, payload: Uint8Array = NO_BYTES): boolean {
    const cell = TABLE[this.state]![event];
    if (cell === undefined) return false;
    // First: a function for masking keys may send.
    this.state = cell.to;
    if (cell.frame !== NO_FRAME) {
      const { received } = this;
      this.#closeFrame(cell.frame === ECHO ? formatCloseMessage(received!.code) : payload);
    }
    // It was seen before, and what came before it is not parsed any more.
    if (this.#peerEnded && !takesInput(cell.to)) this.#on(PEER_END);
    return true;
  }

  #closeFrame(payload: Uint8Array): void {
    try {
      this.queuePong();
      this.#add(CloseMessage, payload, 0, payload.length);
    } catch (error) {
      this.destroy();
      throw error;
    }
    this.#endsOrNew().sent = true;
  }

  #endsOrNew(): Ends {
    this.#ends ??= { received: undefined, failed: undefined, sent: false };
    return this.#ends;
  }

  // Frames out. They return the size of the frame in bytes, 0 when none may be sent.

  /** Adds a whole message with a text. */
  text(this: Machine<TextOutput>, type: number, text: string): number {
    if (!this.open) return 0;
    return this.#added(this.out.addText(FIN | type, text));
  }

  /** Adds a whole message with a copy of `bytes[start, end)`. */
  bytes(type: number, bytes: Uint8Array, start: number, end: number): number {
    return this.open ? this.#add(type, bytes, start, end) : 0;
  }

  /**
   * Adds a frame of a message with a copy of `bytes[start, end)`.
   *
   * @param b0 - FIN, the RSV bits of an extension, and the opcode.
   */
  fragment(b0: number, bytes: Uint8Array, start: number, end: number): number {
    return this.open ? this.#added(this.out.addCopy(b0, bytes, start, end)) : 0;
  }

  /** Adds a ping with a copy of `bytes[start, end)` (section 5.5.2). */
  ping(bytes: Uint8Array, start: number, end: number): number {
    return this.bytes(PingMessage, bytes, start, end);
  }

  /** Adds a pong with a copy of `bytes[start, end)` (section 5.5.3). */
  pong(bytes: Uint8Array, start: number, end: number): number {
    return this.bytes(PongMessage, bytes, start, end);
  }

  /** Only the newest ping is answered while pongs wait (section 5.5.3). */
  #answerPing({ bytes, start, end }: MessageDecoder): void {
    if (this.blocked) this.#pong = bytes.slice(start, end);
    else this.#add(PongMessage, bytes, start, end);
  }

  /** Whether a pong waits. */
  get pongWaits(): boolean {
    return this.#pong !== undefined;
  }

  /** Removes the payload of the pong that waits. The owner sends it between two frames. */
  takePong(): Uint8Array | undefined {
    const pong = this.#pong;
    this.#pong = undefined;
    return pong;
  }

  /** Adds the pong that waits after the queued frames. */
  queuePong(): void {
    const pong = this.takePong();
    if (pong !== undefined) this.#add(PongMessage, pong, 0, pong.length);
  }

  #add(opcode: number, bytes: Uint8Array, start: number, end: number): number {
    return this.#added(this.out.addCopy(FIN | opcode, bytes, start, end));
  }

  #added(size: number): number {
    this.framesOut++;
    this.bytesOut += size;
    return size;
  }
}

/**
 * The close frame for a rule that the peer broke (section 7.4.1). Its reason names the faults. A
 * message above the limit gets no reason: the peer does not learn the limit.
 */
export function failureBy(error: ProtocolError): Failure {
  // An extension of the application may name any code.
  const code = isValidCloseCode(error.closeCode) ? error.closeCode : CloseCode.ProtocolError;
  const tooBig = code === CloseCode.MessageTooBig;
  return { error, code, reason: tooBig ? '' : cutReason(error.faults.join(', ')) };
}
