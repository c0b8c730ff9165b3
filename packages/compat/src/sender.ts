import type { Duplex } from 'node:stream';
import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  PingMessage,
  PongMessage,
  TextMessage,
} from '@ws/codec';
import type { StreamCompressor } from '@ws/conn/internal';
import { bytesOf, copyOf, isBlob } from './bytes.ts';
import { checkControlSize, closePayload } from './control-payload.ts';
import { type FrameList, type FrameOptions, frameList, isShareable } from './frame-list.ts';
import { OutgoingFrames, type SendCallback } from './outgoing-frames.ts';
import type { ActiveExtensions } from './parser-events.ts';
import { EXTENSION, type PerMessageDeflate } from './permessage-deflate.ts';

/** Options of {@link Sender.send}. */
export interface SenderOptions {
  binary?: boolean | undefined;
  compress?: boolean | undefined;
  fin?: boolean | undefined;
  mask?: boolean | undefined;
}

/** A frame that waits for the message before it. */
interface Job {
  /** Bytes of the payload. */
  readonly size: number;
  readonly callback: SendCallback | undefined;
  run(): void;
}

const RSV1 = 0x40;

/** Writes the frames of one socket. */
export class Sender extends OutgoingFrames {
  /** Called with an error that is not of the socket: a Blob could not be read. */
  onerror: (error: Error) => void = () => {};
  readonly _extensions: ActiveExtensions;
  readonly #generateMask: ((key: Buffer) => void) | undefined;
  #firstFragment = true;
  #compress = false;
  #stream: StreamCompressor | undefined;
  /** Whether a Blob is being read or a large message is being compressed. Later frames wait. */
  #busy = false;
  #jobs: Job[] | undefined;
  #waitingBytes = 0;

  constructor(socket: Duplex, extensions?: ActiveExtensions, generateMask?: (key: Buffer) => void) {
    super(socket, generateMask);
    this._extensions = extensions ?? {};
    this.#generateMask = generateMask;
  }

  get _socket(): Duplex {
    return this.stream;
  }

  /** Bytes of payload that wait behind a message which is not ready. */
  get _bufferedBytes(): number {
    return this.#waitingBytes;
  }

  /** Builds a frame for {@link sendFrame}: its header and its payload. */
  static frame(data: Uint8Array | string, options: FrameOptions): (Uint8Array | string)[] {
    return frameList(data, options);
  }

  /**
   * Sends a close frame.
   *
   * @throws TypeError or RangeError for a code or reason that must not be sent.
   */
  close(
    code: number | undefined,
    data: string | Uint8Array | undefined,
    mask: boolean,
    callback?: SendCallback,
  ): void {
    this.#control(CloseMessage, closePayload(code, data), mask, callback);
  }

  ping(data: unknown, mask: boolean, callback?: SendCallback): void {
    this.#control(PingMessage, data, mask, callback);
  }

  pong(data: unknown, mask: boolean, callback?: SendCallback): void {
    this.#control(PongMessage, data, mask, callback);
  }

  /** Sends a message, or a fragment of one. */
  send(data: unknown, options: SenderOptions, callback?: SendCallback): void {
    const { binary, compress, fin, mask } = options;
    this.message(data, binary === true, compress === true, fin === true, mask === true, callback);
  }

  /** As {@link send}, without an object of options. */
  message(
    data: unknown,
    binary: boolean,
    compress: boolean,
    fin: boolean,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    const payload = typeof data === 'string' || isBlob(data) ? data : bytesOf(data);
    const first = this.#firstFragment;
    if (first) this.#compress = compress && this.#compresses(payload);
    this.#firstFragment = fin;
    const opcode = !first ? ContinuationFrame : binary ? BinaryMessage : TextMessage;
    if (this.#compress || this.#busy || (typeof payload !== 'string' && isBlob(payload))) {
      return this.#prepare(payload, opcode, fin, this.#compress, mask, callback);
    }
    this.#emit(opcode, fin, 0, payload, mask, callback);
  }

  /** Sends a frame that {@link Sender.frame} has built, after all frames before it. */
  sendFrame(list: FrameList, callback?: SendCallback): void {
    const payload = list[1];
    if (payload instanceof Uint8Array && isShareable(list)) {
      this.sharedFrame((list[0] as Uint8Array)[0]!, payload, callback);
    } else {
      this.raw(list, callback);
    }
  }

  /** Releases the compressor of a message that is sent in several frames. */
  destroy(): void {
    this.#stream?.end();
    this.#stream = undefined;
  }

