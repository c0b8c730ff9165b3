import type { Duplex } from 'node:stream';
import type { Attempt } from '../model/attempt.ts';
import { TimedOut } from '../model/verdicts.ts';
import { ByteQueue } from './bytes.ts';
import type { Field } from './handshake.ts';
import { decodeFields, encodeFields } from './hpack.ts';
import {
  ACK,
  CONTINUATION,
  DATA,
  ENABLE_PUSH,
  END_HEADERS,
  END_STREAM,
  GOAWAY,
  HEADER_TABLE_SIZE,
  HEADERS,
  INITIAL_WINDOW_SIZE,
  MAX_FRAME_SIZE,
  PADDED,
  PING,
  PUSH_PROMISE,
  RST_STREAM,
  SETTINGS,
  type Setting,
  WINDOW_UPDATE,
  WITH_PRIORITY,
} from './http2-frames.ts';
import { Http2Stream, type StreamSession } from './http2-stream.ts';
import type { Peer } from './peer.ts';

const NAMES =
  'DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION'.split(
    ' ',
  );

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_HEADER = 9;
/** Size of a payload in bytes that each end accepts, and window of the session at its start. */
const LEAST_FRAME = 16_384;
const FIRST_WINDOW = 65_535;
const MAX_WINDOW = 2 ** 31 - 1;
/** Bytes that the target may send on a stream which is not read. */
const WINDOW = 1024 * 1024;

/** A received frame. */
interface ReceivedFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** The client's end of an HTTP/2 session. It sends any frames, and obeys the windows of the target. */
export class Http2Session implements StreamSession {
  readonly attempt: Attempt;
  readonly connection: number;
  /** Value of `:scheme` in requests. */
  readonly scheme: 'http' | 'https';
  /** As {@link Peer.tls}. */
  tls: Peer['tls'];
  /** Settings of the target by their identifiers. */
  readonly settings: Map<number, number> = new Map();
  /** Type of the first received frame. */
  firstFrame: number | undefined;
  /** Error code of the target's GOAWAY. */
  goaway: number | undefined;
  /** True when no more frames come. */
  ended = false;
  /** Number of acknowledged SETTINGS, and of answered pings. */
  readonly acknowledged: { settings: number; pings: number } = { settings: 0, pings: 0 };
  /** Bytes that the target takes on all streams. */
  sendWindow: number = FIRST_WINDOW;
  readonly #socket: Duplex;
  readonly #queue = new ByteQueue();
  readonly #streams = new Map<number, Http2Stream>();
  #window = WINDOW;
  #nextStream = 1;
  #block: { readonly stream: number; readonly end: boolean; readonly parts: Buffer[] } | undefined;
  #waiting: (() => void)[] = [];

