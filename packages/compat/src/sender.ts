import type { Duplex } from 'node:stream';
import {
  BinaryMessage,
  CloseMessage,
  ContinuationFrame,
  PingMessage,
  PongMessage,
  TextMessage,
} from '@ws/codec';
import { lengthOf } from '@ws/codec/internal';
import { Fifo } from '@ws/conn/internal';
import type { StreamCompressor } from '@ws/deflate/internal';
import { bytesOf, copyOf, isBlob } from './bytes.ts';
import type { SendCallback } from './connection.ts';
import { checkControlSize, closePayload } from './control-payload.ts';
import { RSV1 } from './errors.ts';
import { type FrameList, type FrameOptions, frameList, isShareable } from './frame-list.ts';
import { inContext, type OutgoingFrames } from './outgoing-frames.ts';
import {
  type ActiveExtensions,
  EXTENSION,
  NO_EXTENSIONS,
  type PerMessageDeflate,
} from './permessage-deflate.ts';
import { nextTick } from './platform.ts';

/** Options of {@link Sender.send} and `WebSocket.send`, which has the defaults. */
export interface SendOptions {
  /** Whether the message is binary. Default: text for a string, binary for bytes. */
  binary?: boolean | undefined;
  /** Default: true, when permessage-deflate was negotiated. */
  compress?: boolean | undefined;
  /** Whether the message ends with this fragment. Default: true. */
  fin?: boolean | undefined;
  /** Default: true on a client. */
  mask?: boolean | undefined;
}

/** The connection of a sender. */
interface SenderOwner {
  /** The frames of a socket that can wait for each other. */
  readonly _frames: OutgoingFrames | undefined;
  /** An error that is not of the socket: a Blob could not be read. */
  _onSendError(error: Error): void;
}

/** A frame whose payload may not be ready: a Blob is read, or the frame waits for one. */
interface Job {
  data: string | Uint8Array | Blob;
  readonly opcode: number;
  readonly fin: boolean;
  readonly compress: boolean;
  readonly mask: boolean;
  callback: SendCallback | undefined;
}

/**
 * Writes frames to a stream. It does not know what was sent or received before: any frame may follow any
 * other.
 *
 * @example
 * ```ts
 * import { PassThrough } from 'node:stream';
 * import { Sender } from '@ws/compat';
 *
 * const socket = new PassThrough();
 * const sender = new Sender(socket);
 * sender.send('hi', { fin: true, binary: false, mask: false, compress: false });
 * console.log(socket.read()); // <Buffer 81 02 68 69>
 * ```
 */
export class Sender {
  readonly _extensions: ActiveExtensions;
  // Private, because programs write connections as JSON, which must not have circles.
  readonly #socket: Duplex;
  readonly #generateMask: ((key: Buffer) => void) | undefined;
  readonly #owner: SenderOwner | undefined;
  #firstFragment = true;
  #compress = false;
  #stream: StreamCompressor | undefined;
  /** Whether a Blob is being read. Later frames wait. */
  #busy = false;
  #jobs: Fifo<Job> | undefined;
  /** Bytes of payload that are not ready, or wait for them. Programs look at it, as with ws. */
  _bufferedBytes = 0;

  /** @param owner - Without it, each frame is written at once. */
  constructor(
    socket: Duplex,
    extensions?: ActiveExtensions,
    generateMask?: (key: Buffer) => void,
    owner?: SenderOwner,
  ) {
    this.#socket = socket;
    this._extensions = extensions ?? NO_EXTENSIONS;
    this.#generateMask = generateMask;
    this.#owner = owner;
  }

  get _socket(): Duplex {
    return this.#socket;
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
    this.control(CloseMessage, closePayload(code, data), mask, callback);
  }

  ping(data: unknown, mask: boolean, callback?: SendCallback): void {
    this.control(PingMessage, data, mask, callback);
  }

  pong(data: unknown, mask: boolean, callback?: SendCallback): void {
    this.control(PongMessage, data, mask, callback);
  }

  /** @internal Sends a control frame. */
  control(opcode: number, data: unknown, mask: boolean, callback?: SendCallback): void {
    const payload = isBlob(data) ? data : bytesOf(data);
    checkControlSize(sizeOf(payload));
    this.#prepare({ data: payload, opcode, fin: true, compress: false, mask, callback });
  }

  /** Sends a message, or a fragment of one. */
  send(data: unknown, options: SendOptions, callback?: SendCallback): void {
    const fin = Boolean(options.fin);
    const mask = Boolean(options.mask);
    const payload = isBlob(data) || typeof data === 'string' ? data : bytesOf(data);
    const first = this.#firstFragment;
    if (first) this.#compress = Boolean(options.compress) && this.#compresses(payload);
    this.#firstFragment = fin;
    const opcode = !first ? ContinuationFrame : options.binary ? BinaryMessage : TextMessage;
    const compress = this.#compress;
    this.#prepare({ data: payload, opcode, fin, compress, mask, callback });
  }

