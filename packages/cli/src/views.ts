import { type DataType, type MessageReader, TextMessage } from '@ws/node-client';
import { colorJson, escapeControls } from './escape.ts';
import { encoderOf, type Format, LINE_END, terminatorOf } from './formats.ts';
import type { OutputBuffer } from './output-buffer.ts';

/** Bytes. A shorter message is printed as a whole, a longer one in pieces. */
const WHOLE = 16 * 1024;
/** Bytes of one read of a long message. */
const PIECE = 256 * 1024;

/** A message to print. */
export type Source = Pick<MessageReader, 'type' | 'read'>;

/** Prints the messages of one or many connections. */
export interface View {
  /** Prints one message to its end. `buffer` belongs to the connection. */
  take(reader: Source, buffer: Uint8Array, client?: number): Promise<void>;
  /** Prints a message that is in memory. */
  whole(type: DataType, bytes: Uint8Array, client?: number): Promise<void> | undefined;
}

/** A buffer for {@link View.take}. */
export function readBuffer(): Uint8Array {
  return Buffer.allocUnsafeSlow(WHOLE);
}

/** Messages in a format for programs. */
export class PipeView implements View {
  readonly #output: OutputBuffer;
  readonly #format: Format;
  readonly #terminator: Uint8Array | undefined;
  /** Set while a long message is printed. Messages of other connections wait. */
  #busy: Promise<void> | undefined;

  constructor(output: OutputBuffer, format: Format) {
    this.#output = output;
    this.#format = format;
    this.#terminator = terminatorOf(format);
  }

  async take(reader: Source, buffer: Uint8Array, client?: number): Promise<void> {
    let length = 0;
    for (;;) {
      const read = await reader.read(length === 0 ? buffer : buffer.subarray(length));
      if (read === 0) break;
      length += read;
      if (length === buffer.length) return this.#stream(reader, buffer, client);
    }
    while (this.#busy !== undefined) await this.#busy;
    const wait = this.#put(reader.type, buffer, length, client);
    if (wait !== undefined) await wait;
  }

  whole(type: DataType, bytes: Uint8Array, client?: number): Promise<void> | undefined {
    return this.#put(type, bytes, bytes.length, client);
  }

  #put(
    type: DataType,
    bytes: Uint8Array,
    length: number,
    client?: number,
  ): Promise<void> | undefined {
    const terminator = this.#terminator;
    if (terminator === undefined) {
      const encoder = encoderOf(this.#format, type, client);
      void this.#output.append(encoder.begin);
      void this.#output.append(encoder.piece(bytes.subarray(0, length)));
      return this.#output.append(encoder.end());
    }
    void this.#output.append(bytes, length);
    return this.#output.append(terminator);
  }

  /** @param begin - The first bytes of the message. */
  async #stream(reader: Source, begin: Uint8Array, client?: number): Promise<void> {
    while (this.#busy !== undefined) await this.#busy;
    let release = (): void => {};
    this.#busy = new Promise((resolve) => {
      release = resolve;
    });
    const encoder = encoderOf(this.#format, reader.type, client);
    let isWhole = false;
    try {
      void this.#output.append(encoder.begin);
      await this.#output.append(encoder.piece(begin));
      const buffer = Buffer.allocUnsafeSlow(PIECE);
      for (;;) {
        const read = await reader.read(buffer);
        if (read === 0) break;
        await this.#output.append(encoder.piece(buffer.subarray(0, read)));
      }
      isWhole = true;
    } finally {
      // After a message that has broken off, the next one begins on its own line. In JSON Lines the
      // broken one is no JSON.
      void this.#output.append(isWhole ? encoder.end() : (this.#terminator ?? LINE_END));
      this.#busy = undefined;
      release();
    }
  }
}

/** Bytes of a message that a terminal shows. */
const SHOWN = 64 * 1024;
/** Bytes of a binary message that a terminal shows in hex. */
const SHOWN_BINARY = 64;

/** Messages for people: escaped, JSON in colours, long messages cut. */
export class TerminalView implements View {
  readonly #print: (text: string) => Promise<void> | undefined;
  readonly #colors: boolean;

  /** @param print - Prints a text of whole lines. */
  constructor(print: (text: string) => Promise<void> | undefined, colors: boolean) {
    this.#print = print;
    this.#colors = colors;
  }

  async take(reader: Source, buffer: Uint8Array, client?: number): Promise<void> {
    const begin: Uint8Array[] = [];
    let kept = 0;
    let length = 0;
    for (;;) {
      const read = await reader.read(buffer);
      if (read === 0) break;
      length += read;
      if (kept < SHOWN) {
        begin.push(Buffer.from(buffer.subarray(0, Math.min(read, SHOWN - kept))));
        kept += begin.at(-1)!.length;
      }
    }
    await this.#show(reader.type, Buffer.concat(begin), length, client);
  }

  whole(type: DataType, bytes: Uint8Array, client?: number): Promise<void> | undefined {
    return this.#show(type, bytes.subarray(0, SHOWN), bytes.length, client);
  }

  #show(
    type: DataType,
    begin: Uint8Array,
    length: number,
    client?: number,
  ): Promise<void> | undefined {
    const text = type === TextMessage ? this.#text(begin, length) : binaryText(begin, length);
    const from = client === undefined ? '' : `${client} `;
    return this.#print(`${from}< ${text.replaceAll('\n', `\n${' '.repeat(from.length + 2)}`)}\n`);
  }

  #text(begin: Uint8Array, length: number): string {
    const more = length - begin.length;
    // A cut character at the end becomes U+FFFD.
    const text = escapeControls(new TextDecoder('utf-8', { ignoreBOM: true }).decode(begin));
    if (more > 0) return `${text}… ${more} more bytes`;
    return this.#colors ? colorJson(text) : text;
  }
}

function binaryText(begin: Uint8Array, length: number): string {
  const shown = begin.subarray(0, SHOWN_BINARY);
  const more = length > shown.length ? ' …' : '';
  return `binary, ${length} bytes${length === 0 ? '' : ': '}${hexOf(shown)}${more}`;
}

/** Bytes as `0a ff`. */
export function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ');
}
