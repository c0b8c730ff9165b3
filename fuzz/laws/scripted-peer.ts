import {
  BinaryMessage,
  type BorrowedMessage,
  type Conn,
  JSONError,
  PongMessage,
  PreparedMessage,
  TextMessage,
} from '@ws/conn';
import { turn } from '@ws/tests';
import fc from 'fast-check';

// Scripts for two Conns: which messages they write, and in which ways they write and read.

const size = fc.oneof(
  { weight: 12, arbitrary: fc.nat(200) },
  { weight: 4, arbitrary: fc.integer({ min: 3_000, max: 9_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 65_560 }) },
  { weight: 1, arbitrary: fc.integer({ min: 70_000, max: 200_000 }) },
);

const WRITE_WAYS = [
  'send',
  'prepared',
  'json',
  'writer',
  'queued',
  'ping',
  'control',
  'wait',
] as const;

/** A message to write. */
export interface WriteStep {
  readonly way: (typeof WRITE_WAYS)[number];
  readonly text: boolean;
  readonly awaited: boolean;
  readonly sizes: readonly number[];
}

const writeStep: fc.Arbitrary<WriteStep> = fc.record({
  way: fc.constantFrom(...WRITE_WAYS),
  text: fc.boolean(),
  awaited: fc.boolean(),
  sizes: fc.array(size, { minLength: 1, maxLength: 4 }),
});

const MESSAGE_READS = ['readMessage', 'timeout', 'aborted', 'for await', 'readJSON'] as const;
const STREAM_READS = ['read', 'iteration', 'readable', 'bytes', 'text', 'partly', 'left'] as const;

/** A way to read the next message. */
export interface ReadStep {
  readonly way: (typeof MESSAGE_READS)[number] | (typeof STREAM_READS)[number];
  /** Size in bytes of the array for `read`. */
  readonly room: number;
  /** Turns of the event loop before the read. */
  readonly wait: number;
}

const read: fc.Arbitrary<ReadStep> = fc.record({
  way: fc.constantFrom(...MESSAGE_READS, ...STREAM_READS),
  room: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 100_000 })),
  wait: fc.nat(4),
});

/** What one end writes and reads. */
export interface Script {
  /** The writers run concurrently. Each runs its steps in order. */
  readonly writers: readonly (readonly WriteStep[])[];
  readonly reads: readonly ReadStep[];
  /** Number of messages after which `receive` reads the rest. */
  readonly receiveAfter: number;
  /** Turns that the handler takes for each message; 0 for a synchronous handler. Repeats. */
  readonly handling: readonly number[];
}

export const script: fc.Arbitrary<Script> = fc.record({
  writers: fc.array(fc.array(writeStep, { maxLength: 6 }), { minLength: 1, maxLength: 3 }),
  reads: fc.array(read, { minLength: 1, maxLength: 5 }),
  receiveAfter: fc.nat(15),
  handling: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
});

/** A message, in the order of the calls. `pieces` holds the writes that were accepted so far. */
interface SentMessage {
  readonly type: number;
  readonly pieces: Buffer[];
}

/** A received message: complete, its beginning, or without bytes if they could not be read. */
interface ReceivedMessage {
  readonly type?: number;
  readonly bytes?: Uint8Array;
  readonly whole: boolean;
}

/** One end of the conversation. */
export class ScriptedPeer {
  readonly sent: SentMessage[] = [];
  readonly received: ReceivedMessage[] = [];
  /** No more messages follow. */
  finished = false;
  readonly conn: Conn;
  readonly #script: Script;
  readonly #seed: number;
  readonly #settled: Promise<unknown>[] = [];
  #pieces = 0;

  constructor(conn: Conn, script: Script, seed: number) {
    this.conn = conn;
    this.#script = script;
    this.#seed = seed;
  }

