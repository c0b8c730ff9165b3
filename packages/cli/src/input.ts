import { isUtf8 } from 'node:buffer';
import { BinaryMessage, type DataType, TextMessage } from '@ws/node-client';
import { checkUtf8, type Format, fromBase64, fromJson, NEWLINE, utf8Check } from './formats.ts';

/** A message that is sent in pieces. */
export interface OutgoingWriter {
  /** Resolves when there is room for more. */
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  /** The message cannot be completed. */
  abort(): void;
}

/** Where the messages of stdin go. */
export interface Outgoing {
  /** Sends a whole message, and copies its bytes. @returns A promise when the caller must wait. */
  send(type: DataType, bytes: Uint8Array): Promise<void> | undefined;
  /** Resolves when there is room for more. */
  ready(): Promise<void> | undefined;
  open(type: DataType): Promise<OutgoingWriter>;
}

/** A longer line is sent in pieces while the rest of it is read. */
const STREAM_ABOVE = 64 * 1024;

/**
 * Sends the messages of a stream until its end.
 *
 * @throws Failure, exit code 8, for a line that is no message of the format; the error of the
 *   stream; the errors of `out`.
 */
export async function sendAll(
  input: AsyncIterable<Uint8Array>,
  format: Format,
  out: Outgoing,
): Promise<void> {
  if (format === 'binary') return sendWhole(input, out);
  const lines = new Lines(format, out);
  try {
    for await (const chunk of input) {
      await lines.add(chunk);
      await out.ready();
    }
    await lines.end();
  } catch (error) {
    lines.abort();
    throw error;
  }
}

async function sendWhole(input: AsyncIterable<Uint8Array>, out: Outgoing): Promise<void> {
  let writer: OutgoingWriter | undefined;
  try {
    for await (const chunk of input) {
      if (chunk.length === 0) continue;
      writer ??= await out.open(BinaryMessage);
      await writer.write(chunk);
    }
    await writer?.close();
  } catch (error) {
    writer?.abort();
    throw error;
  }
}

const RETURN = 13;
/** U+FEFF in UTF-8: editors begin a file with it. */
const BYTE_ORDER_MARK = Uint8Array.of(0xef, 0xbb, 0xbf);

/** Splits a stream into lines, each of which is a message. */
class Lines {
  readonly #format: Exclude<Format, 'binary'>;
  readonly #out: Outgoing;
  readonly #terminator: number;
  /** The first pieces of an incomplete line. */
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Set while a long line is sent in pieces. */
  #writer: LineWriter | undefined;
  #line = 1;

  constructor(format: Exclude<Format, 'binary'>, out: Outgoing) {
    this.#format = format;
    this.#out = out;
    this.#terminator = format === 'null' ? 0 : NEWLINE;
  }

