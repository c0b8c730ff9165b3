import {
  BinaryMessage,
  type BorrowedMessage,
  type Conn,
  JSONError,
  PongMessage,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { turn } from '@ws/testkit';
import fc from 'fast-check';

// What two ends say to each other, as a script: who writes what in which way, who reads in which way.

const size = fc.oneof(
  { weight: 12, arbitrary: fc.nat(200) },
  { weight: 4, arbitrary: fc.integer({ min: 3_000, max: 9_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 65_560 }) },
  { weight: 1, arbitrary: fc.integer({ min: 70_000, max: 200_000 }) },
);

const WAYS = ['send', 'prepared', 'json', 'writer', 'queued', 'ping', 'control', 'wait'] as const;

/** Something to write. */
export interface Line {
  readonly way: (typeof WAYS)[number];
  readonly text: boolean;
  readonly awaited: boolean;
  readonly sizes: readonly number[];
}

const line: fc.Arbitrary<Line> = fc.record({
  way: fc.constantFrom(...WAYS),
  text: fc.boolean(),
  awaited: fc.boolean(),
  sizes: fc.array(size, { minLength: 1, maxLength: 4 }),
});

const READS = ['readMessage', 'impatient', 'aborted', 'for await', 'readJSON'] as const;
const DRAINS = ['read', 'iteration', 'readable', 'bytes', 'text', 'partly', 'left'] as const;

/** A way to read the next message. */
export interface Read {
  readonly way: (typeof READS)[number] | (typeof DRAINS)[number];
  /** Of the array that is read into. */
  readonly room: number;
  /** Turns that pass before it. */
  readonly wait: number;
}

const read: fc.Arbitrary<Read> = fc.record({
  way: fc.constantFrom(...READS, ...DRAINS),
  room: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 100_000 })),
  wait: fc.nat(4),
});

/** What one end does. */
export interface Part {
  /** Each writes its lines one after the other, all of them at the same time. */
  readonly writers: readonly (readonly Line[])[];
  readonly reads: readonly Read[];
  /** After so many messages the rest is read by `receive`. */
  readonly receiveAfter: number;
  /** Turns that its handler takes for a message, in turn; 0: it returns nothing. */
  readonly handling: readonly number[];
}

export const part: fc.Arbitrary<Part> = fc.record({
  writers: fc.array(fc.array(line, { maxLength: 6 }), { minLength: 1, maxLength: 3 }),
  reads: fc.array(read, { minLength: 1, maxLength: 5 }),
  receiveAfter: fc.nat(15),
  handling: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
});

/** A message on its way, in the order of the calls: what of it was taken is known when its writes have settled. */
interface Said {
  readonly type: number;
  readonly pieces: Buffer[];
}

/** What was heard of a message: all of it, its beginning, or only that there was one. */
interface Heard {
  readonly type?: number;
  readonly bytes?: Uint8Array;
  readonly whole: boolean;
}

/** One end at work. */
export class Speaker {
  readonly said: Said[] = [];
  readonly heard: Heard[] = [];
  /** Nothing more will be said. */
  finished = false;
  readonly conn: Conn;
  readonly #part: Part;
  readonly #seed: number;
  readonly #settled: Promise<unknown>[] = [];
  #pieces = 0;

  constructor(conn: Conn, part: Part, seed: number) {
    this.conn = conn;
    this.#part = part;
    this.#seed = seed;
  }

