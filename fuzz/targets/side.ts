import { constants, deflateRawSync } from 'node:zlib';
import { encodeFrame } from '@ws/codec';
import type { BorrowedMessage, Conn, Message, Transport } from '@ws/conn';
import { naiveDecode, TestTransport } from '@ws/tests';
import { ensure, ensureSame } from '../harness/target.ts';

/** How a message travels. */
export interface Shape {
  readonly fragments: number;
  readonly compressed: boolean;
}

export type Way = 'readMessage' | 'nextReader' | 'receive' | 'for await';

interface Sent {
  readonly type: 1 | 2;
  readonly bytes: Buffer;
  /** Bytes of the stream up to the end of this message. */
  readonly endsAt: number;
}

const MASK_KEY = 0x1f2e3d4c;

/** One connection of a server, the stream of its peer, and a model of its messages. */
export class Side {
  /** Where the handlers of this side send their messages. */
  answers: Side | undefined;
  readonly #first: number;
  readonly #transport = new TestTransport();
  readonly #conn: Conn;
  /** Bytes that the peer has sent. The first `#delivered` have arrived. */
  #stream: Buffer = Buffer.alloc(0);
  #delivered = 0;
  readonly #sent: Sent[] = [];
  #read = 0;
  /** The last message whose stream was not read to its end. Its rest may never arrive. */
  #abandoned: Sent | undefined;
  /** The peer sends nothing more. */
  #peerDone = false;
  #eof = false;
  /** This end closes or terminates: messages may be dropped. */
  #drops = false;
  #reading: Promise<void> | undefined;
  #abort = new AbortController();
  #gates: (() => void)[] = [];
  readonly #written: { readonly bytes: Buffer; readonly type: number }[] = [];
  #failure: unknown;

  constructor(letter: string, make: (transport: Transport) => Conn) {
    this.#first = letter.charCodeAt(0);
    this.#conn = make(this.#transport);
  }

  // The peer

