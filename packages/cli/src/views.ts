import { type DataType, type MessageReader, TextMessage } from '@ws/node-client';
import { colorJson, escapeControls } from './escape.ts';
import { encoderOf, type Format, LINE_END, terminatorOf } from './formats.ts';
import type { OutputBuffer } from './output-buffer.ts';

/** Bytes. A shorter message is printed as a whole, a longer one in pieces. */
const WHOLE = 16 * 1024;
/** Bytes of one read of a long message. */
const PIECE = 256 * 1024;
/** Bytes of a message of one client of many that are held until its end. */
const HELD = 1024 ** 2;
/** How long a client may hold the output while others wait, in ms, and the bytes that earn a second. */
const PATIENCE = 5_000;
const PACE = 16 * 1024;

/** A message to print. */
export type Source = Pick<MessageReader, 'type' | 'read'>;

/** One connection of many. */
export interface Client {
  readonly number: number;
  /** Ends the connection, whose message holds the output of all. */
  terminate(): void;
}

/** Prints the messages of one or many connections. */
export interface View {
  /** Prints one message to its end. `buffer` belongs to the connection. */
  take(reader: Source, buffer: Uint8Array, client?: Client): Promise<void>;
  /** Prints a message that is in memory. */
  whole(type: DataType, bytes: Uint8Array, client?: Client): Promise<void> | undefined;
}

/** A buffer for {@link View.take}. */
export function readBuffer(): Uint8Array {
  return Buffer.allocUnsafeSlow(WHOLE);
}

/** A long message that is printed while it arrives. Messages of other connections wait for it. */
class LongMessage {
  bytes = 0;
  readonly over: Promise<void>;
  readonly #client: Client | undefined;
  readonly #output: OutputBuffer;
  #release = (): void => {};
  #timer: NodeJS.Timeout | undefined;

  constructor(client: Client | undefined, output: OutputBuffer) {
    this.#client = client;
    this.#output = output;
    this.over = new Promise((resolve) => {
      this.#release = resolve;
    });
  }

  /** Waits for its end. A client that stalls meanwhile is disconnected. */
  wait(): Promise<void> {
    let last = this.bytes;
    this.#timer ??= setInterval(() => {
      const isSlow = this.bytes - last < (PACE * PATIENCE) / 1000;
      last = this.bytes;
      if (isSlow && !this.#output.blocked) this.#client?.terminate();
    }, PATIENCE);
    return this.over;
  }

  end(): void {
    clearInterval(this.#timer);
    this.#release();
  }
}

/** Messages in a format for programs. */
export class PipeView implements View {
  readonly #output: OutputBuffer;
  readonly #format: Format;
  readonly #terminator: Uint8Array | undefined;
  #long: LongMessage | undefined;

  constructor(output: OutputBuffer, format: Format) {
    this.#output = output;
    this.#format = format;
    this.#terminator = terminatorOf(format);
  }

  async take(reader: Source, buffer: Uint8Array, client?: Client): Promise<void> {
    let bytes = buffer;
    let length = 0;
    // A client that stalls within a message of up to 1 MiB does not delay the others.
    const most = client === undefined ? buffer.length : HELD;
    for (;;) {
      const read = await reader.read(bytes.subarray(length));
      if (read === 0) break;
      length += read;
      if (length === most) return this.#stream(reader, bytes, client);
      if (length === bytes.length) bytes = grown(bytes);
    }
    while (this.#long !== undefined) await this.#long.wait();
    const wait = this.#put(reader.type, bytes, length, client);
    if (wait !== undefined) await wait;
  }

  whole(type: DataType, bytes: Uint8Array, client?: Client): Promise<void> | undefined {
    return this.#put(type, bytes, bytes.length, client);
  }

  #put(
    type: DataType,
    bytes: Uint8Array,
    length: number,
    client?: Client,
  ): Promise<void> | undefined {
    const terminator = this.#terminator;
    if (terminator === undefined) {
      const encoder = encoderOf(this.#format, type, client?.number);
      void this.#output.append(encoder.begin);
      void this.#output.append(encoder.piece(bytes.subarray(0, length)));
      return this.#output.append(encoder.end());
    }
    void this.#output.append(bytes, length);
    return this.#output.append(terminator);
  }

  /** @param begin - The first bytes of the message. */
  async #stream(reader: Source, begin: Uint8Array, client?: Client): Promise<void> {
    while (this.#long !== undefined) await this.#long.wait();
    const long = new LongMessage(client, this.#output);
    this.#long = long;
    const encoder = encoderOf(this.#format, reader.type, client?.number);
    let isWhole = false;
    try {
      void this.#output.append(encoder.begin);
      await this.#output.append(encoder.piece(begin));
      const buffer = Buffer.allocUnsafeSlow(PIECE);
      for (;;) {
        const read = await reader.read(buffer);
        if (read === 0) break;
        long.bytes += read;
        await this.#output.append(encoder.piece(buffer.subarray(0, read)));
      }
      isWhole = true;
    } finally {
      // After a message that has broken off, the next one begins on its own line. In JSON Lines the
      // broken one is no JSON.
      void this.#output.append(isWhole ? encoder.end() : (this.#terminator ?? LINE_END));
      this.#long = undefined;
      long.end();
    }
  }
}

/** A copy with twice the room. */
function grown(bytes: Uint8Array): Uint8Array {
  const more = Buffer.allocUnsafeSlow(bytes.length * 2);
  more.set(bytes);
  return more;
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

  async take(reader: Source, buffer: Uint8Array, client?: Client): Promise<void> {
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

  whole(type: DataType, bytes: Uint8Array, client?: Client): Promise<void> | undefined {
    return this.#show(type, bytes.subarray(0, SHOWN), bytes.length, client);
  }

  #show(
    type: DataType,
    begin: Uint8Array,
    length: number,
    client?: Client,
  ): Promise<void> | undefined {
    const text = type === TextMessage ? this.#text(begin, length) : binaryText(begin, length);
    const from = client === undefined ? '' : `${client.number} `;
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
