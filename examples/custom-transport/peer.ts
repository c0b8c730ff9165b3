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
  NEED_MORE,
  PingMessage,
  PongMessage,
  ProtocolError,
  parseCloseMessage,
  type Role,
  TextMessage,
  UTF8_ACCEPT,
  UTF8_REJECT,
  utf8Step,
} from '@ws/codec';

/** Bytes of one message. */
const LIMIT = 1024 * 1024;
/** Most empty fragments in a row. They need no memory, but each costs time. */
const MAX_EMPTY_FRAGMENTS = 1_024;

/**
 * One end on FrameDecoder: joins frames into messages, answers pings and the closing handshake. It
 * has no I/O and no timer.
 */
export class Peer {
  /** Called with each message. The payload is owned. */
  onMessage: (type: number, payload: Uint8Array) => void = () => {};
  /** Called once, with the close code, when the connection has ended. No call follows it. */
  onClose: (code: number) => void = () => {};
  /** Called with the payload of each pong. The payload is owned. */
  onPong: (payload: Uint8Array) => void = () => {};

  readonly #decoder: FrameDecoder;
  readonly #encoder: FrameEncoder;
  #type = 0;
  /** The fragments so far, joined: memory for each fragment would be without a bound. */
  #message: Uint8Array = new Uint8Array(0);
  #size = 0;
  #utf8 = UTF8_ACCEPT;
  #emptyFragments = 0;
  #closeSent = false;
  #ended = false;

  constructor(role: Role) {
    this.#decoder = new FrameDecoder({ role, maxFramePayload: LIMIT });
    this.#encoder = new FrameEncoder({ role });
  }

  /** Whether the connection has ended: end the transport after {@link flush}. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Sends one frame: a message, a ping or a pong. Drops it after a close frame. */
  send(opcode: number, payload: Uint8Array): void {
    if (!this.#closeSent && !this.#ended) this.#encoder.frame(opcode, true, 0, payload);
  }

  /** Starts the closing handshake. Messages may arrive until the peer answers. */
  close(code: number, reason = ''): void {
    if (this.#closeSent) return;
    this.#closeSent = true;
    this.#encoder.close(code, reason);
  }

  /** Passes what is to be written. `release` frees the bytes. */
  flush(write: (chunk: Uint8Array, release: () => void) => void): void {
    this.#encoder.flush(write);
  }

  /** Reads a chunk of the peer. The chunk is unmasked in place: it must be owned. */
  receive(chunk: Uint8Array): void {
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
      // Do not reveal the limit to the peer.
      const isTooBig = error.closeCode === CloseCode.MessageTooBig;
      this.#fail(error.closeCode, isTooBig ? '' : error.faults.join(', '));
    }
  }

  /** The transport has ended. */
  end(): void {
    this.#end(CloseCode.AbnormalClosure);
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
    const { opcode } = this.#decoder;
    const payload = this.#decoder.copy();
    if (opcode === PingMessage) return this.send(PongMessage, payload);
    if (opcode === PongMessage) return this.onPong(payload);
    const { code } = parseCloseMessage(payload);
    this.close(code);
    this.#end(code);
  }

  #data(event: number): void {
    const { opcode, fin, length } = this.#decoder;
    switch (event) {
      case FRAME:
        this.#begin(opcode, length, fin);
        this.#append(this.#decoder.view());
        if (fin) this.#deliver();
        break;
      case FRAME_BEGIN:
        this.#begin(opcode, length, fin);
        break;
      case FRAME_DATA:
        this.#append(this.#decoder.view());
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
    if (this.#type === TextMessage) {
      this.#utf8 = utf8Step(this.#utf8, piece, 0, piece.length);
      if (this.#utf8 === UTF8_REJECT) throw invalidText();
    }
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
    if (this.#utf8 !== UTF8_ACCEPT) throw invalidText();
    const payload = this.#message.slice(0, this.#size);
    this.#message = new Uint8Array(0);
    this.#size = 0;
    this.onMessage(this.#type, payload);
  }

  #fail(code: number, reason: string): void {
    this.close(code, reason.slice(0, 120));
    this.#end(code);
  }

  #end(code: number): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#decoder.reset();
    this.#message = new Uint8Array(0);
    this.onClose(code);
  }
}

function invalidText(): ProtocolError {
  return new ProtocolError(CloseCode.InvalidFramePayloadData, ['invalid UTF-8']);
}
