import { inflateRawSync } from 'node:zlib';
import { isValidCloseCode, type Role } from '@ws/conn';
import { type Alphabet, FOREIGN, open, tableOf } from './alphabet.ts';

const FIN = 0x80;
const RSV1 = 0x40;
const CLOSE = 8;
const PING = 9;
const TAIL = Buffer.of(0, 0, 0xff, 0xff);
const NOTHING = Buffer.alloc(0);
/** Number of hits kept as text. */
const KEPT = 10;

/** Close reasons that the library writes itself. */
const REASONS: ReadonlySet<string> = new Set([
  'bad opcode 5',
  'bad MASK',
  'close payload of one byte',
  'RSV1 set',
  'RSV2 set',
  'continuation after FIN',
  'invalid UTF-8 in text message',
  'invalid DEFLATE data in compressed message',
]);

/** Options of a {@link WireSearch}. */
export interface WireSearchOptions {
  /** Context takeover of compressed messages; undefined: no compression. */
  readonly takeover?: boolean | undefined;
}

/**
 * Checks every sent byte: valid headers of RFC 6455, and after unmasking and inflation only
 * letters of the connection. Any other byte is a hit.
 */
export class WireSearch {
  frames = 0;
  bytes = 0;
  /** Number of foreign bytes or frames; `found` describes the first ones. */
  hits = 0;
  readonly found: string[] = [];
  /** An invalid frame ended the search. */
  lost = false;
  readonly #name: string;
  readonly #masked: boolean;
  readonly #takeover: boolean | undefined;
  readonly #allowed: Uint8Array;
  #rest: Buffer = NOTHING;
  /** Payloads of an unfinished compressed message. */
  #packed: Buffer[] | undefined;
  #history: Buffer = NOTHING;

  /**
   * @param sends - The letters of the connection. `reads`: those of its peer, which an echo sends.
   */
  constructor(
    name: string,
    role: Role,
    sends: Alphabet,
    reads: Alphabet,
    options: WireSearchOptions = {},
  ) {
    this.#name = name;
    this.#masked = role === 'client';
    this.#takeover = options.takeover;
    this.#allowed = tableOf(sends, reads, open);
    for (const byte of Buffer.from(`"${FOREIGN}`)) this.#allowed[byte] = 1;
  }

