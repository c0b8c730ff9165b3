import type { Duplex } from 'node:stream';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Fault, Liberty } from './naive-faults.ts';

/** Negotiated parameters. The naive server compresses without context takeover. */
export interface NaiveTerms {
  readonly serverBits: number;
}

/** Ends a connection with a close code. */
class Failure extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`close ${code}`);
    this.code = code;
  }
}

const TAIL = Buffer.from('0000ffff', 'hex');
/** An empty block with fixed codes and BFINAL. */
const FINAL_BLOCK = Buffer.from('0300', 'hex');
/** Maximum message size in bytes: the largest message of the suite. */
const LIMIT = 16 * 1024 * 1024;
/** Time between two pongs, in ms. */
const HEARTBEAT = 2;
/** Maximum size in bytes of a text that is checked before it is complete. */
const CHECK_EARLY = 65_536;

interface Header {
  readonly fin: boolean;
  readonly rsv: number;
  readonly opcode: number;
  readonly start: number;
  readonly length: number;
  readonly key: Buffer;
}

/** A simple echo endpoint. It keeps all bytes in one buffer, and parses it after each chunk. */
export class NaiveConnection {
  readonly #socket: Duplex;
  readonly #has: (fault: Fault | Liberty) => boolean;
  readonly #deflate: NaiveTerms | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #message: { opcode: number; packed: boolean; parts: Buffer[]; size: number } | undefined;
  /** Chunks of a large frame, until all of them are there: joining each of them would be slow. */
  #chunks: Buffer[] = [];
  #missing = 0;
  #echoes = 0;
  #pongs = 0;
  #closing = false;
  #firstKey: Buffer | undefined;
  #history: Buffer = Buffer.alloc(0);