  async write(): Promise<void> {
    await Promise.all(
      this.#part.writers.map(async (lines) => {
        for (const line of lines) await this.#line(line);
      }),
    );
    await Promise.all(this.#settled);
  }

  /** The last message: `listen` of the other end returns behind it. */
  finish(): void {
    this.finished = true;
    this.#say(TextMessage, Buffer.from('last'));
    void this.conn.send('last');
  }

  /** Hears all that `from` says; with `echo`, what comes to the handler is sent back. */
  async listen(from: Speaker, echo: boolean): Promise<void> {
    const { reads, receiveAfter } = this.#part;
    const over = (): boolean => from.finished && this.heard.length === from.said.length;
    while (!over()) {
      if (this.heard.length >= receiveAfter) return this.#receive(over, echo);
      await this.#read(reads[this.heard.length % reads.length]!);
    }
  }

  #say(type: number, ...pieces: Buffer[]): Said {
    const said = { type, pieces: pieces.map((piece) => Buffer.from(piece)) };
    this.said.push(said);
    return said;
  }

  /** Bytes, or ASCII, that nobody else says. */
  #piece(size: number, text: boolean): Buffer {
    const n = this.#seed + this.#pieces++;
    if (!text) return Buffer.alloc(size, Buffer.from([n, n >> 8, size, 0x99, size >> 8, 0, 1]));
    return Buffer.alloc(size, `${n},${size};`);
  }

  async #line({ way, text, awaited, sizes }: Line): Promise<void> {
    const { conn } = this;
    const type = text ? TextMessage : BinaryMessage;
    if (way === 'wait') for (let i = sizes[0]! % 7; i > 0; i--) await turn();
    else if (way === 'ping') this.#settled.push(conn.ping());
    else if (way === 'control') await conn.writeControl(PongMessage, 'unasked');
    else if (way === 'writer' || way === 'queued') await this.#stream(type, way, awaited, sizes);
    else {
      const piece = this.#piece(sizes[0]!, text || way === 'json');
      const written = this.#whole(way, type, piece);
      this.#settled.push(written);
      if (!awaited) return;
      await written;
      // The bytes are ours again.
      piece.fill(0xee);
    }
  }

  #whole(way: 'send' | 'prepared' | 'json', type: number, piece: Buffer): Promise<void> {
    const { conn } = this;
    if (way === 'json') {
      const text = piece.toString();
      this.#say(TextMessage, Buffer.from(JSON.stringify(text)));
      return conn.writeJSON(text);
    }
    this.#say(type, piece);
    if (way === 'prepared') return conn.writePreparedMessage(new PreparedMessage(type, piece));
    return conn.send(type === TextMessage ? piece.toString() : piece);
  }

  async #stream(
    type: number,
    way: 'writer' | 'queued',
    awaited: boolean,
    sizes: readonly number[],
  ): Promise<void> {
    const said = this.#say(type);
    const writer = await this.conn.nextWriter(type, { queue: way === 'queued' });
    for (const size of sizes) {
      const piece = this.#piece(size, type === TextMessage);
      const kept = Buffer.from(piece);
      // Another producer may have finished it by now: then it is not taken.
      const written = writer.write(type === TextMessage ? piece.toString() : piece).then(
        () => {
          said.pieces.push(kept);
          piece.fill(0xee);
        },
        (error: unknown) => expectClosed(error),
      );
      this.#settled.push(written);
      if (awaited) await written;
    }
    const closed = writer.close().catch(expectClosed);
    this.#settled.push(closed);
    if (awaited) await closed;
  }

  #hear(type: number, bytes: Uint8Array, whole = true): void {
    this.heard.push({ type, bytes: Uint8Array.from(bytes), whole });
  }

  async #read({ way, room, wait }: Read): Promise<void> {
    const { conn } = this;
    for (let i = 0; i < wait; i++) await turn();
    if (way === 'readMessage') {
      const { type, data } = await conn.readMessage();
      this.#hear(type, data);
    } else if (way === 'impatient' || way === 'aborted') {
      await this.#readSoftly(way);
    } else if (way === 'for await') {
      for await (const { type, data } of conn) {
        this.#hear(type, data);
        break;
      }
    } else if (way === 'readJSON') {
      try {
        this.#hear(TextMessage, Buffer.from(JSON.stringify(await conn.readJSON())));
      } catch (error) {
        if (!(error instanceof JSONError)) throw error;
        this.heard.push({ whole: false });
      }
    } else {
      await this.#readStream(way, room);
    }
  }

  /** Gives up as often as it takes. */
  async #readSoftly(way: 'impatient' | 'aborted'): Promise<void> {
    for (;;) {
      const abort = new AbortController();
      const options = way === 'impatient' ? { timeout: 1 } : { signal: abort.signal };
      const reading = this.conn.readMessage(options);
      if (way === 'aborted') void turn().then(() => abort.abort());
      try {
        const { type, data } = await reading;
        return this.#hear(type, data);
      } catch (error) {
        const { name, code } = error as { name: string; code: unknown };
        if (name !== 'AbortError' && code !== 'WS_ERR_TIMEOUT') throw error;
      }
    }
  }

  async #readStream(way: (typeof DRAINS)[number], room: number): Promise<void> {
    const reader = await this.conn.nextReader();
    const { type } = reader;
    const pieces: Uint8Array[] = [];
    let whole = true;
    if (way === 'bytes') pieces.push(await reader.bytes());
    else if (way === 'text') pieces.push(await textOf(type, reader));
    else if (way === 'iteration') for await (const piece of reader) pieces.push(piece);
    else if (way === 'readable') for await (const piece of reader.readable()) pieces.push(piece);
    else if (way === 'left') {
      whole = false;
      for await (const piece of reader) {
        pieces.push(piece);
        break;
      }
    } else {
      whole = way === 'read';
      const into = Buffer.alloc(room);
      for (let left = way === 'read' ? Infinity : 2; left > 0; left--) {
        const n = await reader.read(into);
        if (n === 0) break;
        pieces.push(Buffer.from(into.subarray(0, n)));
      }
    }
    this.#hear(type, Buffer.concat(pieces), whole);
  }

  /** Reads the rest by `receive`, which lasts until the connection ends; resolves when all is heard. */
  #receive(over: () => boolean, echo: boolean): Promise<void> {
    const { handling } = this.#part;
    return new Promise((resolve, reject) => {
      const handle = (message: BorrowedMessage): void | Promise<void> => {
        const turns = handling[this.heard.length % handling.length]!;
        if (turns > 0) return handleLater(message, turns);
        this.#take(message, echo);
        if (over()) resolve();
      };
      const handleLater = async (message: BorrowedMessage, turns: number): Promise<void> => {
        for (let i = 0; i < turns; i++) await turn();
        this.#take(message, echo);
        if (over()) resolve();
      };
      this.conn.receive(handle).catch(reject);
    });
  }

  #take(message: BorrowedMessage, echo: boolean): void {
    this.#hear(message.type, message.data);
    if (!echo) return;
    this.#say(message.type, Buffer.from(message.data));
    // Not awaited: the handler is done before they have left.
    this.#settled.push(this.conn.send(message));
  }
}

function expectClosed(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'WS_ERR_WRITE_CLOSED') throw error;
}

async function textOf(
  type: number,
  reader: { text(): Promise<string>; bytes(): Promise<Uint8Array> },
): Promise<Uint8Array> {
  return type === TextMessage ? Buffer.from(await reader.text()) : reader.bytes();
}

/**
 * Holds what was heard against what was said: each message once, in order.
 *
 * @throws Error that names the first difference.
 */
export function compare(from: Speaker, to: Speaker): void {
  const { said } = from;
  const { heard } = to;
  if (said.length !== heard.length) throw new Error(`${heard.length} of ${said.length} messages`);
  for (const [i, { type, pieces }] of said.entries()) {
    const { type: heardType, bytes, whole } = heard[i]!;
    const all = Buffer.concat(pieces);
    if (bytes === undefined) continue;
    if (type !== heardType) throw new Error(`message ${i}: of another type`);
    const same = all.subarray(0, whole ? all.length : bytes.length).equals(bytes);
    if (!same) throw new Error(`message ${i}: ${bytes.length} bytes for ${all.length} differ`);
  }
}
