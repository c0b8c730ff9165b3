import type { Role } from '@ws/codec';
import { NaiveDecoder, type NaiveFrame } from './naive-decoder.ts';
import { type NaiveFrameOptions, naiveEncode } from './naive-encoder.ts';

/** A frame that a {@link FramePeer} received. */
export interface RawFrame extends NaiveFrame {
  readonly payload: Buffer;
}

/** Masking key of every frame that a client sends. */
const MASK = 0x37fa213d;

/**
 * The other end of a connection under test. It writes and reads bytes and frames with the naive codec, and sends nothing
 * by itself: no pong, no close frame, no FIN. A subclass connects it to a socket or a transport. `Written` is the result of
 * a write.
 */
export abstract class FramePeer<Written = Promise<void>> {
  /** Complete frames received since {@link startFrames}. */
  readonly frames: RawFrame[] = [];
  /** True after the other end's FIN. */
  ended = false;
  /** True after the connection has closed. */
  over = false;
  readonly #role: Role;
  #chunks: Buffer[] = [];
  #decoder: NaiveDecoder | undefined;
  #discards = false;
  readonly #waiting = new Set<() => void>();

  constructor(role: Role) {
    this.#role = role;
  }

  /** Sends bytes as they are, as one chunk; a string as Latin-1. */
  abstract write(...parts: readonly (Uint8Array | string)[]): Written;
  /** Sends a FIN; the other half stays open. */
  abstract end(): void;
  /** Drops the connection. */
  abstract destroy(): void;

  /** Bytes received so far that {@link head} and the frames have not consumed. */
  get received(): Buffer {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }

  /** Returns and forgets the unconsumed bytes. */
  takeReceived(): Buffer {
    const { received } = this;
    this.#chunks = [];
    return received;
  }

  /** Encodes a frame as this end sends it: a client masks. `options` may be the FIN bit alone. */
  encode(
    opcode: number,
    payload: Uint8Array | string = '',
    options: NaiveFrameOptions | boolean = {},
  ): Buffer {
    const fields = typeof options === 'boolean' ? { fin: options } : options;
    const mask = this.#role === 'client' ? { mask: MASK } : {};
    return Buffer.from(naiveEncode(opcode, payload, { ...mask, ...fields }).buffer);
  }

  /** Sends a frame. */
  send(
    opcode: number,
    payload: Uint8Array | string = '',
    options: NaiveFrameOptions | boolean = {},
  ): Written {
    return this.write(this.encode(opcode, payload, options));
  }

  /** Sends a close frame, without a payload if there is no code. */
  close(code?: number, reason = ''): Written {
    if (code === undefined) return this.send(8);
    return this.send(8, Buffer.concat([Buffer.of(code >> 8, code), Buffer.from(reason)]));
  }

  /** Reads frames from the next unconsumed byte on. */
  startFrames(): void {
    const { received } = this;
    this.#chunks = [];
    this.#decoder = new NaiveDecoder(this.#role, { allowedRsv: 0x40 });
    this.#decode(received);
  }

  /** Forgets all bytes, now and from now on. */
  discard(): void {
    this.#discards = true;
    this.#chunks = [];
  }

  /**
   * Waits for a condition, or for a text (Latin-1) in `received`. Tests the condition after each event of the connection.
   *
   * @returns The unconsumed bytes.
   * @throws (rejects with) Error when the other end has ended first: the message has its bytes.
   */
  async until(found: string | ((peer: this) => boolean)): Promise<Buffer> {
    const holds =
      typeof found === 'string' ? () => this.received.includes(found, 0, 'latin1') : found;
    while (!holds(this)) {
      const failure = this.#decoder?.failure;
      if (failure !== undefined) throw new Error(`invalid frame: ${failure.faults.join(', ')}`);
      if (this.ended || this.over) {
        const text = JSON.stringify(this.received.toString('latin1'));
        throw new Error(`the peer ended after ${text} and ${this.frames.length} frames`);
      }
      await this.#event();
    }
    return this.received;
  }

  /** Waits for the other end's FIN or the end of the connection, and returns the unconsumed bytes. */
  async untilEnd(): Promise<Buffer> {
    while (!this.ended && !this.over) await this.#event();
    return this.received;
  }

  /** Waits for the head of an HTTP message and consumes it. */
  async head(): Promise<string> {
    const all = await this.until('\r\n\r\n');
    const end = all.indexOf('\r\n\r\n') + 4;
    this.#chunks = [all.subarray(end)];
    return all.toString('latin1', 0, end);
  }

  /** Waits for the frame at `index`. */
  async frame(index = 0): Promise<RawFrame> {
    await this.until(() => this.frames.length > index);
    return this.frames[index]!;
  }

  /** Waits for `count` frames and returns all of them in words. */
  async sees(count: number): Promise<string[]> {
    await this.until(() => this.frames.length >= count);
    return this.frames.map(inWords);
  }

  /** Waits for the other end's FIN and ends this side as well. */
  async finish(): Promise<void> {
    await this.until(() => this.ended);
    this.end();
  }

  /** A subclass reports received bytes here. */
  protected take(chunk: Buffer): void {
    if (this.#decoder !== undefined) this.#decode(chunk);
    else if (!this.#discards) this.#chunks.push(chunk);
    this.wake();
  }

  /** A subclass calls this after a change of `ended` or `over`. */
  protected wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  #event(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve));
  }

  #decode(chunk: Buffer): void {
    const decoder = this.#decoder!;
    decoder.push(chunk);
    for (const frame of decoder.frames.slice(this.frames.length)) {
      this.frames.push({ ...frame, payload: Buffer.from(frame.payload.buffer) });
    }
  }
}

/** The bytes of all parts, strings as Latin-1. */
export function joinParts(parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)),
  );
}

const NAMES = ['cont', 'text', 'binary'];

/** A frame in words: `text hello`, `close 1000 bye`, `binary... <70000>`; `...` marks a missing FIN. */
export function inWords({ opcode, payload, fin }: NaiveFrame): string {
  const bytes = Buffer.from(payload);
  if (opcode === 8) {
    if (bytes.length === 0) return 'close';
    return `close ${bytes.readUInt16BE(0)} ${bytes.toString('utf8', 2)}`.trim();
  }
  const name = NAMES[opcode] ?? (opcode === 9 ? 'ping' : 'pong');
  const text = bytes.length > 64 ? `<${bytes.length}>` : bytes.toString();
  return `${name}${fin ? '' : '...'} ${text}`.trim();
}