  async add(chunk: Uint8Array): Promise<void> {
    let at = 0;
    let end = chunk.indexOf(this.#terminator);
    if (end !== -1 && (this.#heldBytes > 0 || this.#writer !== undefined)) {
      await this.#hold(chunk.subarray(0, end));
      await this.#endLine();
      at = end + 1;
      end = chunk.indexOf(this.#terminator, at);
    }
    // One check for all whole lines of the chunk: a terminator is never inside a character.
    const last = chunk.lastIndexOf(this.#terminator);
    const valid = last >= at && this.#isText && isUtf8(chunk.subarray(at, last));
    while (end !== -1) {
      const sent = this.#send(chunk.subarray(at, end), valid);
      if (sent !== undefined) await sent;
      at = end + 1;
      end = chunk.indexOf(this.#terminator, at);
    }
    if (at < chunk.length) await this.#hold(chunk.subarray(at));
  }

  /** The end of the stream: a last line without its end is a message too. */
  async end(): Promise<void> {
    if (this.#writer === undefined && this.#inLine(Buffer.concat(this.#held)).length === 0) return;
    await this.#endLine();
  }

  async #endLine(): Promise<void> {
    if (this.#writer !== undefined) {
      const writer = this.#writer;
      this.#writer = undefined;
      await writer.close();
      this.#line++;
    } else {
      const line = Buffer.concat(this.#held);
      this.#held = [];
      this.#heldBytes = 0;
      await this.#send(line, false);
    }
  }

  abort(): void {
    this.#writer?.abort();
  }

  /** Removes the carriage return of Windows and, in the first line, a byte order mark. */
  #inLine(bytes: Uint8Array): Uint8Array {
    if (this.#format === 'null') return bytes;
    const line = this.#withoutMark(bytes);
    return line.at(-1) === RETURN ? line.subarray(0, -1) : line;
  }

  #withoutMark(bytes: Uint8Array): Uint8Array {
    if (this.#line > 1 || this.#format === 'null') return bytes;
    const { length } = BYTE_ORDER_MARK;
    return Buffer.compare(bytes.subarray(0, length), BYTE_ORDER_MARK) === 0
      ? bytes.subarray(length)
      : bytes;
  }

  get #isText(): boolean {
    return this.#format === 'lines' || this.#format === 'null';
  }

  #send(whole: Uint8Array, valid: boolean): Promise<void> | undefined {
    const bytes = this.#inLine(whole);
    const line = this.#line++;
    if (this.#isText) {
      if (!valid) checkUtf8(bytes, line);
      return this.#out.send(TextMessage, bytes);
    }
    if (this.#format === 'jsonl') {
      // Editors leave an empty line at the end.
      if (bytes.length === 0) return undefined;
      const message = fromJson(bytes, line);
      return this.#out.send(message.type, message.bytes);
    }
    return this.#out.send(BinaryMessage, fromBase64(Buffer.from(bytes).toString('latin1'), line));
  }

  async #hold(part: Uint8Array): Promise<void> {
    if (this.#writer !== undefined) return this.#writer.write(part);
    // The stream may reuse nothing of its chunks: no copy.
    this.#held.push(part);
    this.#heldBytes += part.length;
    if (this.#heldBytes <= STREAM_ABOVE || this.#format === 'jsonl') return;
    const type = this.#isText ? TextMessage : BinaryMessage;
    const inner = await this.#out.open(type);
    this.#writer = this.#isText
      ? new TextLineWriter(inner, this.#line, this.#format === 'lines')
      : new Base64LineWriter(inner, this.#line);
    const begin = Buffer.concat(this.#held.splice(0));
    this.#heldBytes = 0;
    await this.#writer.write(this.#withoutMark(begin));
  }
}

type LineWriter = TextLineWriter | Base64LineWriter;

class TextLineWriter {
  readonly #writer: OutgoingWriter;
  readonly #check: (bytes?: Uint8Array) => void;
  readonly #dropsReturn: boolean;
  /** A carriage return that ends the line if nothing follows. */
  #heldReturn = false;

  /** @param dropsReturn - Whether to drop a carriage return at the end of the line. */
  constructor(writer: OutgoingWriter, line: number, dropsReturn: boolean) {
    this.#writer = writer;
    this.#check = utf8Check(line);
    this.#dropsReturn = dropsReturn;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0) return;
    this.#check(bytes);
    if (this.#heldReturn) await this.#writer.write(Uint8Array.of(RETURN));
    this.#heldReturn = this.#dropsReturn && bytes.at(-1) === RETURN;
    await this.#writer.write(this.#heldReturn ? bytes.subarray(0, -1) : bytes);
  }

  close(): Promise<void> {
    this.#check();
    return this.#writer.close();
  }

  abort(): void {
    this.#writer.abort();
  }
}

class Base64LineWriter {
  readonly #writer: OutgoingWriter;
  readonly #line: number;
  /** Digits of an incomplete group of four. */
  #rest = '';

  constructor(writer: OutgoingWriter, line: number) {
    this.#writer = writer;
    this.#line = line;
  }

  write(bytes: Uint8Array): Promise<void> {
    const text = this.#rest + Buffer.from(bytes).toString('latin1');
    // The last group may be padded: it waits for the end of the line.
    const whole = Math.max(0, text.length - 5) & ~3;
    this.#rest = text.slice(whole);
    return this.#writer.write(fromBase64(text.slice(0, whole), this.#line, false));
  }

  async close(): Promise<void> {
    await this.#writer.write(fromBase64(this.#rest, this.#line));
    await this.#writer.close();
  }

  abort(): void {
    this.#writer.abort();
  }
}
