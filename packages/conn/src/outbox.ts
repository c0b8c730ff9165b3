import {
  CloseMessage,
  encodeFrame,
  FrameEncoder,
  FrameHeader,
  PingMessage,
  PongMessage,
  type Role,
  type SlabSource,
  utf8Length,
  type WebSocketError,
} from '@ws/codec';
import { copyOf } from './copy.ts';
import { RSV1 } from './deflate/engine.ts';
import { BackpressureError, CloseSentError, TransportError } from './errors.ts';
import { NOBODY } from './free-list.ts';
import { type Host, lentBy, viewOf } from './host.ts';
import { joinedFrames, type Run, type Sharer } from './joined-frames.ts';
import { leaseOf } from './lease.ts';
import type { DataType } from './message.ts';
import type { Settings } from './options.ts';
import { Deferred, done, rejected } from './promises.ts';
import type { Transport } from './transport.ts';

/** Unmasked payloads above this are referenced, not copied: a copy into the slab wins below it. */
export const BORROW_FROM = 65_536;
/** What waits in one turn is handed to the transport at this size already: the largest slab is full then. */
const FLUSH_AT = 65_536;
/** After this much in one turn of the event loop a write resolves in a later one, so that timers and I/O get theirs. */
const TURN_BYTES = 1_048_576;
const TURN_FRAMES = 1_000;
/** A byte that is compressed takes as long as so many that are not. */
const DEFLATE_COST = 8;
const FIN = 0x80;

const header = /* @__PURE__ */ new FrameHeader();

/** What the outbox asks of its connection, and counts with it. */
export interface OutboxOwner {
  /** Frames, messages, bytes and pings accepted. */
  framesOut: number;
  messagesOut: number;
  bytesOut: number;
  pingsOut: number;
  readonly conn: object;
  readonly transport: Transport;
  /** Something waits: call `flush` at the end of the turn. */
  flushLater(): void;
  /** It will call `flush` at the end of the turn in any case. */
  readonly flushes: boolean;
  /** There may be nothing left to do. */
  rest(): void;
  /** What was to be sent is gone: the stream of frames cannot go on. */
  abort(error: WebSocketError): void;
}

/**
 * What leaves: frames in the order in which they were accepted, gathered in slabs and handed to the transport once a
 * turn. While the transport is above its mark they wait here, where pings and pongs can pass them between two frames.
 *
 * Frames that others send as well stand in a run, in memory of all of them. It is there only as long as nothing else waits:
 * whatever comes behind it first takes it into a slab of our own.
 */
export class Outbox implements Sharer {
  /** Why nothing is accepted any more. */
  error: WebSocketError | undefined;

  #owner: OutboxOwner = NOBODY;
  #transport: Transport = NOBODY;
  readonly #encoder: FrameEncoder;
  /** Something was given to the encoder that may still be there: with many connections, each look at it is a long way. */
  #encoded = false;
  /** What waits, when it is shared; the encoder is empty then, and the transport is not blocked. */
  #run: Run | undefined;
  readonly #host: Host;
  readonly #settings: Settings;
  /** The next masking key; undefined on a server, which masks nothing. */
  readonly #nextKey: (() => number) | undefined;
  /** The transport is above its mark; `#drains` counts how often it said that it is below. */
  #blocked = false;
  #drains = 0;
  #writing = false;
  /** Control frames that wait for a blocked transport; there are at most two pongs among them. */
  #controls: { opcode: number; payload: Uint8Array; own: boolean }[] = [];
  /** What all writes above the high-water mark are told by: they end together, and there may be a million of them. */
  #waiter: Deferred<void> | undefined;
  /** Writes whose bytes the transport refers to. */
  #referenced: Set<Deferred<void>> | undefined;
  #turnBytes = 0;
  #turnFrames = 0;
  #nextTurn: Deferred<void> | undefined;
  /** Set while writes are dropped: their bytes are free, but they were not sent. */
  #cutting: WebSocketError | undefined;
  /** Why the next write fails: a write deadline that has struck. */
  #expired: WebSocketError | undefined;
  #ending = false;
  #ended = false;