  async write(): Promise<void> {
    await Promise.all(
      this.#script.writers.map(async (steps) => {
        for (const writeStep of steps) await this.#writeStep(writeStep);
      }),
    );
    await Promise.all(this.#settled);
  }

  /** Sends the last message: `readAll` of the other end returns after it. */
  finish(): void {
    this.finished = true;
    this.#addSent(TextMessage, Buffer.from('last'));
    void this.conn.send('last');
  }

  /** Reads all messages of `from`. With `echo`, the handler sends its messages back. */
  async readAll(from: ScriptedPeer, echo: boolean): Promise<void> {
    const { reads, receiveAfter } = this.#script;
    const over = (): boolean => from.finished && this.received.length === from.sent.length;
    while (!over()) {
      if (this.received.length >= receiveAfter) return this.#receive(over, echo);
      await this.#read(reads[this.received.length % reads.length]!);
    }
  }

  #addSent(type: number, ...pieces: Buffer[]): SentMessage {
    const sent = { type, pieces: pieces.map((piece) => Buffer.from(piece)) };
    this.sent.push(sent);
    return sent;
  }

  /** Bytes or ASCII text that identify the message. */
  #piece(size: number, text: boolean): Buffer {
    const n = this.#seed + this.#pieces++;
    if (!text) return Buffer.alloc(size, Buffer.from([n, n >> 8, size, 0x99, size >> 8, 0, 1]));
    return Buffer.alloc(size, `${n},${size};`);
  }

  async #writeStep({ way, text, awaited, sizes }: WriteStep): Promise<void> {
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
      // After the write, the caller owns the bytes again.
      piece.fill(0xee);
    }
  }

  #whole(way: 'send' | 'prepared' | 'json', type: number, piece: Buffer): Promise<void> {
    const { conn } = this;
    if (way === 'json') {
      const text = piece.toString();
      this.#addSent(TextMessage, Buffer.from(JSON.stringify(text)));
      return conn.writeJSON(text);
    }
    this.#addSent(type, piece);
    if (way === 'prepared') return conn.writePreparedMessage(new PreparedMessage(type, piece));
    return conn.send(type === TextMessage ? piece.toString() : piece);
  }

  async #stream(
    type: number,
    way: 'writer' | 'queued',
    awaited: boolean,
    sizes: readonly number[],
  ): Promise<void> {
    const sent = this.#addSent(type);
    const writer = await this.conn.nextWriter(type, { queue: way === 'queued' });
    for (const size of sizes) {
      const piece = this.#piece(size, type === TextMessage);
      const kept = Buffer.from(piece);
      // Another writer may have finished this message: it rejects the write then.
      const written = writer.write(type === TextMessage ? piece.toString() : piece).then(
        () => {
          sent.pieces.push(kept);
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

  #addReceived(type: number, bytes: Uint8Array, whole = true): void {
    this.received.push({ type, bytes: Uint8Array.from(bytes), whole });
  }

  async #read({ way, room, wait }: ReadStep): Promise<void> {
    const { conn } = this;
    for (let i = 0; i < wait; i++) await turn();
    if (way === 'readMessage') {
      const { type, data } = await conn.readMessage();
      this.#addReceived(type, data);
    } else if (way === 'timeout' || way === 'aborted') {
      await this.#readWithRetries(way);
    } else if (way === 'for await') {
      for await (const { type, data } of conn) {
        this.#addReceived(type, data);
        break;
      }
    } else if (way === 'readJSON') {
      try {
        this.#addReceived(TextMessage, Buffer.from(JSON.stringify(await conn.readJSON())));
      } catch (error) {
        if (!(error instanceof JSONError)) throw error;
        this.received.push({ whole: false });
      }
    } else {
      await this.#readStream(way, room);
    }
  }

  /** Repeats a read that times out or is aborted until a message arrives. */
  async #readWithRetries(way: 'timeout' | 'aborted'): Promise<void> {
    for (;;) {
      const abort = new AbortController();
      const options = way === 'timeout' ? { timeout: 1 } : { signal: abort.signal };
      const reading = this.conn.readMessage(options);
      if (way === 'aborted') void turn().then(() => abort.abort());
      try {
        const { type, data } = await reading;
        return this.#addReceived(type, data);
      } catch (error) {
        const { name, code } = error as { name: string; code: unknown };
        if (name !== 'AbortError' && code !== 'WS_ERR_TIMEOUT') throw error;
      }
    }
  }

  async #readStream(way: (typeof STREAM_READS)[number], room: number): Promise<void> {
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
    this.#addReceived(type, Buffer.concat(pieces), whole);
  }

  /** Reads the rest with `receive`. Resolves after the last message, before `receive` does. */
  #receive(over: () => boolean, echo: boolean): Promise<void> {
    const { handling } = this.#script;
    return new Promise((resolve, reject) => {
      const handle = (message: BorrowedMessage): void | Promise<void> => {
        const turns = handling[this.received.length % handling.length]!;
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
    this.#addReceived(message.type, message.data);
    if (!echo) return;
    this.#addSent(message.type, Buffer.from(message.data));
    // Not awaited: the handler returns before the message has left.
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
 * Checks that each sent message was received once, in order.
 *
 * @throws Error for the first difference.
 */
export function checkReceived(from: ScriptedPeer, to: ScriptedPeer): void {
  const { sent } = from;
  const { received } = to;
  if (sent.length !== received.length)
    throw new Error(`${received.length} of ${sent.length} messages`);
  for (const [i, { type, pieces }] of sent.entries()) {
    const { type: receivedType, bytes, whole } = received[i]!;
    const all = Buffer.concat(pieces);
    if (bytes === undefined) continue;
    if (type !== receivedType)
      throw new Error(`message ${i}: type ${receivedType} instead of ${type}`);
    const same = all.subarray(0, whole ? all.length : bytes.length).equals(bytes);
    if (!same) throw new Error(`message ${i}: ${bytes.length} bytes for ${all.length} differ`);
  }
}
