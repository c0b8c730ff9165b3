import {
  BackpressureError,
  BinaryMessage,
  type BorrowedMessage,
  type Conn,
  type Message,
  type MessageReader,
  type MessageWriter,
  PongMessage,
  type WaitOptions,
  WebSocketError,
} from '@ws/conn';
import * as states from '../../packages/codec/src/endpoint/states.ts';
import { STATE_NAMES } from '../../packages/codec/test/endpoint/state-names.ts';
import type { FakePlatform } from '../kit/index.ts';
import type { End } from './commands.ts';
import { ABORTED, THROWN } from './scene.ts';

/** A message, in the order of the calls. Its promise decides its fate. */
export interface SentMessage {
  bytes: Buffer;
  /** Also the bytes of writes that were rejected: the peer may have received a part of them. */
  offered: Buffer;
  fate: 'pending' | 'accepted' | 'rejected';
}

/** A message that was read. Without `whole`, its reader rejected after these bytes. */
export interface ReceivedMessage {
  readonly bytes: Buffer;
  whole: boolean;
}

/** A message that is read as a stream, between two reads. */
interface OpenReader {
  readonly reader: MessageReader;
  bytes: Buffer;
}

const STATES = ['open', 'closing', 'closed'] as const;

/** A Conn with the state of its model: messages sent, messages received, and close code. */
export class ModelConn {
  readonly sent: SentMessage[] = [];
  readonly received: ReceivedMessage[] = [];
  readonly conn: Conn;
  writer: { readonly writer: Promise<MessageWriter>; readonly sent: SentMessage } | undefined;
  /** Code of the first `close` call in the state open. */
  closeCode: number | undefined;
  /** The pending read. */
  reading: Promise<void> | undefined;
  readsEnded = false;
  /** A read deadline was set: messages may be missing. */
  hasDeadline = false;
  /** A write that was not awaited failed with a BackpressureError: the connection fails. */
  overflowed = false;
  /** A handler has thrown, or the signal of a `close` has aborted: the connection fails. */
  failed = false;
  /** The first broken law that a handler has seen. */
  violation: string | undefined;
  /** The next call of a handler throws. */
  #throws = false;
  #hasThrown = false;
  /** Why no message may arrive any more. `''` while messages may arrive. */
  #stopped = '';
  /** {@link #stopped} after this turn: a message may have arrived before the call. */
  #stops = '';
  #closeHasSignal = false;
  #reader: OpenReader | undefined;
  /** The loop that reads. */
  #loop: AsyncIterator<Message, undefined> | undefined;
  #control = new AbortController();
  #state = 0;
  #machineState: states.State = states.OPEN;
  readonly #settled: Promise<unknown>[] = [];
  /** Promises that the model ignores until the end: the library marks them as handled. */
  readonly #ignored: Promise<unknown>[] = [];
  readonly #platform: FakePlatform;
  readonly #number: End;

  constructor(conn: Conn, platform: FakePlatform, number: End) {
    this.conn = conn;
    this.#platform = platform;
    this.#number = number;
  }

  /** Bytes that identify the message and its end. */
  piece(size: number): Buffer {
    const n = this.sent.length;
    return Buffer.alloc(size, Buffer.from([n, this.#number, size & 255, 0x99, size >> 8]));
  }

  /** Every other call has a signal. */
  wait(size: number): WaitOptions | undefined {
    return size % 2 === 0 ? undefined : { signal: this.#control.signal };
  }

  // Writing

  send(bytes: Buffer, write: (given: Buffer) => Promise<void>): void {
    const sent: SentMessage = { bytes: Buffer.from(bytes), offered: bytes, fate: 'pending' };
    this.sent.push(sent);
    this.#track(write(bytes), sent);
  }

  open(): void {
    const nothing = Buffer.alloc(0);
    const sent: SentMessage = { bytes: nothing, offered: nothing, fate: 'pending' };
    this.sent.push(sent);
    const before = this.writer?.sent;
    const writer = this.conn.nextWriter(BinaryMessage);
    this.writer = { writer, sent };
    writer.catch(() => {
      sent.fate = 'rejected';
    });
    // The new writer finishes the earlier message, unless the connection ends first.
    this.#track(writer, before);
  }

  write(size: number): void {
    const bytes = this.piece(size);
    this.#track(
      this.#withWriter(async (writer, sent) => {
        sent.offered = Buffer.concat([sent.offered, bytes]);
        await writer.write(bytes);
        sent.bytes = Buffer.concat([sent.bytes, bytes]);
      }),
    );
  }

  finish(): void {
    this.#track(
      this.#withWriter((writer) => writer.close()),
      this.writer?.sent,
    );
    this.writer = undefined;
  }