  /** Whether a message that begins with `data` is compressed. */
  #compresses(data: string | Uint8Array | Blob): boolean {
    const deflate = this.#deflate;
    if (deflate === undefined) return false;
    return !deflate.sendsAlone || sizeOf(data) >= deflate.threshold;
  }

  get #deflate(): PerMessageDeflate | undefined {
    return this._extensions[EXTENSION];
  }

  /** Every frame of a message or control frame is added here. */
  #emit(
    opcode: number,
    fin: boolean,
    rsv: number,
    payload: string | Uint8Array,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    if (this.sendFrame !== sendFrame) {
      // Replaced by the application: it gets every frame.
      const generateMask = this.#generateMask;
      const options = { opcode, fin, rsv1: rsv !== 0, mask, generateMask, readOnly: true };
      this.sendFrame(frameList(payload, options), callback);
    } else if (typeof payload === 'string') {
      this.text(opcode, fin, payload, mask, callback);
    } else {
      this.frame(opcode, fin, rsv, payload, mask, callback);
    }
  }

  #control(opcode: number, data: unknown, mask: boolean, callback: SendCallback | undefined): void {
    const payload = isBlob(data) ? data : bytesOf(data);
    checkControlSize(sizeOf(payload));
    if (this.#busy || isBlob(payload)) {
      this.#prepare(payload, opcode, true, false, mask, callback);
    } else {
      this.#emit(opcode, true, 0, payload, mask, callback);
    }
  }

  #wait(job: Job): void {
    this.#waitingBytes += job.size;
    (this.#jobs ??= []).push(job);
  }

  /** Sends data that waits for earlier data, is a Blob, or is compressed. */
  #prepare(
    data: string | Uint8Array | Blob,
    opcode: number,
    fin: boolean,
    compress: boolean,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    const run = (): void => {
      if (typeof data !== 'string' && isBlob(data)) {
        return this.#readBlob(data, opcode, fin, compress, mask, callback);
      }
      if (!compress) return this.#emit(opcode, fin, 0, data, mask, callback);
      const bytes = bytesOf(data);
      if (!fin || this.#stream !== undefined || opcode === ContinuationFrame) {
        this.#compressFragment(bytes, opcode, fin, mask, callback);
      } else {
        this.#compressMessage(bytes, opcode, mask, callback);
      }
    };
    if (this.#busy) this.#wait({ size: sizeOf(data), callback, run });
    else run();
  }

  #readBlob(
    blob: Blob,
    opcode: number,
    fin: boolean,
    compress: boolean,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    this.#begin(blob.size);
    const done = (memory: ArrayBuffer): void => {
      if (this.stream.destroyed) return this.#fail('the blob was being read', callback);
      this.#end(blob.size, () =>
        this.#prepare(new Uint8Array(memory), opcode, fin, compress, mask, callback),
      );
    };
    const failed = (error: Error): void => {
      this.#failAll(error, callback);
      this.onerror(error);
    };
    // In a later tick: what a callback throws must not reject the promise.
    blob.arrayBuffer().then(
      (memory) => process.nextTick(done, memory),
      (error: Error) => process.nextTick(failed, error),
    );
  }

  #compressFragment(
    bytes: Uint8Array,
    opcode: number,
    fin: boolean,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    if (opcode !== ContinuationFrame) this.#stream = this.#deflate!.stream();
    const stream = this.#stream;
    if (stream === undefined) return this.#emit(opcode, fin, 0, bytes, mask, callback);
    const size = stream.fragment(bytes, 0, bytes.length, fin);
    const rsv = opcode === ContinuationFrame ? 0 : RSV1;
    this.#emit(opcode, fin, rsv, copyOf(stream.output, 0, size), mask, callback);
    if (fin) this.destroy();
  }

  #compressMessage(
    bytes: Uint8Array,
    opcode: number,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    const { compressor } = this.#deflate!;
    if (compressor.isLarge(bytes.length)) return this.#compressLater(bytes, opcode, mask, callback);
    const size = compressor.deflate(bytes, 0, bytes.length);
    // Not smaller: it is sent as it is.
    if (size === 0) return this.#emit(opcode, true, 0, bytes, mask, callback);
    const output = compressor.takeOutput().subarray(0, size);
    this.#emit(opcode, true, RSV1, output, mask, callback);
  }

  /** Another thread compresses the message. Later frames wait for it. */
  #compressLater(
    bytes: Uint8Array,
    opcode: number,
    mask: boolean,
    callback: SendCallback | undefined,
  ): void {
    const { compressor } = this.#deflate!;
    const { engines, level, windowBits, history } = compressor;
    this.#begin(bytes.length);
    // A copy: the application may transfer its bytes while another thread reads them.
    const begin = (): Uint8Array => copyOf(bytes, 0, bytes.length);
    engines.source.deflateLater({ begin, level, windowBits, history }, (output) => {
      if (this.stream.destroyed) return this.#fail('data was being compressed', callback);
      const smaller = output !== undefined && output.length > 0 && output.length < bytes.length;
      if (smaller) compressor.recordSent(bytes, 0, bytes.length);
      this.#end(bytes.length, () =>
        this.#emit(opcode, true, smaller ? RSV1 : 0, smaller ? output : bytes, mask, callback),
      );
    });
  }

  #begin(size: number): void {
    this.#busy = true;
    this.#waitingBytes += size;
  }

  /** The message is ready: `send` it, then the frames that wait. */
  #end(size: number, send: () => void): void {
    this.#busy = false;
    this.#waitingBytes -= size;
    send();
    while (!this.#busy) {
      const job = this.#jobs?.shift();
      if (job === undefined) return;
      this.#waitingBytes -= job.size;
      job.run();
    }
  }

  #fail(what: string, callback: SendCallback | undefined): void {
    this.#failAll(new Error(`The socket was closed while ${what}`), callback);
  }

  #failAll(error: Error, callback: SendCallback | undefined): void {
    const jobs = this.#jobs ?? [];
    this.#jobs = undefined;
    callback?.(error);
    for (const job of jobs) job.callback?.(error);
  }
}

/** Known, to detect that an application has replaced it. */
// oxlint-disable-next-line typescript/unbound-method -- compared, never called
const { sendFrame } = Sender.prototype;

function sizeOf(data: string | Uint8Array | Blob): number {
  if (typeof data === 'string') return Buffer.byteLength(data);
  return data instanceof Uint8Array ? data.length : data.size;
}