  constructor(
    socket: Duplex,
    has: (fault: Fault | Liberty) => boolean,
    deflate: NaiveTerms | undefined,
  ) {
    this.#socket = socket;
    this.#has = has;
    this.#deflate = deflate;
    socket.on('data', (chunk: Buffer) => this.take(chunk));
    socket.on('error', () => socket.destroy());
    if (has('sends pongs as a heartbeat')) {
      const heartbeat = setInterval(() => {
        if (!this.#closing) this.#send(10, Buffer.from('alive'));
      }, HEARTBEAT);
      socket.on('close', () => clearInterval(heartbeat));
    }
    socket.on('end', () => {
      if (!has('ignores the end of the connection')) socket.end();
    });
  }

  take(chunk: Buffer): void {
    if (this.#closing && !this.#has('echoes after a close frame')) return;
    this.#missing -= chunk.length;
    if (this.#missing > 0) return void this.#chunks.push(chunk);
    if (this.#chunks.length > 0) chunk = Buffer.concat([...this.#chunks.splice(0), chunk]);
    const whole = this.#has('treats a chunk as a frame') || this.#lostHeader(chunk);
    this.#bytes = whole ? chunk : Buffer.concat([this.#bytes, chunk]);
    try {
      while (this.#next());
      this.#checkBegun();
    } catch (error) {
      this.#fail(error);
    }
  }

  #lostHeader(chunk: Buffer): boolean {
    return this.#has('loses split headers') && this.#bytes.length < 6 && chunk.length > 1;
  }

  /** Handles the next frame. Returns false when the frame is incomplete. */
  #next(): boolean {
    const header = this.#header();
    if (header === undefined) return false;
    const end = header.start + header.length;
    const held = this.#message?.size ?? 0;
    const limit = this.#has('limits messages to 10,000 bytes') ? 10_000 : LIMIT;
    if (header.length + held > limit) throw new Failure(1009);
    if (this.#bytes.length < end) {
      this.#missing = header.length > CHECK_EARLY ? end - this.#bytes.length : 0;
      return false;
    }
    const payload = unmask(this.#bytes.subarray(header.start, end), header.key);
    this.#bytes = this.#bytes.subarray(end);
    if (header.opcode >= 8) this.#control(header, payload);
    else this.#data(header, payload);
    return !this.#closing || this.#has('echoes after a close frame');
  }

  #header(): Header | undefined {
    const bytes = this.#bytes;
    if (bytes.length < 2) return undefined;
    const short = bytes[1]! & 0x7f;
    const masked = (bytes[1]! & 0x80) !== 0;
    const fin = (bytes[0]! & 0x80) !== 0;
    const rsv = (bytes[0]! >> 4) & 7;
    const opcode = bytes[0]! & 15;
    if (!this.#has('checks frames only when they are complete')) {
      this.#judge(fin, rsv, opcode, short, masked);
    }
    const keyAt = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < keyAt) return undefined;
    const length = this.#length(short);
    const start = keyAt + (masked ? 4 : 0);
    if (bytes.length < start) return undefined;
    if (this.#has('checks frames only when they are complete')) {
      if (bytes.length < start + length) return undefined;
      this.#judge(fin, rsv, opcode, short, masked);
    }
    const own = masked ? Buffer.from(bytes.subarray(keyAt, start)) : Buffer.alloc(4);
    this.#firstKey ??= own;
    const key = this.#has('uses the first key for all frames') ? this.#firstKey : own;
    return { fin, rsv, opcode, start, length, key };
  }

  #length(short: number): number {
    if (short < 126) return short;
    const long =
      short === 126 ? BigInt(this.#bytes.readUInt16BE(2)) : this.#bytes.readBigUInt64BE(2);
    if (this.#has('reads lengths modulo 2^32')) return Number(long & 0xffffffffn);
    if (this.#has('ignores the top bit of a length')) return Number(long & (2n ** 63n - 1n));
    if (long >= 2n ** 63n) throw new Failure(1002);
    if (!this.#has('accepts long forms of lengths') && long < (short === 126 ? 126n : 65_536n)) {
      throw new Failure(1002);
    }
    return Number(long);
  }

  #judge(fin: boolean, rsv: number, opcode: number, short: number, masked: boolean): void {
    const fail = (broken: boolean, ...unless: Fault[]): void => {
      if (broken && !unless.some((fault) => this.#has(fault))) throw new Failure(1002);
    };
    const control = opcode >= 8 && (opcode <= 10 || !this.#has('echoes unknown opcodes'));
    fail(!masked, 'accepts frames without a mask');
    fail((rsv & 3) === 1, 'ignores reserved bits', 'ignores RSV3');
    fail((rsv & 2) !== 0, 'ignores reserved bits');
    const first = opcode === 1 || opcode === 2;
    fail((rsv & 4) !== 0 && this.#deflate === undefined, 'ignores reserved bits');
    fail(
      (rsv & 4) !== 0 &&
        this.#deflate !== undefined &&
        !first &&
        (opcode !== 0 || !this.#has('accepts RSV1 on continuations')),
      'ignores reserved bits',
    );
    fail(opcode > 2 && opcode < 8, 'echoes unknown opcodes');
    fail(opcode > 10, 'drops unknown control frames', 'echoes unknown opcodes');
    fail(control && short > 125, 'accepts long control frames', 'accepts long forms of lengths');
    fail(control && !fin, 'accepts fragmented control frames');
    fail(
      opcode === 0 && this.#message === undefined,
      'accepts continuation frames without a message',
    );
    fail(first && this.#message !== undefined, 'lets a new message replace the old');
  }

  #control({ opcode }: Header, payload: Buffer): void {
    if (this.#message !== undefined && this.#has('forgets RSV1 at a control frame')) {
      this.#message.packed = false;
    }
    if (opcode === 8) this.#close(payload);
    else if (opcode === 9) {
      if (this.#has('drops fragments at a ping')) this.#message?.parts.splice(0);
      if (this.#has('does not send pongs')) return;
      this.#send(10, this.#has('sends pongs without a payload') ? Buffer.alloc(0) : payload);
    } else if (opcode === 10) {
      this.#pongs++;
      if (this.#has('answers pongs')) this.#send(10, payload);
    }
    if (opcode > 10 && this.#has('echoes unknown opcodes')) this.#send(2, payload);
  }

  #close(payload: Buffer): void {
    if (this.#closing) return;
    if (payload.length === 1 && !this.#has('accepts half a close code')) throw new Failure(1002);
    const code = payload.length > 1 ? payload.readUInt16BE(0) : undefined;
    if (code !== undefined && !mayTravel(code) && !this.#has('accepts any close code')) {
      throw new Failure(1002);
    }
    if (!this.#has('does not check reasons')) checkText(payload.subarray(2), true);
    this.#closing = true;
    if (this.#has('does not answer close frames')) return;
    const answered = this.#has('answers every closing with 1000')
      ? 1000
      : this.#has('answers close frames without a code')
        ? undefined
        : code;
    this.#send(8, answered === undefined ? Buffer.alloc(0) : codeBytes(answered));
    if (this.#has('echoes after a close frame')) setImmediate(() => this.#socket.end());
    else if (!this.#has('does not end the connection')) this.#socket.end();
  }

  #data({ fin, rsv, opcode }: Header, payload: Buffer): void {
    if (opcode !== 0 || this.#message === undefined) {
      this.#message = { opcode: opcode || 2, packed: (rsv & 4) !== 0, parts: [], size: 0 };
    }
    const message = this.#message;
    if (!fin && payload.length === 0 && this.#has('rejects empty fragments')) {
      throw new Failure(1002);
    }
    message.parts.push(payload);
    message.size += payload.length;
    if (this.#has('checks UTF-8 frame by frame') && message.opcode === 1 && !message.packed) {
      checkText(payload, true);
    }
    if (!fin) return;
    this.#message = undefined;
    let bytes: Buffer = Buffer.concat(message.parts);
    if (message.packed && this.#deflate !== undefined) {
      bytes = this.#inflate(
        this.#has('inflates only the first fragment') ? message.parts[0]! : bytes,
      );
    }
    const unchecked =
      this.#has('does not check UTF-8') ||
      (message.packed && this.#has('does not check inflated UTF-8'));
    if (message.opcode === 1 && !unchecked) this.#check(bytes, true);
    this.#echo(message.opcode, bytes);
  }

  /** Checks the UTF-8 of an incomplete text. */
  #checkBegun(): void {
    if (this.#has('does not check UTF-8') || this.#has('checks UTF-8 only in complete messages'))
      return;
    if (this.#bytes.length > CHECK_EARLY) return;
    const header = this.#header();
    const message = this.#message;
    const ours = header?.opcode === 0 || header?.opcode === 1;
    const begun = ours ? unmask(this.#bytes.subarray(header.start), header.key) : Buffer.alloc(0);
    const opcode = message?.opcode ?? header?.opcode;
    const packed = message?.packed ?? (header !== undefined && (header.rsv & 4) !== 0);
    const size = begun.length + (message?.size ?? 0);
    if (opcode !== 1 || packed || size > CHECK_EARLY) return;
    this.#check(Buffer.concat([...(message?.parts ?? []), begun]), false);
  }

  #check(bytes: Buffer, whole: boolean): void {
    if (this.#has('rejects noncharacters') && bytes.includes('\ufdd0')) throw new Failure(1007);
    const seen = this.#has('accepts surrogates') ? withoutSurrogates(bytes) : bytes;
    checkText(seen, whole && !this.#has('accepts incomplete UTF-8'));
  }

  #inflate(packed: Buffer): Buffer {
    try {
      let rest = Buffer.concat([packed, TAIL]);
      let out: Buffer = Buffer.alloc(0);
      while (rest.length > 0) {
        // The final block is an error within an unfinished one.
        const ended = this.#has('echoes data that ends within a block')
          ? [rest]
          : [rest, FINAL_BLOCK];
        const { buffer, engine } = inflateRawSync(Buffer.concat(ended), {
          finishFlush: ended.length === 1 ? constants.Z_SYNC_FLUSH : constants.Z_FINISH,
          info: true,
          ...(!this.#has('accepts messages of any size') && { maxOutputLength: LIMIT }),
          ...(out.length > 0 && { dictionary: out.subarray(-32_768) }),
        }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } };
        out = Buffer.concat([out, buffer]);
        if (this.#has('stops at a final block')) break;
        rest = rest.subarray(engine.bytesWritten);
      }
      return out;
    } catch (error) {
      if (this.#has('echoes data that it cannot inflate')) return packed;
      const tooMuch = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE';
      if (tooMuch && this.#has('empties messages that inflate too much')) return Buffer.alloc(0);
      throw new Failure(tooMuch ? 1009 : 1007);
    }
  }

  #echo(opcode: number, bytes: Buffer): void {
    if (bytes.length === 0 && this.#has('loses empty messages')) return;
    if (this.#has('closes when a ping gets no pong')) {
      if (this.#echoes === this.#pongs + 100) throw new Failure(1011);
      this.#send(9, Buffer.from('alive?'));
    }
    if (++this.#echoes > 500 && this.#has('stops after 500 messages')) return;
    if (this.#echoes > 0xffff && this.#has('counts messages in 16 bits')) return;
    if (this.#has('loses messages of a slow reader') && this.#socket.writableLength > 500_000)
      return;
    const type = this.#has('echoes text as binary') ? 2 : opcode;
    const cut = this.#has('cuts messages at 65,535 bytes')
      ? bytes.subarray(0, 65_535)
      : this.#has('turns CR LF into LF') && opcode === 1
        ? Buffer.from(bytes.toString().replaceAll('\r\n', '\n'))
        : bytes;
    // The lowest bit of the last byte of a character keeps the text valid.
    if (cut.length > 0 && this.#has('damages the last byte of each message')) {
      cut.writeUInt8(cut.at(-1)! ^ 1, cut.length - 1);
    }
    const bits = this.#deflate?.serverBits ?? (this.#has('compresses without an offer') ? 15 : 0);
    if (bits === 0 || cut.length < 64) return this.#send(type, cut);
    const past = this.#has('compresses with context takeover') ? this.#history : Buffer.alloc(0);
    const packed = deflateRawSync(cut, {
      // zlib has no raw stream with 8 window bits.
      level: bits === 8 ? 0 : 6,
      windowBits: this.#has('compresses with a larger window') ? 15 : Math.max(9, bits),
      finishFlush: constants.Z_SYNC_FLUSH,
      ...(past.length > 0 && { dictionary: past }),
    });
    this.#history = Buffer.concat([this.#history, cut]).subarray(-512);
    this.#send(type | 0x40, packed.subarray(0, -4));
  }

  #send(head: number, payload: Buffer): void {
    const long = this.#has('sends long forms of lengths');
    const size = payload.length < 126 && !long ? 2 : payload.length < 65_536 ? 4 : 10;
    const header = Buffer.alloc(size);
    header[0] = 0x80 | head;
    if (size === 2) header[1] = payload.length;
    else if (size === 4) header.writeUInt16BE(payload.length, 2);
    else header.writeBigUInt64BE(BigInt(payload.length), 2);
    if (size > 2) header[1] = size === 4 ? 126 : 127;
    if (this.#has('masks its own frames')) {
      header[1]! |= 0x80;
      this.#socket.write(Buffer.concat([header, Buffer.alloc(4), payload]));
    } else this.#socket.write(Buffer.concat([header, payload]));
  }

  #fail(error: unknown): void {
    if (!(error instanceof Failure)) throw error;
    this.#closing = true;
    this.#send(8, codeBytes(error.code));
    if (!this.#has('waits for our FIN after a fault')) this.#socket.end();
  }
}

function codeBytes(code: number): Buffer {
  return Buffer.from([code >> 8, code & 0xff]);
}

function unmask(bytes: Buffer, key: Buffer): Buffer {
  const out = Buffer.alloc(bytes.length);
  for (let at = 0; at < bytes.length; at++) out[at] = bytes[at]! ^ key[at & 3]!;
  return out;
}

function mayTravel(code: number): boolean {
  return (
    (code >= 1000 && code < 1015 && ![1004, 1005, 1006].includes(code)) ||
    (code >= 3000 && code < 5000)
  );
}

function checkText(bytes: Buffer, whole: boolean): void {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: !whole });
  } catch {
    throw new Failure(1007);
  }
}

/** Replaces each surrogate with ASCII of the same size. */
function withoutSurrogates(bytes: Buffer): Buffer {
  return Buffer.from(
    bytes
      .toString('latin1')
      .replaceAll(/\u00ed[\u00a0-\u00bf][\u0080-\u00bf]?/g, (found) => 'x'.repeat(found.length)),
    'latin1',
  );
}
