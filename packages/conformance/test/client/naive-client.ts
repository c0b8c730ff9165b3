// A client as small as it can be, right in every way but those that it is told to be wrong in: does the suite see each?
import { isUtf8 } from 'node:buffer';
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { TextDecoder } from 'node:util';
import { NaiveDeflate } from './naive-deflate.ts';
import type { Fault } from './naive-faults.ts';

/** Longest header of an answer. */
const MAX_HEAD = 16_384;
/** Milliseconds to wait for the server to end the connection. */
const CLOSE_TIMEOUT = 600;
const FIXED_KEY = 'AAECAwQFBgcICQoLDA0ODw==';

/** Connects, and echoes until the connection is over. */
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
  /** Whether compression is offered. */
  readonly #offers: boolean;
  #deflate: NaiveDeflate | undefined;
  #bytes: Buffer = Buffer.alloc(0);
  #open = false;
  #headBytes = 0;
  #header: Header | undefined;
  #payload: Buffer[] = [];
  /** Of the message under way: opcode, payload, and what of its text is not looked at yet. */
  #message: { opcode: number; packed: boolean; parts: Buffer[]; decoder: TextDecoder } | undefined;
  /** Nothing is read any more. */
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
      if (this.#has('holds the connection for ever')) return;
      this.#socket.end();
    });
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#ask(url);
  }

  #ask(url: URL): void {
    const host = this.#has('leaves the port out of Host') ? url.hostname : url.host;
    this.#socket.write(
      `GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: ${this.#key}\r\n` +
        `Sec-WebSocket-Version: ${this.#has('asks for version 8') ? 8 : 13}\r\n` +
        (this.#offers
          ? `Sec-WebSocket-Extensions: ${NaiveDeflate.offer(this.#has)}\r\n\r\n`
          : '\r\n'),
    );
    if (this.#has('sends a message before the answer')) this.#send(2, Buffer.from('early'));
  }

  #read(chunk: Buffer): void {
    if (this.#stopped) return;
    const alone = this.#open && this.#has('begins a frame with each segment');
    this.#bytes = alone ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (!this.#open && !this.#readAnswer()) return;
    while (this.#readFrame());
  }

  /** Whether the connection is open. */
  #readAnswer(): boolean {
    for (;;) {
      const end = this.#bytes.indexOf('\r\n\r\n');
      const size = this.#headBytes + (end === -1 ? this.#bytes.length : end);
      if (size > MAX_HEAD && !this.#has('reads a header without end')) this.#socket.destroy();
      if (end === -1) {
        if (this.#has('reads the answer in one piece only')) this.#socket.destroy();
        return false;
      }
      this.#headBytes += end;
      const text = this.#bytes.subarray(0, end).toString('latin1');
      this.#bytes = this.#bytes.subarray(end + 4);
      const interim = /^HTTP\/1\.1 1(?!01)\d\d /.test(text);
      if (interim && !this.#has('takes an interim answer for the last')) continue;
      this.#open = this.#accepts(text);
      if (!this.#open) this.#socket.destroy();
      if (this.#has('drops what stands behind the answer')) this.#bytes = Buffer.alloc(0);
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
      this.#has('looks at Accept without its case') &&
      accepts.toLowerCase() === accept.toLowerCase();
    return (
      lines.every((line) => /^[!#$%&'*+.^_`|~\w-]+:[^\0\r\n]*$/.test(line)) &&
      (/^HTTP\/1\.1 101(?: |$)/.test(start) || this.#has('believes any status')) &&
      (upgrade === 'websocket' ||
        this.#has('does not look at Upgrade') ||
        (this.#has('finds websocket anywhere in Upgrade') && upgrade.includes('websocket'))) &&
      (tokens.some((token) => token.trim() === 'upgrade') ||
        this.#has('does not look at Connection')) &&
      (accepts === accept || sameButCase || this.#has('does not look at Accept')) &&
      this.#agrees(valuesOf('sec-websocket-extensions')) &&
      (valuesOf('sec-websocket-protocol').length === 0 || this.#has('takes any subprotocol'))
    );
  }

  #agrees(extensions: readonly string[]): boolean {
    if (extensions.length === 0 || this.#has('takes any extension')) return true;
    if (!this.#offers) return false;
    this.#deflate = NaiveDeflate.agree(extensions.join(','), this.#has);
    return this.#deflate !== undefined;
  }

  /** Reads a header, or what there is of a payload; false when more bytes are needed. */
  #readFrame(): boolean {
    if (this.#stopped) return false;
    if (this.#header === undefined) return this.#readHeader();
    const header = this.#header;
    const piece = Buffer.from(this.#bytes.subarray(0, header.left));
    this.#bytes = this.#bytes.subarray(piece.length);
    header.left -= piece.length;
    this.#payload.push(piece);
    if (header.opcode < 8 && !this.#look(piece, header)) return false;
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
    const control = opcode >= 8;
    const known = opcode <= 2 || (opcode >= 8 && opcode <= 10);
    if (rsv > 0 && !this.#mayHave(rsv, opcode)) return this.#fail(1002);
    if (!known) {
      if (this.#has('takes reserved opcodes for binary')) opcode = 2;
      else if (!this.#has('drops frames of reserved opcodes')) return this.#fail(1002);
    }
    if (masked && !this.#has('takes masked frames')) return this.#fail(1002);
    if (control && !fin && !this.#has('takes control frames in fragments')) return this.#fail(1002);
    const long = this.#has('takes pings of 126 bytes') && opcode === 9;
    if (control && short > 125 && !long) return this.#fail(1002);
    if (!control && known && !this.#follows(opcode)) return this.#fail(1002);
    const at = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (bytes.length < at + (masked ? 4 : 0)) return false;
    const left = this.#lengthOf(short);
    const loose =
      this.#has('takes long forms of lengths') || this.#has('takes 64-bit lengths for 32-bit ones');
    if (!loose && at > 2 && left < (at === 4 ? 126 : 65_536)) return this.#fail(1002);
    if (left > 64 * 2 ** 20) return this.#fail(1009);
    const key = masked ? Buffer.from(bytes.subarray(at, at + 4)) : undefined;
    this.#bytes = bytes.subarray(at + (masked ? 4 : 0));
    this.#header = { fin, opcode, key, left };
    if (!control && (opcode > 0 || this.#message === undefined)) this.#begin(opcode, rsv);
    return true;
  }

  /** RSV1 may be there where compression was agreed on, in the first frame of a message. */
  #mayHave(rsv: number, opcode: number): boolean {
    if (this.#has('ignores reserved bits')) return true;
    const agreed =
      this.#deflate !== undefined ||
      (this.#offers && this.#has('takes compressed messages without an agreement'));
    const begins = opcode === 1 || opcode === 2;
    return rsv === 4 && agreed && (begins || this.#has('takes RSV1 in any frame'));
  }

  #lengthOf(short: number): number {
    if (short < 126) return short;
    if (short === 126) return this.#bytes.readUInt16BE(2);
    return this.#has('takes 64-bit lengths for 32-bit ones')
      ? this.#bytes.readUInt32BE(6)
      : Number(this.#bytes.readBigUInt64BE(2));
  }

  /** Whether a data frame may stand here. */
  #follows(opcode: number): boolean {
    const within = this.#message !== undefined;
    if (opcode === 0) return within || this.#has('takes a continuation of nothing');
    return !within || this.#has('lets a message begin within another');
  }

  #begin(opcode: number, rsv: number): void {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const packed = rsv === 4 && this.#deflate !== undefined;
    this.#message = { opcode: opcode === 0 ? 2 : opcode, packed, parts: [], decoder };
  }

  /** Looks at a piece of text; false when the connection was failed. */
  #look(piece: Buffer, { fin, left, key }: Header): boolean {
    const message = this.#message;
    if (message?.opcode !== 1 || message.packed || key !== undefined) return true;
    if (this.#has('does not look at UTF-8') || this.#has('looks at UTF-8 at the end only')) {
      return true;
    }
    const alone = this.#has('looks at each fragment’s UTF-8 alone');
    const whole = this.#has('takes a text that ends within a character');
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
    if (this.#has('forgets all but the last fragment')) message.parts = [];
    message.parts.push(payload);
    if (!fin) return;
    this.#message = undefined;
    const joined = Buffer.concat(message.parts);
    const whole = message.packed ? this.#unpacked(joined) : joined;
    if (whole === undefined) return;
    const late = message.packed
      ? !this.#has('does not look at the UTF-8 of what was compressed')
      : this.#has('looks at UTF-8 at the end only');
    if (late && message.opcode === 1 && !isUtf8(whole)) {
      this.#fail(1007);
      return;
    }
    const cut = this.#has('echoes what is longer than 125 bytes with a part of it');
    const opcode = this.#has('echoes text as binary') ? 2 : message.opcode;
    this.#send(opcode, cut ? whole.subarray(0, 125) : whole);
  }

  /** Undefined when the connection was failed. */
  #unpacked(payload: Buffer): Buffer | undefined {
    try {
      return this.#deflate!.decompress(payload);
    } catch (error) {
      if (this.#has('gives an empty message for what is no DEFLATE data')) return Buffer.alloc(0);
      this.#fail(error instanceof RangeError ? 1009 : 1007);
      return undefined;
    }
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === 9 && !this.#has('answers no ping')) {
      const empty = this.#has('answers pings without their payload');
      this.#send(
        this.#has('answers a ping with a ping') ? 9 : 10,
        empty ? Buffer.alloc(0) : payload.subarray(0, 125),
      );
    }
    if (opcode === 8) this.#close(payload);
  }

  #close(payload: Buffer): void {
    if (this.#has('answers no close frame')) return;
    const half = payload.length === 1 && !this.#has('takes half a close code');
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1000;
    const known =
      (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) ||
      (code >= 3000 && code <= 4999);
    if (half || (!known && !this.#has('takes any close code'))) this.#fail(1002);
    else if (!isUtf8(payload.subarray(2)) && !this.#has('takes any reason')) this.#fail(1007);
    else this.#goodbye(payload.length < 2 ? Buffer.alloc(0) : payload.subarray(0, 2));
  }

  #fail(code: number): false {
    const payload = Buffer.alloc(2);
    payload.writeUInt16BE(code);
    this.#goodbye(payload);
    this.#stopped = !this.#has('goes on after a fault');
    // What had come is dropped with the frame that was wrong.
    this.#bytes = Buffer.alloc(0);
    this.#header = undefined;
    this.#message = undefined;
    return false;
  }

  #goodbye(payload: Buffer): void {
    this.#send(8, payload);
    this.#stopped = !this.#has('goes on after a close frame');
    if (this.#has('holds the connection for ever')) return;
    if (this.#has('ends the connection before the server')) this.#socket.end();
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  #send(opcode: number, plain: Buffer): void {
    const packed = opcode < 8 && this.#deflate !== undefined;
    const really = packed && !this.#has('says that it has compressed, and has not');
    const payload = really ? this.#deflate!.compress(plain) : plain;
    const rsv1 = packed && !this.#has('compresses and does not say so') ? 0x40 : 0;
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
    if (this.#has('has the same keys on each connection')) {
      return createHash('sha1').update(String(frame)).digest().subarray(0, 4);
    }
    const key = randomBytes(4);
    if (this.#has('counts its keys')) key.writeUInt32BE(0x9e37_79b9 + frame);
    return key;
  }
}
