import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** Size of the header of a TLS record: type, version, length (RFC 8446, 5.1). */
const RECORD_HEADER = 5;

/** The TCP stream below TLS. It cuts what we send, and reads the types of the received records. */
export class TlsWire extends Duplex {
  /** Type of the last complete record from the target; undefined before the first. */
  lastRecord: number | undefined;
  /** Size of the TCP writes in bytes. */
  cut: number;
  readonly #tcp: Socket;
  #unread: Buffer = Buffer.alloc(0);

  constructor(tcp: Socket, cut: number = Number.POSITIVE_INFINITY) {
    super({ allowHalfOpen: true });
    this.#tcp = tcp;
    this.cut = cut;
    tcp.setNoDelay(true);
    tcp.on('data', (chunk: Buffer) => {
      this.#records(chunk);
      this.push(chunk);
    });
    // A tunnel has paused it.
    tcp.resume();
    tcp.on('end', () => this.push(null));
    tcp.on('error', (error) => this.destroy(error));
    tcp.on('close', () => this.destroy());
  }

  /** Sends bytes between the records. */
  inject(bytes: Uint8Array): void {
    this.#tcp.write(bytes);
  }

  /** Ends the TCP stream without a close_notify. */
  truncate(): void {
    this.#tcp.end();
  }

  override _read(): void {
    // The socket flows: the messages of these cases are small.
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    if (this.#tcp.destroyed || chunk.length === 0) return done();
    const { cut } = this;
    this.#tcp.write(chunk.subarray(0, cut));
    // A turn of the event loop lets the kernel send the piece as one segment.
    setImmediate(() => this._write(chunk.subarray(cut), _, done));
  }

  override _final(done: () => void): void {
    this.#tcp.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#tcp.destroy();
    done(error);
  }

  #records(chunk: Buffer): void {
    let bytes = Buffer.concat([this.#unread, chunk]);
    while (bytes.length >= RECORD_HEADER) {
      const end = RECORD_HEADER + bytes.readUInt16BE(RECORD_HEADER - 2);
      if (bytes.length < end) break;
      this.lastRecord = bytes[0];
      bytes = bytes.subarray(end);
    }
    this.#unread = bytes;
  }
}