  sendMessage(size: number, { fragments, compressed }: Shape): void {
    if (this.#peerDone) return;
    const length = size < 128 ? size : (size - 127) ** 2 * 3;
    const bytes = Buffer.alloc(length, this.#letters(this.#sent.length));
    const type = size % 2 === 0 ? 2 : 1;
    const payload = compressed ? packed(bytes) : bytes;
    const step = Math.max(1, Math.ceil(payload.length / fragments));
    let at = 0;
    do {
      const end = Math.min(payload.length, at + step);
      const rsv = compressed && at === 0 ? 0x40 : 0;
      const fin = end === payload.length;
      const options = { fin, rsv, maskKey: MASK_KEY };
      this.#push(encodeFrame(at === 0 ? type : 0, payload.subarray(at, end), options));
      at = end;
    } while (at < payload.length);
    this.#sent.push({ type, bytes, endsAt: this.#stream.length });
  }

  sendPing(): void {
    if (!this.#peerDone) this.#push(encodeFrame(9, Buffer.from('ping'), { maskKey: MASK_KEY }));
  }

  /** The letters of this side, in an order that depends on the message. */
  #letters(index: number): Buffer {
    return Buffer.from(Array.from({ length: 26 }, (_, i) => this.#first + ((index * 7 + i) % 26)));
  }

  #push(frame: Uint8Array): void {
    this.#stream = Buffer.concat([this.#stream, frame]);
  }

  /** The next `size` bytes arrive as one chunk, also while the transport is paused. */
  deliver(size: number): void {
    const { closed, destroyed } = this.#transport;
    if (closed || destroyed || this.#eof) return;
    const end = Math.min(this.#stream.length, this.#delivered + size);
    const chunk = this.#stream.subarray(this.#delivered, end);
    this.#delivered = end;
    if (chunk.length > 0) this.#transport.feedLate(chunk);
  }

  /** Ends the connection in one of six ways. */
  end(how: number): void {
    switch (how % 6) {
      case 0:
        return this.#transport.break(new Error('reset'));
      case 1:
        return this.#transport.break();
      case 2:
        this.#peerDone = true;
        if (this.#eof || this.#transport.closed || this.#transport.destroyed) return;
        this.#eof = true;
        return this.#transport.sink!.end();
      case 3:
        if (this.#peerDone) return;
        this.#peerDone = true;
        return this.#push(encodeFrame(8, Uint8Array.of(3, 232), { maskKey: MASK_KEY }));
      case 4:
        this.#drops = true;
        return void this.#conn.close();
      default:
        this.#drops = true;
        this.#conn.terminate();
    }
  }

  /** Makes the peer read nothing, or everything. */
  stall(size: number): void {
    if (size % 2 === 0) this.#transport.block();
    else this.#transport.drain();
  }

  // The reader

  /** Starts to read, unless a read is under way. An odd `size`: each message waits for `open`. */
  start(way: Way, size: number): void {
    if (this.#reading !== undefined) return;
    const waits = size % 2 === 1;
    const over = (): void => {
      this.#reading = undefined;
    };
    this.#reading = this.#start(way, waits, size).then(over, over);
  }

  async #start(way: Way, waits: boolean, size: number): Promise<unknown> {
    const conn = this.#conn;
    switch (way) {
      case 'readMessage':
        this.#abort = new AbortController();
        return this.#take(await conn.readMessage({ signal: this.#abort.signal }), waits);
      case 'nextReader':
        return this.#readStream(size, waits);
      case 'receive':
        return conn.receive((message) => this.#take(message, waits));
      case 'for await':
        for await (const message of conn) await this.#take(message, waits);
        return undefined;
    }
  }

  /** Cancels a pending `readMessage`: it loses no message. */
  abort(): void {
    this.#abort.abort(new Error('aborted'));
  }

  /** Lets the reader finish with a message, or with all. */
  open(size: number): void {
    const count = size % 2 === 0 ? 1 : Infinity;
    for (const open of this.#gates.splice(0, count)) open();
  }

  async #take(message: Message | BorrowedMessage, waits: boolean): Promise<void> {
    const index = this.#read++;
    this.#compare(index, message);
    if (this.answers !== undefined) this.answers.#write(message, this.#sent[index]);
    if (!waits) return;
    await new Promise<void>((open) => this.#gates.push(open));
    // The bytes are the same until the reader has finished.
    this.#compare(index, message);
  }

  /** Reads a message in pieces, to its end or for a while. */
  async #readStream(size: number, waits: boolean): Promise<void> {
    const reader = await this.#conn.nextReader();
    const index = this.#read++;
    const into = new Uint8Array(1 + size * 20);
    const pieces: Buffer[] = [];
    const expected = this.#sent[index];
    try {
      for (let i = 0; size % 4 < 2 || i < size % 4; i++) {
        const count = await reader.read(into);
        if (count === 0) return this.#compareBytes(index, reader.type, Buffer.concat(pieces));
        pieces.push(Buffer.from(into.subarray(0, count)));
        if (waits) await new Promise<void>((open) => this.#gates.push(open));
      }
      this.#abandoned = expected;
      const begun = Buffer.concat(pieces);
      const start = expected?.bytes.subarray(0, begun.length);
      this.#note(() => ensure(start?.equals(begun) === true, `message ${index} begins as sent`));
    } catch {
      const arrived = expected !== undefined && expected.endsAt <= this.#delivered;
      this.#note(() => ensure(!arrived || this.#drops, `message ${index} can be read to its end`));
      // A message that was cut is not read.
      if (!arrived) this.#read--;
    }
  }

  #write(message: Message | BorrowedMessage, sent: Sent | undefined): void {
    if (sent === undefined) return;
    this.#conn.send(message, { compress: false }).catch(() => {});
    this.#written.push({ bytes: sent.bytes, type: sent.type });
  }

  #compare(index: number, message: Message | BorrowedMessage): void {
    const text = message.text();
    this.#compareBytes(index, message.type, Buffer.from(text));
    this.#compareBytes(index, message.type, message.data);
    if ('copy' in message) this.#compareBytes(index, message.type, message.copy().data);
  }

  #compareBytes(index: number, type: number, bytes: Uint8Array): void {
    const expected = this.#sent[index];
    this.#note(() => {
      ensure(expected !== undefined, `message ${index} was sent`);
      ensureSame(type, expected.type, `type of message ${index}`);
      ensureSame(bytes.length, expected.bytes.length, `length of message ${index}`);
      ensure(expected.bytes.equals(bytes), `message ${index} is as sent: ${String(bytes)}`);
    });
  }

  /** A handler that throws would only end its connection: the first failure is thrown at the end. */
  #note(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#failure ??= error;
    }
  }

  // The end

  /** Ends the connection and reads what is left. */
  async finish(settle: () => Promise<void>): Promise<void> {
    await settle();
    this.#transport.drain();
    if (!this.#transport.closed) this.#transport.break(new Error('the end'));
    await settle();
    await this.#readToEnd(settle);
    this.start('for await', 0);
    await this.#readToEnd(settle);
  }

  async #readToEnd(settle: () => Promise<void>): Promise<void> {
    while (this.#reading !== undefined) {
      this.open(1);
      await settle();
    }
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    const hasArrived = ({ endsAt }: Sent): boolean => endsAt <= this.#delivered;
    const arrived = this.#sent.filter(hasArrived).length;
    if (this.#abandoned !== undefined && !hasArrived(this.#abandoned)) this.#read--;
    if (this.#drops) ensure(this.#read <= arrived, 'only messages that arrived are read');
    else ensureSame(this.#read, arrived, 'messages read');
    const { frames } = naiveDecode(this.#transport.sent, 'client');
    const messages = frames.filter(({ opcode }) => opcode < 8);
    for (const [i, { opcode, payload }] of messages.entries()) {
      const written = this.#written[i];
      ensure(written !== undefined, `message ${i} on the wire was written`);
      ensureSame(opcode, written.type, `type of message ${i} on the wire`);
      ensure(written.bytes.equals(payload), `message ${i} on the wire is as written`);
    }
  }
}

/** Compressed payload of a message (RFC 7692, section 7.2.1). */
function packed(bytes: Uint8Array): Buffer {
  const finishFlush = constants.Z_SYNC_FLUSH;
  return deflateRawSync(bytes, { level: 1, finishFlush }).subarray(0, -4);
}
