import type { MessagePort } from 'node:worker_threads';
import {
  CloseCode,
  CloseMessage,
  ContinuationFrame,
  FRAME,
  FRAME_BEGIN,
  FRAME_DATA,
  FRAME_END,
  FrameDecoder,
  FrameEncoder,
  formatCloseMessage,
  NEED_MORE,
  PingMessage,
  PongMessage,
  ProtocolError,
  parseCloseMessage,
  type Role,
  TextMessage,
  UTF8_ACCEPT,
  utf8Step,
} from '@ws/codec';

/** Bytes of one message. */
const LIMIT = 4 * 1024 * 1024;
/** Most empty fragments in a row. They need no memory, but each costs time. */
const MAX_EMPTY_FRAGMENTS = 1_024;

/**
 * One end: reads frames, joins them into messages, answers pings and the closing handshake. It has
 * no timer: a peer that never answers a close frame keeps it open until the port closes.
 */
export class Peer {
  /** Called with each message. The payload is owned. */
  onMessage: (type: number, payload: Uint8Array) => void = () => {};
  /** Called once, with the close code, when the connection has ended. No call follows it. */
  onClose: (code: number) => void = () => {};
  /** Called with the payload of each pong. The payload is owned. */
  onPong: (payload: Uint8Array) => void = () => {};

  readonly #port: MessagePort;
  readonly #decoder: FrameDecoder;
  readonly #encoder: FrameEncoder;
  #type = 0;
  /** The fragments so far, joined: memory for each fragment would be without a bound. */
  #message: Uint8Array = new Uint8Array(0);
  #size = 0;
  #emptyFragments = 0;
  #closeSent = false;
  #ended = false;

  constructor(port: MessagePort, role: Role) {
    this.#port = port;
    this.#decoder = new FrameDecoder({ role, maxFramePayload: LIMIT });
    this.#encoder = new FrameEncoder({ role });
    port.on('message', (chunk: Uint8Array) => this.#receive(chunk));
    port.on('close', () => this.#end(CloseCode.AbnormalClosure));
  }

  /** Sends one frame: a message, a ping or a pong. Drops it after a close frame. */
  send(opcode: number, payload: Uint8Array): void {
    if (this.#closeSent || this.#ended) return;
    const encoder = this.#encoder;
    encoder.frame(opcode, true, 0, payload);
    const { segments } = encoder;
    for (let i = 0; i < segments; i++) {
      const bytes = encoder.segBuf(i).subarray(encoder.segStart(i), encoder.segEnd(i));
      // The port clones the whole ArrayBuffer of a view, and this one is shared. `bytes.slice()`
      // copies nothing if `bytes` is a Buffer.
      this.#port.postMessage(new Uint8Array(bytes));
      encoder.segRelease(i)?.();
    }
    encoder.shift(segments);
  }

  /** Starts the closing handshake. Messages may arrive until the peer answers. */
  close(code: number, reason = ''): void {
    this.send(CloseMessage, formatCloseMessage(code, reason));
    this.#closeSent = true;
  }

  #receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#decoder.push(chunk);
      this.#read();
    } catch (error) {
      // After this, events may be pending in the decoder: read no more.
      if (!(error instanceof ProtocolError)) {
        this.#fail(CloseCode.InternalServerErr, '');
        throw error;
      }
      this.#fail(error.closeCode, error.faults.join(', '));
    }
  }

  #read(): void {
    const decoder = this.#decoder;
    let event: number;
    // FAILED is below NEED_MORE and ends the loop too. So does a close frame: the bytes after it are
    // ignored (RFC 6455, section 5.5.1).
    while (!this.#ended && (event = decoder.next()) > NEED_MORE) {
      if (decoder.opcode >= CloseMessage) this.#control();
      else this.#data(event);
    }
    if (decoder.error !== undefined) throw decoder.error;
  }

  /** Handles a control frame. It is always one FRAME: its payload has at most 125 bytes. */
  #control(): void {
    const { opcode, buf, start, end } = this.#decoder;
    // Borrowed until the next step of the decoder, so keep a copy.
    const payload = new Uint8Array(buf.subarray(start, end));
    if (opcode === PingMessage) return this.send(PongMessage, payload);
    if (opcode === PongMessage) return this.onPong(payload);
    const { code } = parseCloseMessage(payload);
    this.close(code);
    this.#end(code);
  }

  #data(event: number): void {
    const { opcode, fin, length, buf, start, end } = this.#decoder;
    switch (event) {
      case FRAME:
        this.#begin(opcode, length, fin);
        this.#append(buf.subarray(start, end));
        if (fin) this.#deliver();
        break;
      case FRAME_BEGIN:
        this.#begin(opcode, length, fin);
        break;
      case FRAME_DATA:
        this.#append(buf.subarray(start, end));
        break;
      case FRAME_END:
        if (fin) this.#deliver();
        break;
    }
  }

  #begin(opcode: number, length: number, fin: boolean): void {
    // The first frame has the type of the message.
    if (opcode !== ContinuationFrame) this.#type = opcode;
    this.#emptyFragments = length === 0 && !fin ? this.#emptyFragments + 1 : 0;
    if (this.#emptyFragments > MAX_EMPTY_FRAGMENTS) {
      throw new ProtocolError(CloseCode.PolicyViolation, ['too many empty fragments']);
    }
    if (this.#size + length > LIMIT) {
      throw new ProtocolError(CloseCode.MessageTooBig, ['message too big']);
    }
  }

  /** Copies a borrowed piece behind the earlier ones. */
  #append(piece: Uint8Array): void {
    const size = this.#size + piece.length;
    if (size > this.#message.length) {
      const larger = new Uint8Array(Math.min(LIMIT, Math.max(size, 2 * this.#message.length)));
      larger.set(this.#message.subarray(0, this.#size));
      this.#message = larger;
    }
    this.#message.set(piece, this.#size);
    this.#size = size;
  }

  #deliver(): void {
    const payload = this.#message.slice(0, this.#size);
    this.#message = new Uint8Array(0);
    this.#size = 0;
    if (
      this.#type === TextMessage &&
      utf8Step(UTF8_ACCEPT, payload, 0, payload.length) !== UTF8_ACCEPT
    ) {
      throw new ProtocolError(CloseCode.InvalidFramePayloadData, ['invalid UTF-8']);
    }
    this.onMessage(this.#type, payload);
  }

  #fail(code: number, reason: string): void {
    if (!this.#ended) this.close(code, reason.slice(0, 120));
    this.#end(code);
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#decoder.reset();
    this.#message = new Uint8Array(0);
    this.#port.close();
    this.onClose(code);
  }
}