  constructor(
    socket: Duplex,
    attempt: Attempt,
    connection: number,
    scheme: Http2Session['scheme'],
  ) {
    this.#socket = socket;
    this.scheme = scheme;
    this.attempt = attempt;
    this.connection = connection;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.resume();
    for (const event of ['end', 'error', 'close']) socket.on(event, () => this.#end());
  }

  /** Sends the preface with SETTINGS: no dynamic table for the target, no pushes, and `settings`. */
  start(settings: readonly Setting[] = []): void {
    this.#socket.write(PREFACE);
    const own: Setting[] = [
      [HEADER_TABLE_SIZE, 0],
      [ENABLE_PUSH, 0],
      [INITIAL_WINDOW_SIZE, WINDOW],
    ];
    this.sendSettings([...own, ...settings]);
    this.sendWord(WINDOW_UPDATE, 0, MAX_WINDOW - FIRST_WINDOW);
  }

  /** Sends any frame. `done` is called when the kernel has it. */
  send(
    type: number,
    flags: number,
    stream: number,
    payload: Uint8Array = new Uint8Array(0),
    done?: () => void,
  ): void {
    const head = Buffer.alloc(FRAME_HEADER);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    if (type !== DATA || flags !== 0) {
      this.#note(`we send ${NAMES[type] ?? `type ${type}`}, stream ${stream}, flags ${flags}`);
    }
    if (this.#socket.writable) {
      this.#socket.cork();
      this.#socket.write(head);
      this.#socket.write(payload, done);
      this.#socket.uncork();
    } else done?.();
  }

  /** Sends a frame whose payload is one number of 32 bits: an error code, or an increment. */
  sendWord(type: number, stream: number, value: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(value);
    this.send(type, 0, stream, payload);
  }

  sendSettings(settings: readonly Setting[]): void {
    const payload = Buffer.alloc(6 * settings.length);
    settings.forEach(([id, value], at) => {
      payload.writeUInt16BE(id, 6 * at);
      payload.writeUInt32BE(value, 6 * at + 2);
      if (id === INITIAL_WINDOW_SIZE) this.#window = value;
    });
    this.send(SETTINGS, 0, 0, payload);
  }

  sendGoaway(code: number): void {
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(code, 4);
    this.send(GOAWAY, 0, 0, payload);
  }

  /** Creates a stream without a request. */
  stream(): Http2Stream {
    return new Http2Stream(this);
  }

  /** Creates a stream and sends its request. */
  request(fields: readonly Field[], end = false): Http2Stream {
    const stream = this.stream();
    this.sendHeaders(stream, encodeFields(fields), { end, fields });
    return stream;
  }

  /**
   * Sends a header block as HEADERS and CONTINUATION, and gives the stream its number.
   *
   * @param options - `end`: with END_STREAM. `size`: of a frame, in bytes. `fields`: for the transcript.
   */
  sendHeaders(
    stream: Http2Stream,
    block: Buffer,
    {
      end = false,
      size = LEAST_FRAME,
      fields = [],
    }: { end?: boolean; size?: number; fields?: readonly Field[] } = {},
  ): void {
    this.join(stream);
    this.#note(`request: ${fieldsText(fields)}`);
    for (let at = 0; at === 0 || at < block.length; at += size) {
      const last = at + size >= block.length ? END_HEADERS : 0;
      const flags = at === 0 && end ? last | END_STREAM : last;
      this.send(at === 0 ? HEADERS : CONTINUATION, flags, stream.id, block.subarray(at, at + size));
    }
  }

  /** Gives a stream its number. */
  join(stream: Http2Stream): void {
    if (stream.id !== 0) return;
    stream.id = this.#nextStream;
    this.#nextStream += 2;
    stream.sendWindow = this.settings.get(INITIAL_WINDOW_SIZE) ?? FIRST_WINDOW;
    stream.receiveWindow = this.#window;
    this.#streams.set(stream.id, stream);
  }

  /** Largest payload that the target accepts. */
  get maxFrame(): number {
    return Math.min(this.settings.get(MAX_FRAME_SIZE) ?? LEAST_FRAME, 4 * LEAST_FRAME);
  }

  /**
   * Waits until `holds`, or until the session has ended.
   *
   * @returns False after `ms`. Default: a timeout is a Violation.
   */
  async until(holds: () => boolean, awaited: string, ms?: number): Promise<boolean> {
    const until = performance.now() + (ms ?? this.attempt.timeout);
    while (!holds() && !this.ended) {
      const left = until - performance.now();
      if (left > 0) await this.#progress(left);
      else if (ms === undefined) {
        throw new TimedOut(`timeout after ${this.attempt.timeout} ms, waiting for ${awaited}`);
      } else return false;
    }
    return true;
  }

  #progress(ms: number): Promise<void> {
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.#waiting.push(() => {
        clearTimeout(timer);
        done();
      });
    });
  }

  /** Destroys the connection below. */
  destroy(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.attempt.progressed();
    this.#queue.push(chunk);
    while (this.#queue.length >= FRAME_HEADER && !this.ended) {
      const head = this.#queue.peek(FRAME_HEADER);
      const length = head.readUIntBE(0, 3);
      if (length > LEAST_FRAME) return this.#fail(`the target sent a frame of ${length} bytes`);
      if (this.#queue.length < FRAME_HEADER + length) break;
      const bytes = this.#queue.take(FRAME_HEADER + length);
      const stream = bytes.readUInt32BE(5) & MAX_WINDOW;
      const frame = { type: bytes[3]!, flags: bytes[4]!, stream };
      this.#frame({ ...frame, payload: bytes.subarray(FRAME_HEADER) });
    }
    this.#wake();
  }

  #frame(frame: ReceivedFrame): void {
    const { type, flags, stream, payload } = frame;
    this.firstFrame ??= type;
    const target = this.#streams.get(stream);
    switch (type) {
      case DATA:
        return this.#data(frame, target);
      case HEADERS: {
        const parts = [withoutPadding(frame)];
        this.#block = { stream, end: (flags & END_STREAM) !== 0, parts };
        return this.#blockEnd(flags);
      }
      case CONTINUATION:
        this.#block?.parts.push(payload);
        return this.#blockEnd(flags);
      case RST_STREAM:
        this.#note(`RST_STREAM, stream ${stream}, code ${payload.readUInt32BE()}`);
        return target?.receiveReset(payload.readUInt32BE());
      case SETTINGS:
        return (flags & ACK) === 0 ? this.#settings(payload) : void this.acknowledged.settings++;
      case PING:
        if ((flags & ACK) === 0) this.send(PING, ACK, 0, payload);
        else this.acknowledged.pings++;
        return;
      case GOAWAY:
        this.goaway = payload.readUInt32BE(4);
        return this.#note(`GOAWAY, code ${this.goaway}`);
      case WINDOW_UPDATE:
        if (stream === 0) this.sendWindow += payload.readUInt32BE();
        else if (target !== undefined) target.sendWindow += payload.readUInt32BE();
        for (const one of this.#streams.values()) one.flush();
        return;
      case PUSH_PROMISE:
        return this.#fail('the target pushes, which our settings forbid');
      default:
    }
  }

  #data(frame: ReceivedFrame, target: Http2Stream | undefined): void {
    const { payload, flags, stream } = frame;
    if (payload.length > 0) this.sendWord(WINDOW_UPDATE, 0, payload.length);
    if (target === undefined) return this.#fail(`the target sent DATA on stream ${stream}`);
    target.receiveWindow -= payload.length;
    if (target.receiveWindow < 0) return this.#fail('the target sent more than the window');
    target.receiveData(withoutPadding(frame), payload.length);
    if ((flags & END_STREAM) !== 0) target.receiveEnd();
  }

  #blockEnd(flags: number): void {
    const block = this.#block;
    if ((flags & END_HEADERS) === 0 || block === undefined) return;
    this.#block = undefined;
    try {
      const fields = decodeFields(Buffer.concat(block.parts));
      this.#note(`answer on stream ${block.stream}: ${fieldsText(fields)}`);
      this.#streams.get(block.stream)?.receiveFields(fields);
    } catch (error) {
      return this.#fail((error as Error).message);
    }
    if (block.end) this.#streams.get(block.stream)?.receiveEnd();
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const [id, value] = [payload.readUInt16BE(at), payload.readUInt32BE(at + 2)];
      if (id === INITIAL_WINDOW_SIZE) {
        const change = value - (this.settings.get(id) ?? FIRST_WINDOW);
        for (const stream of this.#streams.values()) stream.sendWindow += change;
      }
      this.settings.set(id, value);
    }
    this.send(SETTINGS, ACK, 0);
    for (const stream of this.#streams.values()) stream.flush();
  }

  /** Ends the session for a fault of the target. */
  #fail(fault: string): void {
    this.#note(`${fault}; we drop the connection`);
    this.#end();
    this.#socket.destroy();
  }

  #end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#note('the connection ended');
    for (const stream of this.#streams.values()) stream.receiveReset(undefined);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  #note(text: string): void {
    this.attempt.transcript.event(this.connection, `HTTP/2: ${text}`);
  }
}

/** Maximum length of fields in a transcript line, in characters. */
const MAX_TEXT = 600;

function fieldsText(fields: readonly Field[]): string {
  const text = fields.map(([name, value]) => `${name} ${value}`).join('; ');
  return text.slice(0, MAX_TEXT).replaceAll(/[^\x20-\x7e]/g, '\u00b7');
}

/** Payload without the padding and the priority (RFC 9113, 6.1 and 6.2). */
function withoutPadding({ type, flags, payload }: ReceivedFrame): Buffer {
  const isPadded = (flags & PADDED) !== 0;
  const start = (isPadded ? 1 : 0) + (type === HEADERS && (flags & WITH_PRIORITY) !== 0 ? 5 : 0);
  return payload.subarray(start, isPadded ? payload.length - payload[0]! : payload.length);
}
