// A small client that follows every rule except for its planted faults. The suite must report each.
import { isUtf8 } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { TextDecoder } from 'node:util';
import { NaiveDeflate } from './naive-deflate.ts';
import type { Fault } from './naive-faults.ts';

/** Maximum size of an answer's header, in bytes. */
const MAX_HEAD = 16_384;
/** Time in ms for the server to end the connection. */
const CLOSE_TIMEOUT = 600;
const FIXED_KEY = 'AAECAwQFBgcICQoLDA0ODw==';

/** Connects and echoes until the end of the connection. */
export function naiveClient(url: string, deflate: boolean, ...faults: Fault[]): Promise<void> {
  return new NaiveClient(new URL(url), deflate, new Set(faults)).over;
}

interface Header {
  readonly fin: boolean;
  readonly opcode: number;
  readonly key: Buffer | undefined;
  left: number;
}

class NaiveClient {
  readonly over: Promise<void>;
  readonly #has: (fault: Fault) => boolean;
  readonly #socket: Socket;
  readonly #key: string;
  /** True when the client offers compression. */
  readonly #offers: boolean;
  #deflate: NaiveDeflate | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #open = false;
  #headBytes = 0;
  #header: Header | undefined;
  #payload: Buffer[] = [];
  /** The unfinished message: opcode, payload, and the decoder of its text. */
  #message: { opcode: number; packed: boolean; parts: Buffer[]; decoder: TextDecoder } | undefined;
  /** True when the client ignores all further bytes. */
  #stopped = false;
  #frames = 0;

