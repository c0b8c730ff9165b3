// A client and a server of RFC 6455 that use only @ws/codec. The bytes travel over a MessagePort.
// A serial line or a pipe works too: the bytes only have to arrive in order.
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import {
  BinaryMessage,
  CloseCode,
  CloseMessage,
  FAILED,
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

/** Bytes of one message. Bounds the memory that the peer can fill. */
const LIMIT = 4 * 1024 * 1024;

/** One end: reads frames, joins them into messages, answers pings and the closing handshake. */
class Peer {
  /** Called with each message. The payload is owned. */
  onMessage: (type: number, payload: Uint8Array) => void = () => {};
  /** Called once, with the close code, when the connection has ended. */
  onClose: (code: number) => void = () => {};
  onPong: (payload: Uint8Array) => void = () => {};

  readonly #port: MessagePort;
  readonly #decoder: FrameDecoder;
  readonly #encoder: FrameEncoder;
  #type = 0;
  #pieces: Uint8Array[] = [];
  #size = 0;
  #closeSent = false;

  constructor(port: MessagePort, role: Role) {
    this.#port = port;
    this.#decoder = new FrameDecoder({ role, maxFramePayload: LIMIT });
    this.#encoder = new FrameEncoder({ role });
    port.on('message', (chunk: Uint8Array) => this.#read(chunk));
  }

  /** Sends one frame: a message, a ping or a pong. */
  send(opcode: number, payload: Uint8Array): void {
    if (this.#closeSent) return;
    this.#encoder.frame(opcode, true, 0, payload);
    const { segments } = this.#encoder;
    for (let i = 0; i < segments; i++) {
      const encoder = this.#encoder;
      // The port clones whole buffers. This one is a shared slab, so send a copy of the frame.
      this.#port.postMessage(encoder.segBuf(i).slice(encoder.segStart(i), encoder.segEnd(i)));
      encoder.segRelease(i)?.();
    }
    this.#encoder.shift(segments);
  }

  close(code: number, reason = ''): void {
    this.send(CloseMessage, formatCloseMessage(code, reason));
    this.#closeSent = true;
  }

  #read(chunk: Uint8Array): void {
    const decoder = this.#decoder;
    try {
      decoder.push(chunk);
      for (;;) {
        switch (decoder.next()) {
          case NEED_MORE:
            return;
          case FAILED:
            throw decoder.error;
          case FRAME:
            // Borrowed until the next step of the decoder: keep a copy.
            this.#take(decoder.opcode, decoder.buf.slice(decoder.start, decoder.end), decoder.fin);
            break;
          case FRAME_BEGIN:
            break;
          case FRAME_DATA:
            this.#take(decoder.opcode, decoder.buf.slice(decoder.start, decoder.end), false);
            break;
          case FRAME_END:
            this.#take(decoder.opcode, new Uint8Array(0), decoder.fin);
            break;
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(error.closeCode, error.message.slice(0, 120));
      this.#end(error.closeCode);
    }
  }

  /** Handles a piece of a message, or a control frame, which always arrives whole. */
  #take(opcode: number, piece: Uint8Array, last: boolean): void {
    if (opcode === PingMessage) return this.send(PongMessage, piece);
    if (opcode === PongMessage) return this.onPong(piece);
    if (opcode === CloseMessage) {
      const { code } = parseCloseMessage(piece);
      this.close(code);
      return this.#end(code);
    }
    // A continuation has opcode 0. The first frame has the type of the message.
    if (opcode !== 0) this.#type = opcode;
    this.#pieces.push(piece);
    this.#size += piece.length;
    if (this.#size > LIMIT) throw new ProtocolError(CloseCode.MessageTooBig, ['message too big']);
    if (last) this.#deliver();
  }

  #deliver(): void {
    const payload = new Uint8Array(this.#size);
    let at = 0;
    for (const piece of this.#pieces) {
      payload.set(piece, at);
      at += piece.length;
    }
    this.#pieces = [];
    this.#size = 0;
    if (this.#type === TextMessage && utf8Step(UTF8_ACCEPT, payload, 0, at) !== UTF8_ACCEPT) {
      throw new ProtocolError(CloseCode.InvalidFramePayloadData, ['invalid UTF-8']);
    }
    this.onMessage(this.#type, payload);
  }

  #end(code: number): void {
    this.#port.close();
    this.onClose(code);
  }
}

const { port1, port2 } = new MessageChannel();
const server = new Peer(port1, 'server');
const client = new Peer(port2, 'client');

server.onMessage = (type, payload) => server.send(type, payload);
server.onClose = (code) => console.log(`server: closed with ${code}`);

client.onMessage = (type, payload) => {
  const text = type === TextMessage ? new TextDecoder().decode(payload) : `${payload.length} bytes`;
  console.log(`client: ${text}`);
  if (type === BinaryMessage) client.send(PingMessage, new TextEncoder().encode('still there?'));
};
client.onPong = () => {
  console.log('client: pong');
  client.close(CloseCode.NormalClosure, 'done');
};

client.send(TextMessage, new TextEncoder().encode('hello, port'));
client.send(BinaryMessage, new Uint8Array(1024 * 1024));
