import { type ClosePayload, cutReason, formatCloseMessage } from '../close/close-payload.ts';
import type { ProtocolError } from '../errors.ts';
import { FAILED, NEED_MORE } from '../frames/decoder-options.ts';
import { FrameHeader } from '../frames/header.ts';
import { FIN } from '../frames/rules.ts';
import { unmask } from '../masking/mask.ts';
import { NO_BYTES } from '../memory/slab.ts';
import type { MessageDecoder } from '../messages/message-decoder.ts';
import {
  CLOSE,
  MESSAGE,
  type MessageCounters,
  type MessageEvent,
  PING,
} from '../messages/message-decoder-options.ts';
import { CloseCode, CloseMessage, isValidCloseCode, PongMessage, type Role } from '../protocol.ts';
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

/** Why a connection fails, and the close frame that says so (section 7.1.7). */
export interface Failure {
  /** As the application gets it. */
  readonly error: unknown;
  readonly code: number;
  readonly reason: string;
}

/** The owner of a {@link Machine}: a connection. It lends decoders and judges faults. */
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
   * The peer broke a rule. Only our close frame follows the frames that are queued now. The owner may
   * drop the queued frames of a blocked transport.
   *
   * @param error - Of the decoder, of {@link readClose} or of {@link Machine.fault}. If the decoder
   *   found it, {@link Machine.input} has the frame.
   */
  failureBy(error: Error): Failure;
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
 * Bytes out: the owner adds messages to {@link out} while {@link open}, and counts them. {@link close},
 * {@link fail}, {@link fault} and {@link answer} add the one close frame, and no frame follows it. After
 * each call, the owner writes {@link out} to its transport, and does what {@link ends} and {@link over}
 * say.
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
  /** Payload of the pong that waits. */
  waitingPong: Uint8Array | undefined = undefined;
  /** Whether a control frame is among the queued frames: a later one must not overtake it. */
  controlIsQueued = false;
  /** Whether frames may be sent. */
  open = true;
  /** The decoder while input is unparsed, and until the next call after CLOSE and FAILED. */
  input: MessageDecoder | undefined = undefined;
  /** No further event follows: after CLOSE, FAILED, {@link END} and {@link drop}. */
  inputEnded = false;
  /** The peer has ended its side of the transport. {@link END} may still be due. */
  peerEnded = false;
  /** The peer's close frame. */
  received: ClosePayload | undefined = undefined;
  /** Why the connection has failed: the peer or the application broke a rule (section 7.1.7). */
  failed: Failure | undefined = undefined;
  /** Whether our close frame was queued. */
  sent = false;
  /** The frames that the transport does not have. */
  readonly out: Out;
  readonly #owner: MachineOwner;

  constructor(owner: MachineOwner, out: Out) {
    this.#owner = owner;
    this.out = out;
  }

  // Questions about the state

  /** Whether one of the ends has closed, failed or ended. */
  get begun(): boolean {
    return this.state !== OPEN || this.peerEnded;
  }

  /** Whether our side of the transport ends once {@link out} is written. */
  ends(role: Role): boolean {
    return endsOurSide(this.state, role);
  }

  /** Whether the transport is destroyed once {@link out} is sent. */
  get over(): boolean {
    return this.state === OVER;
  }

  /** Whether {@link answer} has an effect: the peer has closed or ended, and we have not. */
  get answerIsDue(): boolean {
    return this.state !== OPEN && this.open;
  }

  /** Whether {@link next} returns {@link END} after the input. */
  get endIsDue(): boolean {
    return !this.inputEnded && (this.peerEnded || this.state >= DESTROYED);
  }

  // Bytes in

  /**
   * Adds `chunk[0, end)`. Drops it after the last input that is parsed.
   *
   * @param chunk - Lent until {@link next} has returned NEED_MORE while the decoder is not `pending`,
   *   or until {@link keep}. The decoder may change it.
   */
  push(chunk: Uint8Array, end: number): void {
    if (this.inputEnded || this.state >= DESTROYED) return;
    this.input ??= this.#owner.lendDecoder();
    this.input.push(chunk, end);
  }

  /** Ends the loan of the chunk. */
  keep(): void {
    if (this.inputEnded) this.drop();
    else this.input?.keep();
  }

  /**
   * Advances to the next event.
   *
   * @throws Any error of the platform, for example when memory is missing. The state is DESTROYED
   *   when a pong or a close frame could not be written.
   */
  next(): MachineEvent {
    const { input } = this;
    if (input === undefined || this.inputEnded) return this.#exhausted();
    const event = input.next();
    return event === MESSAGE ? event : this.#otherEvent(event, input);
  }

  #otherEvent(event: MessageEvent, input: MessageDecoder): MachineEvent {
    if (event === CLOSE) return this.#closeReceived(input);
    if (event === FAILED) return this.fault(input.error!);
    if (event === PING && this.autoPong && this.open) this.#answerPing(input);
    if (event !== NEED_MORE) return event;
    if (input.idle) this.giveBack();
    // As in `endIsDue`: its call would cost each chunk.
    return this.peerEnded || this.state >= DESTROYED ? this.#exhausted() : NEED_MORE;
  }

  /** All input is parsed, or waits for the extension, or is not parsed. */
  #exhausted(): typeof NEED_MORE | typeof END {
    if (this.inputEnded) this.drop();
    if (!this.endIsDue || this.input?.pending === true) return NEED_MORE;
    this.drop();
    this.#on(PEER_END);
    return END;
  }

  /** Ends the loan of the decoder, which is idle. */
  giveBack(): void {
    const input = this.input!;
    this.input = undefined;
    this.#owner.takeDecoder(input);
  }

  /** Drops the unparsed input, and the message under way. Nothing more is parsed. */
  drop(): void {
    const { input } = this;
    this.inputEnded = true;
    if (input === undefined) return;
    input.destroy();
    this.giveBack();
  }

  /** The peer has ended its side of the transport. {@link next} returns END after all input before. */
  end(): void {
    this.peerEnded = true;
    if (!takesInput(this.state)) this.#on(PEER_END);
  }

  /**
   * Treats the peer's close frame, or its end, as received although the input before it is unparsed: a
   * reader may never take that input. The input stays, and its events follow as before.
   */
  lookAhead(): void {
    if (this.inputEnded) return;
    const close = this.#closeAhead();
    if (close !== undefined) {
      this.received ??= close;
      this.#on(PEER_CLOSE);
    }
    if (this.peerEnded) this.#on(PEER_END);
  }

  /** The peer's close frame, if it is in the unparsed input. Parses nothing. */
  #closeAhead(): ClosePayload | undefined {
    const { input } = this;
    if (input?.pending !== true) return undefined;
    const bytes = input.rest();
    const header = new FrameHeader();
    // The input may begin within a payload.
    let end = input.frame.missing;
    try {
      while (end < bytes.length) {
        const size = header.read(bytes, end);
        if (size === 0) break;
        const start = end + size;
        end = start + header.length;
        if (header.opcode !== CloseMessage || end > bytes.length) continue;
        unmask(bytes, start, end, header.maskKey);
        return this.#owner.readClose(bytes.subarray(start, end));
      }
    } catch {
      // A broken rule. The reader gets its error.
    }
    return undefined;
  }

  // The closing handshake

  #closeReceived({ bytes, start, end }: MessageDecoder): typeof CLOSE | typeof FAILED {
    let close: ClosePayload;
    try {
      close = this.#owner.readClose(bytes.subarray(start, end));
    } catch (error) {
      return this.fault(error as Error);
    }
    this.inputEnded = true;
    this.received = close;
    this.#on(PEER_CLOSE);
    return CLOSE;
  }

  /**
   * Fails the connection because the peer broke a rule. The owner calls it for rules that it checks
   * itself.
   */
  fault(error: Error): typeof FAILED {
    this.inputEnded = true;
    // A close frame that was seen ahead comes after this fault.
    this.received = undefined;
    this.#fail(BROKEN_RULE, this.#owner.failureBy(error));
    return FAILED;
  }

  /** Fails the connection because of an error of the application. */
  fail(error: unknown, code: number, reason: string): void {
    this.#fail(WE_FAIL, { error, code, reason });
    if (!takesInput(this.state) && this.state < DESTROYED) this.drop();
  }

  #fail(event: StateEvent, failure: Failure): void {
    if (this.state < DESTROYED) this.failed ??= failure;
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
    this.waitingPong = undefined;
    this.#on(DESTROY);
  }

  /** The transport has closed. What arrived can still be read. */
  gone(): void {
    this.waitingPong = undefined;
    this.#on(GONE);
  }

  /** Returns whether `event` changes the state: the only place where it changes. */
  #on(event: StateEvent, payload: Uint8Array = NO_BYTES): boolean {
    const cell = TABLE[this.state]![event];
    if (cell === undefined) return false;
    // First: a function for masking keys may send.
    this.state = cell.to;
    this.open = maySend(cell.to);
    if (cell.frame !== NO_FRAME) {
      const close = cell.frame === ECHO ? formatCloseMessage(this.received!.code) : payload;
      if (this.waitingPong !== undefined) this.queuePong();
      this.#own(CloseMessage, close, 0, close.length);
      this.sent = true;
    }
    // The end was seen before. The input before it is no longer parsed.
    if (this.peerEnded && !takesInput(cell.to)) this.#on(PEER_END);
    return true;
  }

  // The frames of this class

  /** Only the newest ping is answered while pongs wait (section 5.5.3). */
  #answerPing({ bytes, start, end }: MessageDecoder): void {
    if (this.blocked) this.waitingPong = bytes.slice(start, end);
    else this.#own(PongMessage, bytes, start, end);
  }

  /** Removes the payload of the pong that waits. The owner sends it between two frames. */
  takePong(): Uint8Array | undefined {
    const pong = this.waitingPong;
    this.waitingPong = undefined;
    return pong;
  }

  /** Adds the pong that waits after the queued frames. */
  queuePong(): void {
    const pong = this.takePong();
    if (pong !== undefined) this.#own(PongMessage, pong, 0, pong.length);
  }

  /** Adds a frame that no caller waits for. Without it, the connection cannot go on. */
  #own(opcode: number, bytes: Uint8Array, start: number, end: number): void {
    try {
      this.bytesOut += this.out.addCopy(FIN | opcode, bytes, start, end);
      this.framesOut++;
      this.controlIsQueued = true;
    } catch (error) {
      this.destroy();
      throw error;
    }
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