  constructor(url: URL, deflate: boolean, faults: ReadonlySet<Fault>) {
    this.#offers = deflate;
    this.#has = (fault) => faults.has(fault);
    this.#key = this.#has('sends the same key with every request')
      ? FIXED_KEY
      : randomBytes(this.#has('sends a short key') ? 12 : 16).toString('base64');
    this.#socket = connect({ host: url.hostname, port: Number(url.port), allowHalfOpen: true });
    this.over = new Promise((done) => {
      this.#socket.on('close', () => done());
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('end', () => {
      if (this.#has('never ends the connection')) return;
      this.#socket.end();
    });
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#ask(url);
  }

  #ask(url: URL): void {
    const host = this.#has('omits the port in Host') ? url.hostname : url.host;
    const path = this.#has('decodes the escapes of its URL')
      ? decodeURI(url.pathname)
      : url.pathname;
    const target = path + url.search;
    this.#socket.write(
      `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: ${this.#key}\r\n` +
        `Sec-WebSocket-Version: ${this.#has('requests version 8') ? 8 : 13}\r\n` +
        (this.#offers
          ? `Sec-WebSocket-Extensions: ${NaiveDeflate.offer(this.#has)}\r\n\r\n`
          : '\r\n'),
    );
    if (this.#has('sends a message before the answer')) this.#send(2, Buffer.from('early'));
  }

  #read(chunk: Buffer): void {
    if (this.#stopped) return;
    const alone = this.#open && this.#has('treats each segment as a frame');
    this.#bytes = alone ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#open && !this.#readAnswer()) return;
    while (this.#readFrame());
  }

  /** Returns true when the connection is open. */
  #readAnswer(): boolean {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      const size = this.#headBytes + (end === -1 ? this.#bytes.length : end);
      if (size > MAX_HEAD && !this.#has('reads endless headers')) this.#socket.destroy();
      if (end === -1) {
        if (this.#has('requires the answer in one segment')) this.#socket.destroy();
        return false;
      }
      this.#headBytes += end;
      const text = this.#bytes.subarray(0, end).toString('latin1');
      this.#bytes = this.#bytes.subarray(end + 4);
      const interim = /^HTTP\/1\.1 1(?!01)\d\d /.test(text);
      if (interim && !this.#has('treats an interim answer as the last')) continue;
      this.#open = this.#accepts(text);
      if (!this.#open) this.#socket.destroy();
      if (this.#has('drops the bytes after the answer')) this.#bytes = Buffer.alloc(0);
      return this.#open;
    }
  }

  #accepts(text: string): boolean {
    const [start = '', ...lines] = text.split('\r\n');
    const valuesOf = (wanted: string): string[] =>
      lines
        .filter((line) => line.toLowerCase().startsWith(`${wanted}:`))
        .map((line) => line.slice(wanted.length + 1).trim());
    const accept = createHash('sha1')
      .update(`${this.#key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    const upgrade = valuesOf('upgrade').join(',').toLowerCase();
    const tokens = valuesOf('connection').join(',').toLowerCase().split(',');
    const accepts = valuesOf('sec-websocket-accept').join(',');
    const sameButCase =
      this.#has('ignores the case of Accept') && accepts.toLowerCase() === accept.toLowerCase();
    return (
      lines.every((line) => /^[!#$%&'*+.^_`|~\w-]+:[^\0\r\n]*$/.test(line)) &&
      (/^HTTP\/1\.1 101(?: |$)/.test(start) || this.#has('accepts any status')) &&
      (upgrade === 'websocket' ||
        this.#has('does not check Upgrade') ||
        (this.#has('searches websocket anywhere in Upgrade') && upgrade.includes('websocket'))) &&
      (tokens.some((token) => token.trim() === 'upgrade') ||
        this.#has('does not check Connection')) &&
      (accepts === accept || sameButCase || this.#has('does not check Accept')) &&
      this.#agrees(valuesOf('sec-websocket-extensions')) &&
      (valuesOf('sec-websocket-protocol').length === 0 || this.#has('accepts any subprotocol'))
    );
  }

  #agrees(extensions: readonly string[]): boolean {
    if (extensions.length === 0 || this.#has('accepts any extension')) return true;
    if (!this.#offers) return false;
    this.#deflate = NaiveDeflate.agree(extensions.join(','), this.#has);
    return this.#deflate !== undefined;
  }

  /** Reads a header or a part of a payload. Returns false when it needs more bytes. */
  #readFrame(): boolean {
    if (this.#stopped) return false;
    if (this.#header === undefined) return this.#readHeader();
    const header = this.#header;
    const piece = Buffer.from(this.#bytes.subarray(0, header.left));
    this.#bytes = this.#bytes.subarray(piece.length);
    header.left -= piece.length;
    this.#payload.push(piece);
    if (header.opcode < 8 && !this.#checkText(piece, header)) return false;
    if (header.left > 0) return false;
    this.#header = undefined;
    const payload = Buffer.concat(this.#payload);
    const { key } = header;
    if (key !== undefined)
      payload.forEach((byte, at) => payload.writeUInt8(byte ^ key[at & 3]!, at));
    this.#payload = [];
    if (header.opcode < 8) this.#data(header.fin, payload);
    else this.#control(header.opcode, payload);
    return true;
  }

  #readHeader(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) return false;
    const fin = bytes[0]! >= 128;
    const rsv = (bytes[0]! >> 4) & (this.#has('ignores RSV3') ? 6 : 7);
    let opcode = bytes[0]! & 15;
    const masked = bytes[1]! >= 128;
    const short = bytes[1]! & 127;
    const known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
    if (rsv > 0 && !this.#mayHave(rsv, opcode)) return this.#fail(1002);
    if (!known) {
      if (this.#has('treats reserved opcodes as binary')) opcode = 2;
      else if (!this.#has('drops frames of reserved opcodes')) return this.#fail(1002);
    }
    const control = opcode >= 8;
    if (masked && !this.#has('accepts masked frames')) return this.#fail(1002);
    if (control && !fin && !this.#has('accepts fragmented control frames')) return this.#fail(1002);
    const long =
      (this.#has('accepts pings of 126 bytes') && opcode === 9) ||
      this.#has('accepts long forms of lengths');
    if (control && short > 125 && !long) return this.#fail(1002);
    if (!control && known && !this.#follows(opcode)) return this.#fail(1002);
    const at = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < at + (masked ? 4 : 0)) return false;
    const left = this.#lengthOf(short);
    const loose =
      this.#has('accepts long forms of lengths') ||
      this.#has('reads 64-bit lengths as 32-bit ones');
    if (!loose && at > 2 && left < (at === 4 ? 126 : 65_536)) return this.#fail(1002);
    if (left > 64 * 2 ** 20) return this.#fail(1009);
    const key = masked ? Buffer.from(bytes.subarray(at, at + 4)) : undefined;
    this.#bytes = bytes.subarray(at + (masked ? 4 : 0));
    this.#header = { fin, opcode, key, left };
    if (!control && (opcode > 0 || this.#message === undefined)) this.#begin(opcode, rsv);
    return true;
  }

  /** Permits RSV1 only in the first frame of a message, with negotiated compression. */
  #mayHave(rsv: number, opcode: number): boolean {
    if (this.#has('ignores reserved bits')) return true;
    const agreed =
      this.#deflate !== undefined ||
      (this.#offers && this.#has('accepts compressed messages without an extension'));
    const begins = opcode === 1 || opcode === 2;
    return rsv === 4 && agreed && (begins || this.#has('accepts RSV1 on any frame'));
  }

  #lengthOf(short: number): number {
    if (short < 126) return short;
    if (short === 126) return this.#bytes.readUInt16BE(2);
    return this.#has('reads 64-bit lengths as 32-bit ones')
      ? this.#bytes.readUInt32BE(6)
      : Number(this.#bytes.readBigUInt64BE(2));
  }

  /** Returns true when a data frame is allowed here. */
  #follows(opcode: number): boolean {
    const within = this.#message !== undefined;
    if (opcode === 0) return within || this.#has('accepts a continuation frame without a message');
    return !within || this.#has('accepts a message within another');
  }

  #begin(opcode: number, rsv: number): void {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const packed = rsv === 4 && this.#deflate !== undefined;
    this.#message = { opcode: opcode === 0 ? 2 : opcode, packed, parts: [], decoder };
  }

  /** Checks a piece of text. Returns false after it has failed the connection. */
  #checkText(piece: Buffer, { fin, left, key }: Header): boolean {
    const message = this.#message;
    if (message?.opcode !== 1 || message.packed || key !== undefined) return true;
    if (this.#has('does not check UTF-8') || this.#has('checks UTF-8 only in complete messages')) {
      return true;
    }
    const alone = this.#has('checks the UTF-8 of each fragment separately');
    const whole = this.#has('accepts a text that ends within a character');
    const ends = left === 0 && (alone || (fin && !whole));
    try {
      message.decoder.decode(piece, { stream: !ends });
      return true;
    } catch {
      return this.#fail(1007);
    }
  }

  #data(fin: boolean, payload: Buffer): void {
    const message = this.#message;
    if (message === undefined) return;
    if (this.#has('keeps only the last fragment')) message.parts = [];
    message.parts.push(payload);
    if (!fin) return;
    this.#message = undefined;
    const joined = Buffer.concat(message.parts);
    const whole = message.packed ? this.#inflated(joined) : joined;
    if (whole === undefined) return;
    const late = message.packed
      ? !this.#has('does not check inflated UTF-8')
      : this.#has('checks UTF-8 only in complete messages');
    if (late && message.opcode === 1 && !isUtf8(whole)) {
      this.#fail(1007);
      return;
    }
    if (whole.length === 0 && this.#has('loses empty messages')) return;
    if (whole.length > 0 && this.#has('damages the last byte of each message')) {
      whole.writeUInt8(whole.at(-1)! ^ 1, whole.length - 1);
    }
    const cut = this.#has('truncates messages at 125 bytes');
    const opcode = this.#has('echoes text as binary') ? 2 : message.opcode;
    const echo = (): void => this.#send(opcode, cut ? whole.subarray(0, 125) : whole);
    if (this.#has('echoes in the next turn')) setImmediate(() => this.#stopped || echo());
    else echo();
  }

  /** Inflates a message. Returns undefined after it has failed the connection. */
  #inflated(payload: Buffer): Buffer | undefined {
    try {
      return this.#deflate!.decompress(payload);
    } catch (error) {
      if (this.#has('replaces invalid DEFLATE data with an empty message')) return Buffer.alloc(0);
      this.#fail(error instanceof RangeError ? 1009 : 1007);
      return undefined;
    }
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === 9 && !this.#has('does not answer pings')) {
      const empty = this.#has('answers pings without a payload');
      this.#send(
        this.#has('answers a ping with a ping') ? 9 : 10,
        empty ? Buffer.alloc(0) : payload.subarray(0, 125),
      );
    }
    if (opcode === 8) this.#close(payload);
  }

  #close(payload: Buffer): void {
    if (this.#has('does not answer close frames')) return;
    const half = payload.length === 1 && !this.#has('accepts half a close code');
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1000;
    const known =
      (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
      (code >= 3000 && code <= 4999);
    if (half || (!known && !this.#has('accepts any close code'))) this.#fail(1002);
    else if (!isUtf8(payload.subarray(2)) && !this.#has('accepts any reason')) this.#fail(1007);
    else this.#sendClose(payload.length < 2 ? Buffer.alloc(0) : payload.subarray(0, 2));
  }

  #fail(code: number): false {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#sendClose(payload);
    this.#stopped = !this.#has('continues after a fault');
    // Drop all received bytes together with the invalid frame.
    this.#bytes = Buffer.alloc(0);
    this.#header = undefined;
    this.#message = undefined;
    return false;
  }

  #sendClose(payload: Buffer): void {
    this.#send(8, payload);
    this.#stopped = !this.#has('continues after a close frame');
    if (this.#has('never ends the connection')) return;
    if (this.#has('ends the connection before the server')) this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #send(opcode: number, plain: Buffer): void {
    const packed = opcode < 8 && this.#deflate !== undefined;
    const really = packed && !this.#has('sets RSV1 without compression');
    const payload = really ? this.#deflate!.compress(plain) : plain;
    const rsv1 = packed && !this.#has('compresses without RSV1') ? 0x40 : 0;
    const { length } = payload;
    const bit = this.#has('does not mask') ? 0 : 0x80;
    const size = length < 126 ? 2 : length < 65_536 ? 4 : 10;
    const header = Buffer.alloc(size);
    header[0] = 0x80 | rsv1 | opcode;
    header[1] = bit | (size === 2 ? length : size === 4 ? 126 : 127);
    if (size === 4) header.writeUInt16BE(length, 2);
    if (size === 10) header.writeBigUInt64BE(BigInt(length), 2);
    const key = bit === 0 ? Buffer.alloc(0) : this.#nextKey();
    const sent = bit === 0 ? payload : payload.map((byte, at) => byte ^ key[at & 3]!);
    this.#socket.write(Buffer.concat([header, key, sent]));
  }

  #nextKey(): Buffer {
    const frame = this.#frames++;
    if (this.#has('masks with zeros')) return Buffer.alloc(4);
    if (this.#has('masks with one key')) return Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
    if (this.#has('repeats its keys on each connection')) {
      return createHash('sha1').update(String(frame)).digest().subarray(0, 4);
    }
    const key = randomBytes(4);
    if (this.#has('uses a counter as key')) key.writeUInt32BE(0x9e37_79b9 + frame);
    return key;
  }
}