  /** Sends a frame that {@link Sender.frame} has built, after all frames before it. */
  sendFrame(list: FrameList, callback?: SendCallback): void {
    const frames = this.#owner?._frames;
    if (frames !== undefined && isShareable(list)) {
      const [header, payload] = list as readonly [Uint8Array, Uint8Array];
      return frames.addShared(header[0]!, payload, callback);
    }
    frames?.flush();
    const socket = this.#socket;
    const last = list.length - 1;
    if (last > 0) socket.cork();
    for (let i = 0; i < last; i++) socket.write(list[i]);
    socket.write(list[last], callback);
    if (last > 0) socket.uncork();
  }

  /** @internal The connection is closed, or a message in several frames is complete: releases its compressor. */
  releaseStream(): void {
    this.#stream?.release();
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

  /** Sends a frame. It may wait for earlier ones, for its Blob, or for its compression. */
  #prepare(job: Job): void {
    if (this.#busy) {
      job.callback = inContext(job.callback);
      this._bufferedBytes += sizeOf(job.data);
      (this.#jobs ??= new Fifo()).add(job);
      return;
    }
    const { data, opcode, fin, compress } = job;
    if (isBlob(data)) return this.#readBlob(job, data);
    if (!compress) return this.#ready(job, 0, data);
    const bytes = bytesOf(data);
    if (!fin || this.#stream !== undefined || opcode === ContinuationFrame) {
      this.#compressFragment(job, bytes);
    } else {
      this.#compressMessage(job, bytes);
    }
  }

  /** Every frame of a message or control frame is added here, with its payload. */
  #ready({ opcode, fin, mask, callback }: Job, rsv: number, payload: string | Uint8Array): void {
    const frames = this.#owner?._frames;
    if (frames !== undefined && frames.masks === mask && this.sendFrame === sendFrame) {
      frames.add(opcode, fin, rsv, payload, callback);
    } else {
      // A function of the application gets every frame.
      const generateMask = this.#generateMask;
      const options = { opcode, fin, rsv1: rsv !== 0, mask, generateMask, readOnly: true };
      this.sendFrame(frameList(payload, options), callback);
    }
  }

  #readBlob(job: Job, blob: Blob): void {
    this.#begin(job, blob.size);
    const done = (memory: ArrayBuffer): void => {
      if (this.#socket.destroyed) return this.#fail(job, closedWhile('the blob was being read'));
      job.data = new Uint8Array(memory);
      this.#end(blob.size, () => this.#prepare(job));
    };
    const failed = (error: Error): void => {
      this.#fail(job, error);
      this.#owner?._onSendError(error);
    };
    // In a later tick: what a callback throws must not reject the promise.
    blob.arrayBuffer().then(
      (memory) => nextTick(done, memory),
      (error: Error) => nextTick(failed, error),
    );
  }

  #compressFragment(job: Job, bytes: Uint8Array): void {
    const isFirst = job.opcode !== ContinuationFrame;
    if (isFirst) this.#stream = this.#deflate!.stream();
    const stream = this.#stream;
    if (stream === undefined) return this.#ready(job, 0, bytes);
    const size = stream.fragment(bytes, 0, lengthOf(bytes), job.fin);
    this.#ready(job, isFirst ? RSV1 : 0, copyOf(stream.output, 0, size));
    if (job.fin) this.releaseStream();
  }

  #compressMessage(job: Job, bytes: Uint8Array): void {
    const { compressor } = this.#deflate!;
    const length = lengthOf(bytes);
    if (length > this.#deflate!.extension.maxBytes) return this.#ready(job, 0, bytes);
    const size = compressor.deflate(bytes, 0, length);
    const frames = this.#owner?._frames;
    if (frames !== undefined) frames.compressed += length;
    // Not smaller: it is sent as it is.
    if (size === 0) return this.#ready(job, 0, bytes);
    // A copy: a stream that is no socket keeps the bytes, and the next message overwrites the output.
    this.#ready(job, RSV1, copyOf(compressor.takeOutput(), 0, size));
  }

  #begin(job: Job, size: number): void {
    job.callback = inContext(job.callback);
    this.#busy = true;
    this._bufferedBytes += size;
  }

  /** The message is ready: `send` it, then the frames that wait. */
  #end(size: number, send: () => void): void {
    this.#busy = false;
    this._bufferedBytes -= size;
    send();
    while (!this.#busy) {
      const job = this.#jobs?.shift();
      if (job === undefined) return;
      this._bufferedBytes -= sizeOf(job.data);
      this.#prepare(job);
    }
  }

  /** Calls the callbacks of `job` and of all frames that wait. */
  #fail(job: Job, error: Error): void {
    const jobs = this.#jobs;
    this.#jobs = undefined;
    for (let failed: Job | undefined = job; failed !== undefined; failed = jobs?.shift()) {
      failed.callback?.(error);
    }
  }
}

function closedWhile(what: string): Error {
  return new Error(`The socket was closed while ${what}`);
}

/** Known, to detect that an application has replaced it. */
// oxlint-disable-next-line typescript/unbound-method -- compared, never called
const { sendFrame } = Sender.prototype;

function sizeOf(data: string | Uint8Array | Blob): number {
  if (isBlob(data)) return data.size;
  return typeof data === 'string' ? Buffer.byteLength(data) : lengthOf(data);
}