  constructor(role: Role, host: Host, settings: Settings, pool: SlabSource) {
    this.#host = host;
    this.#settings = settings;
    this.#nextKey = role === 'client' ? lentBy(host).nextKey : undefined;
    this.#encoder = new FrameEncoder({
      role,
      pool,
      slabBytes: settings.writeBufferSize,
      borrowFrom: BORROW_FROM,
      writeUtf8: lentBy(host).writeUtf8,
      nextKey: this.#nextKey,
    });
  }

  /** Works for `owner` from here on. */
  serve(owner: OutboxOwner): void {
    this.#owner = owner;
    this.#transport = owner.transport;
  }

  /** Whether all that was accepted is the transport's, and nobody waits for it. */
  get atRest(): boolean {
    return (
      !this.unsent &&
      !this.#blocked &&
      !this.#writing &&
      this.error === undefined &&
      this.#controls.length === 0 &&
      this.#waiter === undefined &&
      this.#referenced === undefined &&
      this.#nextTurn === undefined
    );
  }

  /** Leaves its owner. */
  leaveOwner(): void {
    this.#owner = NOBODY;
    this.#transport = NOBODY;
    this.#turnBytes = 0;
    this.#turnFrames = 0;
  }

  /** Bytes accepted and not yet handed to the operating system. */
  get bufferedAmount(): number {
    return this.#waiting + this.#transport.bufferedAmount;
  }

  /** Whether something waits for {@link flush}. */
  get pending(): boolean {
    return this.unsent && !this.#blocked;
  }

  /** Whether something waits that the transport has not been given. */
  get unsent(): boolean {
    return this.#waiting > 0;
  }

  /** Bytes accepted that the transport has not been given. */
  get #waiting(): number {
    if (this.#run !== undefined) return this.#run.size;
    return this.#encoded ? this.#encoder.pending : 0;
  }

  /** A whole message of text; `owed`: it was accepted before, only the end of the connection refuses it. */
  text(opcode: DataType, text: string, owed = false): Promise<void> {
    const refusal = owed ? this.refused() : this.refusal(text.length, text, 0);
    if (refusal !== undefined) return refusal;
    const sent = this.#accepted(this.#frames().text(opcode, true, 0, text));
    this.#host.watch?.messageOut?.(this.#owner.conn, opcode, utf8Length(text));
    return sent;
  }

  /** A whole message of `bytes[start, end)`; `owed`: as in {@link text}. */
  message(
    opcode: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    owed = false,
  ): Promise<void> {
    const size = end - start;
    const refusal = owed ? this.refused() : this.refusal(size, undefined, 0);
    if (refusal !== undefined) return refusal;
    const sent =
      size > BORROW_FROM && this.#nextKey === undefined
        ? this.#reference(opcode, bytes, start, end)
        : this.#accepted(this.#frames().frame(opcode, true, 0, bytes, start, end));
    this.#host.watch?.messageOut?.(this.#owner.conn, opcode, size);
    return sent;
  }

  /** A whole message of `plain` bytes, compressed: `bytes[start, end)`, which nobody writes to when they are many. */
  compressed(
    opcode: DataType,
    bytes: Uint8Array,
    start: number,
    end: number,
    plain: number,
  ): Promise<void> {
    const refused = this.refused();
    if (refused !== undefined) return refused;
    this.#turnBytes += plain * DEFLATE_COST;
    const sent = this.#accepted(this.#frames().frame(opcode, true, RSV1, bytes, start, end));
    this.#host.watch?.messageOut?.(this.#owner.conn, opcode, plain);
    return sent;
  }

  /**
   * A whole message of `plain` bytes that is accepted already, and that others send as well: `payload`, or with `rsv` that
   * of its compressed form. Nobody writes to it. Where it is not masked and waits behind nothing of our own, it is
   * serialized once for all.
   */
  shared(opcode: DataType, payload: Uint8Array, rsv: number, plain: number): Promise<void> {
    const before = this.#run;
    const { length } = payload;
    const alone = this.#nextKey !== undefined || this.#blocked || length > BORROW_FROM;
    if (alone || (before === undefined && this.#waiting > 0)) {
      return rsv === 0
        ? this.message(opcode, payload, 0, length, true)
        : this.compressed(opcode, payload, 0, length, plain);
    }
    if (rsv !== 0) this.#turnBytes += plain * DEFLATE_COST;
    const joined = joinedFrames(this.#host);
    const run = joined.extend(before, FIN | rsv | opcode, payload);
    this.#run = run;
    if (before === undefined) joined.flushLater(this);
    const sent = this.#accepted(run.size - (before === undefined ? 0 : before.size));
    this.#host.watch?.messageOut?.(this.#owner.conn, opcode, plain);
    return sent;
  }

  /** The encoder, to be appended to. */
  #frames(): FrameEncoder {
    if (this.#run !== undefined) this.#takeRun();
    this.#encoded = true;
    return this.#encoder;
  }

  /** What is shared becomes our own, so that more can follow it in one write: all of it, or what the pool throws. */
  #takeRun(): void {
    const bytes = this.#run!.view(this.#host);
    try {
      for (let at = 0; at < bytes.length; at += header.length) {
        at += header.read(bytes, at);
        const { opcode, rsv, length } = header;
        this.#encoder.frame(opcode, true, rsv, bytes, at, at + length);
      }
    } catch (error) {
      this.#encoder.discard();
      throw error;
    }
    this.#run = undefined;
    // Also when what was to follow it cannot.
    this.#owner.flushLater();
  }

  /** A fragment of a message that is written as a stream; of a compressed one, of `plain` bytes. */
  fragment(
    opcode: number,
    fin: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
    plain = 0,
    rsv = 0,
  ): Promise<void> {
    this.#turnBytes += plain * DEFLATE_COST;
    // The encoder would refer to large ones, and a writer uses its buffer again at once.
    const copied = end - start > BORROW_FROM && this.#nextKey === undefined;
    if (!copied) return this.#paced(this.#frames().frame(opcode, fin, rsv, bytes, start, end));
    return this.#paced(this.#frames().frame(opcode, fin, rsv, copyOf(bytes, start, end)));
  }

  /** The last fragment of a message of `bytes` was accepted. */
  complete(type: number, bytes: number): void {
    this.#owner.messagesOut++;
    this.#host.watch?.messageOut?.(this.#owner.conn, type, bytes);
  }

  /**
   * A ping or a pong; `own`: the library's own, of which nobody hears when it fails, so that the connection does. While
   * the transport is blocked it passes all that waits, and only the newest pong is kept, of the answers and of the user's.
   */
  control(
    opcode: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    own = false,
  ): Promise<void> {
    if (!this.open) return rejected(this.error);
    if (!this.#blocked) {
      try {
        this.#count(opcode, this.#frames().frame(opcode, true, 0, bytes, start, end));
      } catch (error) {
        if (own) this.#owner.abort(unwritten(error));
        else this.#owner.rest();
        return rejected(error);
      }
      if (this.#encoder.pending >= FLUSH_AT) this.#write();
      else this.#owner.flushLater();
      return done;
    }
    if (opcode === PongMessage) {
      // 5.5.3: only the most recent ping need be answered.
      this.#controls = this.#controls.filter((waiting) => {
        return waiting.opcode !== PongMessage || waiting.own !== own;
      });
    } else if (this.#controls.length > this.#settings.maxPendingPings) {
      return rejected(
        new BackpressureError(`${this.#controls.length} pings wait for the peer already`),
      );
    }
    this.#controls.push({ opcode, payload: copyOf(bytes, start, end), own });
    return done;
  }

  /**
   * The close frame, after all that was accepted; nothing is accepted after it (RFC 6455, section 5.5.1). False when there
   * is no buffer for it: then the connection fails.
   */
  close(payload: Uint8Array): boolean {
    try {
      this.#count(CloseMessage, this.#frames().frame(CloseMessage, true, 0, payload));
    } catch (error) {
      this.error = unwritten(error);
      this.#owner.abort(this.error);
      return false;
    }
    this.error = new CloseSentError();
    this.#owner.flushLater();
    return true;
  }

  /** Hands everything that waits to the transport, as far as it takes it. */
  flush(): void {
    this.#turnBytes = 0;
    this.#turnFrames = 0;
    this.#write();
  }

  /** The end of a turn in which something was shared. The owner may have something to add to that write. */
  flushRun(): void {
    // Whoever sent it may have left meanwhile.
    if (this.#run === undefined || this.#owner.flushes) return;
    this.flush();
    this.#owner.rest();
  }

  /** The transport is below its mark again. */
  drained(): void {
    this.#drains++;
    this.#blocked = false;
    this.#write();
    this.#settle();
  }

  /** Whether control frames are accepted: also while a write deadline is past. */
  get open(): boolean {
    return this.error === undefined || this.error === this.#expired;
  }

  /** The write deadline is past: what waits has failed, and so will the next write. `undefined`: it was moved. */
  expire(error: WebSocketError | undefined, waiting: number): void {
    if (this.error !== this.#expired) return;
    this.#expired = error;
    this.error = error;
    if (error !== undefined && this.bufferedAmount + waiting > 0) this.#owner.abort(error);
  }

  /** Nothing more is accepted. */
  refuse(error: WebSocketError): void {
    // A deadline that has struck lets control frames pass, and can be moved: not any more.
    this.#expired = undefined;
    this.error ??= error;
  }

  /** Ends the transport's writing side after all that was accepted. */
  end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#write();
  }

  /**
   * Drops what waits behind a blocked transport and rejects those who wait for it, save the rest of a frame of which a
   * part has gone already.
   */
  cut(error: WebSocketError): void {
    this.#write();
    this.#controls = [];
    this.#cutting = error;
    this.#encoder.truncate();
    this.#cutting = undefined;
    this.#rejectWaiting(error);
  }

  /** The transport is gone: everything waiting is rejected, and its memory given back. */
  destroy(error: WebSocketError): void {
    this.refuse(error);
    this.#controls = [];
    this.#blocked = true;
    this.#rejectWaiting(error);
    for (const written of this.#referenced ?? []) written.reject(error);
    this.#referenced = undefined;
    this.#run = undefined;
    this.#encoder.discard();
  }

  #count(opcode: number, encoded: number): void {
    const owner = this.#owner;
    owner.framesOut++;
    if (opcode === PingMessage) owner.pingsOut++;
    owner.bytesOut += encoded;
  }

  /**
   * A rejected promise when a write of `size` bytes (of text: of UTF-16 units) cannot be accepted, with `waiting` bytes
   * ahead of it that are not here yet.
   */
  refusal(size: number, text: string | undefined, waiting: number): Promise<void> | undefined {
    const refused = this.refused();
    if (refused !== undefined) return refused;
    const limit = this.#settings.maxBufferedAmount;
    const bytes = text === undefined ? size : size * 3;
    if (bytes + waiting + this.#waiting <= limit && !this.#blocked) return undefined;
    this.#write();
    const buffered = this.bufferedAmount + waiting;
    // Below the mark a message of any size is taken: who awaits every write never meets the limit.
    const low =
      buffered === 0 ||
      (buffered < this.#settings.highWaterMark && this.#settings.highWaterMark <= limit);
    if (low || buffered + bytes <= limit) return undefined;
    const exact = text === undefined ? size : utf8Length(text);
    if (buffered + exact <= limit) return undefined;
    return rejected(
      new BackpressureError(
        `${buffered} bytes wait already and ${exact} more would pass maxBufferedAmount (${limit}); await your writes`,
      ),
    );
  }

  /** A rejected promise when nothing is accepted any more. */
  refused(): Promise<void> | undefined {
    const { error } = this;
    if (error === undefined) return undefined;
    // The write that comes too late is what breaks the stream, not the deadline.
    if (error === this.#expired) this.#owner.abort(error);
    return rejected(error);
  }

  #reference(opcode: DataType, bytes: Uint8Array, start: number, end: number): Promise<void> {
    const written = new Deferred<void>();
    const lease = leaseOf(bytes);
    const release = (): void => {
      lease?.release();
      if (this.#cutting !== undefined) written.reject(this.#cutting);
      // A transport that dies gives all bytes back first and says so then: by the next microtask the write is rejected.
      void done.then(() => {
        written.resolve();
        if (this.#referenced?.delete(written) !== true || this.#referenced.size > 0) return;
        this.#referenced = undefined;
        this.#owner.rest();
      });
    };
    const encoded = this.#frames().frame(opcode, true, 0, bytes, start, end, release);
    lease?.pin();
    this.#referenced ??= new Set();
    this.#referenced.add(written);
    void this.#accepted(encoded);
    return written.promise;
  }

  #accepted(encoded: number): Promise<void> {
    this.#owner.messagesOut++;
    return this.#paced(encoded);
  }

  /** A frame was accepted: what its writer is told. */
  #paced(encoded: number): Promise<void> {
    const owner = this.#owner;
    owner.framesOut++;
    owner.bytesOut += encoded;
    this.#turnFrames++;
    this.#turnBytes += encoded;
    if (this.#waiting >= FLUSH_AT) this.#write();
    else if (!this.#blocked && this.#run === undefined) this.#owner.flushLater();
    if (this.#blocked && this.bufferedAmount >= this.#settings.highWaterMark) {
      this.#waiter ??= new Deferred<void>();
      return this.#waiter.promise;
    }
    if (this.#turnFrames < TURN_FRAMES && this.#turnBytes < TURN_BYTES) return done;
    return this.#inNextTurn();
  }

  #inNextTurn(): Promise<void> {
    if (this.#nextTurn === undefined) {
      const turn = new Deferred<void>();
      this.#nextTurn = turn;
      this.#host.yield(() => {
        this.#nextTurn = undefined;
        this.#turnBytes = 0;
        this.#turnFrames = 0;
        turn.resolve();
        this.#owner.rest();
      });
    }
    return this.#nextTurn.promise;
  }

  #write(): void {
    // A transport may drain or close within `write`: the loop that is at work sees it.
    if (this.#writing) return;
    this.#writing = true;
    try {
      if (!this.#blocked && (this.unsent || this.#controls.length > 0)) this.#writeSegments();
      if (!this.#ending || this.#ended || this.#blocked || this.unsent) return;
      this.#ended = true;
      this.#transport.end();
    } catch (error) {
      // A part of what it was given may have left: nothing may follow it.
      this.#owner.abort(unwritten(error));
    } finally {
      this.#writing = false;
    }
  }

  #writeSegments(): void {
    const encoder = this.#encoder;
    const transport = this.#transport;
    const run = this.#run;
    if (run !== undefined) {
      const shared = run.view(this.#host);
      this.#run = undefined;
      if (transport.bufferedAmount === 0) return this.#give(shared);
      // One that is slow gets a copy: each shared piece that it holds would keep a whole room alive.
      return this.#give(viewOf(this.#host, copyOf(shared), 0, shared.length));
    }
    const joined = encoder.segments > 1;
    if (joined) transport.cork?.();
    while (!this.#blocked && encoder.segments > 0) {
      if (this.#controls.length > 0 && encoder.segStartsFrame(0)) this.#writeControls();
      else this.#writeSegment();
    }
    if (!this.#blocked && this.#controls.length > 0) this.#writeControls();
    if (joined) transport.uncork?.();
    this.#encoded = encoder.pending > 0;
  }

  #writeSegment(): void {
    const encoder = this.#encoder;
    const bytes = encoder.segBuf(0);
    const start = encoder.segStart(0);
    const end = encoder.segEnd(0);
    const release = encoder.segRelease(0);
    encoder.shift(1);
    if (end <= bytes.byteLength) {
      this.#give(viewOf(this.#host, bytes, start, end), release);
      return;
    }
    // For good: nothing is sent any more.
    this.#cutting = new TransportError(
      'bytes of a pending write were detached; leave them alone until its promise settles',
    );
    release?.();
    this.#owner.abort(this.#cutting);
  }

  #give(bytes: Uint8Array, release?: () => void): void {
    const drains = this.#drains;
    if (!this.#transport.write(bytes, release) && this.#drains === drains) this.#blocked = true;
  }

  #writeControls(): void {
    const waiting = this.#controls;
    this.#controls = [];
    for (const { opcode, payload } of waiting) {
      const frame = encodeFrame(opcode, payload, { maskKey: this.#nextKey?.() });
      this.#count(opcode, frame.length);
      this.#give(frame);
    }
  }

  #settle(): void {
    if (this.#blocked && this.bufferedAmount >= this.#settings.highWaterMark) return;
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve();
  }

  #rejectWaiting(error: WebSocketError): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.reject(error);
  }
}

/** What ends a connection whose frame found no buffer, or no way to the transport. */
function unwritten(cause: unknown): TransportError {
  return new TransportError('a frame could not be written', { cause });
}