  /** Checks the next bytes, split anywhere. */
  take(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.lost) return;
    const view = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    const bytes = this.#rest.length === 0 ? view : Buffer.concat([this.#rest, view]);
    let at = 0;
    while (!this.lost) {
      const size = this.#frame(bytes, at);
      if (size === 0) break;
      at += size;
    }
    this.#rest = at === bytes.length ? NOTHING : Buffer.from(bytes.subarray(at));
  }

  /** Checks one frame; returns its size, or 0 for an incomplete frame. */
  #frame(bytes: Buffer, at: number): number {
    const left = bytes.length - at;
    if (left < 2) return 0;
    const b0 = bytes[at]!;
    const b1 = bytes[at + 1]!;
    const opcode = b0 & 0x0f;
    const isControl = opcode >= CLOSE;
    const known = opcode <= 2 || (isControl && opcode <= 10 && (b0 & FIN) !== 0);
    const compresses = this.#takeover !== undefined && (opcode === 1 || opcode === 2);
    const reserved = b0 & (compresses ? 0x30 : 0x70);
    const isLong = isControl && (b1 & 0x7f) > 125;
    if (!known || reserved !== 0 || (b1 & 0x80) !== (this.#masked ? 0x80 : 0) || isLong) {
      this.#hit(`invalid header ${b0.toString(16)} ${b1.toString(16)}`);
      this.lost = true;
      return 0;
    }
    const short = b1 & 0x7f;
    const wide = short < 126 ? 0 : short === 126 ? 2 : 8;
    const header = 2 + wide + (this.#masked ? 4 : 0);
    if (left < header) return 0;
    const length =
      wide === 0
        ? short
        : wide === 2
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    if (length < [0, 0, 126][wide]! || (wide === 8 && length < 65_536)) {
      this.#hit(`a length of ${length} in ${wide} bytes`);
    }
    if (left < header + length) return 0;
    const start = at + header;
    this.frames++;
    if (opcode === CLOSE) this.#close(this.#plain(bytes, start, length));
    else if ((b0 & RSV1) !== 0 || (this.#packed !== undefined && opcode === 0)) {
      this.#compressed(this.#plain(bytes, start, length), (b0 & FIN) !== 0);
    } else if (opcode !== PING || !this.#isCount(this.#plain(bytes, start, Math.min(length, 5)))) {
      this.#payload(bytes, start, length);
    }
    return header + length;
  }

  #payload(bytes: Buffer, start: number, length: number): void {
    const allowed = this.#allowed;
    for (let i = 0; i < length; i++) {
      const mask = this.#masked ? bytes[start - 4 + (i & 3)]! : 0;
      const byte = bytes[start + i]! ^ mask;
      if (allowed[byte] === 0) this.#hit(`byte ${i} of ${length} is 0x${byte.toString(16)}`);
    }
  }

  /** True for the default payload of a ping: its counter. */
  #isCount(payload: Buffer): boolean {
    return payload.length === 4 && payload.readUInt32BE(0) < 100_000;
  }

  #plain(bytes: Buffer, start: number, length: number): Buffer {
    const plain = Buffer.from(bytes.subarray(start, start + length));
    if (this.#masked) for (let i = 0; i < length; i++) plain[i]! ^= bytes[start - 4 + (i & 3)]!;
    return plain;
  }

  #close(payload: Buffer): void {
    if (payload.length === 0) return;
    const code = payload.length === 1 ? 0 : payload.readUInt16BE(0);
    if (!isValidCloseCode(code)) this.#hit(`close code ${code}`);
    const reason = payload.toString('latin1', 2);
    if (REASONS.has(reason)) return;
    this.#look(payload.subarray(2), 'the reason of a close frame');
  }

  #compressed(payload: Buffer, fin: boolean): void {
    this.#packed ??= [];
    this.#packed.push(payload);
    if (!fin) return;
    const packed = Buffer.concat([...this.#packed, TAIL]);
    this.#packed = undefined;
    const dictionary = this.#history.length > 0 ? { dictionary: this.#history } : {};
    let plain: Buffer;
    try {
      plain = inflateRawSync(packed, { ...dictionary, finishFlush: 2 });
    } catch (error) {
      this.#hit(`invalid compressed message: ${String(error)}`);
      return;
    }
    this.#look(plain, 'a compressed message');
    if (this.#takeover === true) {
      this.#history = Buffer.concat([this.#history, plain]).subarray(-32_768);
    }
  }

  #look(plain: Buffer, what: string): void {
    for (const [i, byte] of plain.entries()) {
      if (this.#allowed[byte] === 0) this.#hit(`byte ${i} of ${what} is 0x${byte.toString(16)}`);
    }
  }

  #hit(what: string): void {
    this.hits++;
    if (this.found.length < KEPT) this.found.push(`${this.#name}, frame ${this.frames}: ${what}`);
  }
}

/** Checks received data: only letters of the peer. */
export class DeliverySearch {
  messages = 0;
  hits = 0;
  readonly found: string[] = [];
  readonly #name: string;
  readonly #allowed: Uint8Array;

  constructor(name: string, reads: Alphabet) {
    this.#name = name;
    this.#allowed = tableOf(reads);
  }

  take(bytes: Uint8Array): void {
    this.messages++;
    for (let i = 0; i < bytes.length; i++) {
      if (this.#allowed[bytes[i]!] !== 0) continue;
      this.hits++;
      if (this.found.length < KEPT) {
        this.found.push(
          `${this.#name} reads 0x${bytes[i]!.toString(16)} at ${i} of ${bytes.length}`,
        );
      }
    }
  }
}