  abortWriter(): void {
    this.#track(
      this.#withWriter(async (writer, sent) => {
        sent.fate = 'rejected';
        writer.abort();
      }),
    );
    this.writer = undefined;
  }

  /** Calls `use` when the writer is ready. The calls keep their order. */
  async #withWriter(
    use: (writer: MessageWriter, sent: SentMessage) => Promise<void>,
  ): Promise<void> {
    if (this.writer === undefined) return;
    const { writer, sent } = this.writer;
    try {
      await use(await writer, sent);
    } catch (error) {
      this.overflowed ||= error instanceof BackpressureError;
      throw error;
    }
  }

  // Reading

  readMessage(size: number): void {
    this.#read(async () => {
      const { data } = await this.conn.readMessage(this.wait(size));
      this.#take(Buffer.from(data));
    });
  }

  readStream(size: number): void {
    this.#read(async () => {
      this.#take(Buffer.from(await (await this.conn.nextReader(this.wait(size))).bytes()));
    });
  }

  /** Opens a reader, or reads at most `size` bytes of the open one. */
  readPart(size: number): void {
    const open = this.#reader;
    if (open !== undefined && this.reading === undefined) {
      this.#pend(this.#readPart(open, new Uint8Array(size + 1)));
      return;
    }
    this.#read(async () => {
      this.#reader = {
        reader: await this.conn.nextReader(this.wait(size)),
        bytes: Buffer.alloc(0),
      };
    });
  }

  async #readPart(open: OpenReader, into: Uint8Array): Promise<void> {
    try {
      const n = await open.reader.read(into);
      open.bytes = Buffer.concat([open.bytes, into.subarray(0, n)]);
      if (n > 0) return this.#checkStopped();
    } catch (error) {
      this.#reader = undefined;
      this.received.push({ bytes: open.bytes, whole: false });
      throw error;
    }
    this.#reader = undefined;
    // A message that was read to its last byte may still report its end.
    this.received.push({ bytes: open.bytes, whole: true });
  }

  receive(): void {
    this.#read(async () => {
      await this.conn.receive((message) => this.#handle(message));
      this.readsEnded = true;
    });
  }

  /** A loop over all messages, until it is cancelled. */
  readLoop(): void {
    this.#read(async () => {
      const loop = this.conn[Symbol.asyncIterator]();
      this.#loop = loop;
      for await (const { data } of loop) this.#take(Buffer.from(data));
      this.readsEnded ||= this.#loop === loop;
    });
  }

  /** Handles every third message in a later turn, and every third one after a round trip. */
  #handle(message: BorrowedMessage): Promise<void> | undefined {
    const bytes = Buffer.from(message.borrow());
    this.#take(bytes);
    if (this.#throws) {
      this.#stopped = 'the handler of receive had thrown';
      this.#throw();
    }
    const waits = [
      () => undefined,
      () => new Promise<void>((resolve) => this.#platform.yield(resolve)),
      () => this.conn.ping().catch(() => {}),
    ];
    return waits[this.received.length % 3]!()?.then(() => {
      if (!bytes.equals(message.borrow()))
        this.violation ??= 'the bytes of a pending handler changed';
    });
  }

  #take(bytes: Buffer): void {
    this.#checkStopped();
    this.received.push({ bytes, whole: true });
  }

  #checkStopped(): void {
    if (this.#stopped !== '') this.violation ??= `a message arrived after ${this.#stopped}`;
  }

  /** Starts a read, unless one is pending: then another one must reject. */
  #read(read: () => Promise<void>): void {
    if (this.readsEnded) return;
    if (this.reading !== undefined) return this.#expectClash();
    const left = this.#reader;
    this.#reader = undefined;
    if (left === undefined) return this.#pend(read());
    const message = { bytes: left.bytes, whole: false };
    this.received.push(message);
    this.#pend(read());
    this.#track(this.#expectEnd(left.reader, message));
  }

  #expectClash(): void {
    const clash = this.conn.readMessage().then(() => {
      this.violation ??= 'a second read got a message';
    });
    this.#track(clash);
  }

  /** A later read has begun: the reader has no further bytes. At its end, its message is whole. */
  async #expectEnd(reader: MessageReader, message: ReceivedMessage): Promise<void> {
    const n = await reader.read(new Uint8Array(1));
    if (n > 0) this.violation ??= 'a reader continued after a later read';
    message.whole = true;
  }

  #pend(read: Promise<void>): void {
    this.reading = read.then(
      () => {
        this.reading = undefined;
      },
      (error: unknown) => {
        this.reading = undefined;
        this.readsEnded ||= error !== ABORTED;
        checkError(error);
      },
    );
    this.#settled.push(this.reading);
  }

  // Other calls

  ping(size: number): void {
    this.#ignored.push(this.conn.ping(undefined, this.wait(size)));
  }

  pong(): void {
    this.#ignored.push(this.conn.writeControl(PongMessage, 'unasked'));
  }

  setReadDeadline(size: number): void {
    if (size % 4 === 0) this.conn.setReadDeadline(null);
    else {
      this.hasDeadline = true;
      const past = size % 4 === 1;
      if (past && this.conn.state !== 'closed') this.#stops = 'the read deadline';
      this.conn.setReadDeadline(past ? 0 : Date.now() + size);
    }
  }

  setWriteDeadline(size: number): void {
    const clears = size % 3 === 0;
    const at = size % 3 === 1 ? 0 : Date.now() + size;
    this.conn.setWriteDeadline(clears ? null : at);
  }

  /** Aborts the signal of earlier calls. */
  cancel(): void {
    this.failed ||= this.#closeHasSignal;
    const loop = this.#loop;
    this.#loop = undefined;
    void loop?.return?.();
    this.#control.abort(ABORTED);
    this.#control = new AbortController();
    this.#closeHasSignal = false;
  }

  /** The next call of a handler throws. */
  failHandler(): void {
    this.#throws = true;
    this.conn.setPingHandler((payload) => {
      if (this.#throws) this.#throw();
      return this.conn.writeControl(PongMessage, payload);
    });
  }

  #throw(): never {
    this.#throws = false;
    this.#hasThrown = true;
    this.failed = true;
    throw THROWN;
  }

  close(code: number, size: number): void {
    if (this.conn.state === 'open') this.closeCode ??= code;
    const wait = this.wait(size);
    this.#closeHasSignal ||= wait !== undefined;
    this.#ignored.push(this.conn.close(code, 'enough', wait));
  }

  terminate(): void {
    this.conn.terminate();
    this.#stops = 'terminate';
  }

  /**
   * Checks the state after a turn: it never returns to an earlier one, each change follows the table of
   * the codec, and a failed handler ends the connection.
   */
  checkState(): void {
    this.#stopped ||= this.#stops;
    const now = STATES.indexOf(this.conn.state);
    if (now < this.#state) this.violation ??= 'the state returned to an earlier one';
    this.#state = now;
    const { state } = this.conn['@ws/internals'].connection.machine;
    if (!reached(this.#machineState).has(state)) {
      const [from, to] = [STATE_NAMES[this.#machineState], STATE_NAMES[state]];
      this.violation ??= `no way leads from ${from} to ${to}`;
    }
    this.#machineState = state;
    if (this.#hasThrown && now === 0) this.violation ??= 'open after a handler has thrown';
  }

  /** Resolves when every promise has settled. Rejects when one has a wrong error. */
  async settled(): Promise<void> {
    for (const promise of this.#ignored) this.#track(promise);
    await Promise.all(this.#settled);
  }

  /** Tracks a promise of the library: it must settle, and reject only with a known error. */
  #track(promise: Promise<unknown>, sent?: SentMessage): void {
    this.#settled.push(
      promise.then(
        () => {
          if (sent?.fate === 'pending') sent.fate = 'accepted';
        },
        (error: unknown) => {
          if (sent !== undefined) sent.fate = 'rejected';
          checkError(error);
        },
      ),
    );
  }
}

/** The states to which the table leads from a state, with that state. */
function reached(from: states.State): ReadonlySet<states.State> {
  const found = new Set<states.State>([from]);
  for (const state of found) {
    for (const cell of Object.values(states.TABLE[state]!)) found.add(cell.to);
  }
  return found;
}

function checkError(error: unknown): void {
  if (error === THROWN || error === ABORTED || error instanceof WebSocketError) return;
  throw new Error(`a promise rejected with ${String(error)}`, { cause: error });
}
