import { Duplex } from 'node:stream';
import { acceptOf, type Field, headText, withoutField } from './handshake.ts';
import { fieldOf, type Head, parseHead } from './head.ts';
import { encodeFields } from './hpack.ts';
import { CANCEL, DATA, END_STREAM, RST_STREAM, WINDOW_UPDATE } from './http2-frames.ts';

/** Fields of a request over HTTP/1.1 that a stream does not have (RFC 8441, 5). */
const OF_HTTP_1 = ['Host', 'Upgrade', 'Connection', 'Sec-WebSocket-Key'];

interface PendingWrite {
  readonly bytes: Uint8Array;
  readonly done: () => void;
}

/** What a stream needs of its session. */
export interface StreamSession {
  readonly scheme: string;
  readonly ended: boolean;
  readonly maxFrame: number;
  sendWindow: number;
  send(type: number, flags: number, stream: number, payload?: Uint8Array, done?: () => void): void;
  sendWord(type: number, stream: number, word: number): void;
  sendHeaders(stream: Http2Stream, block: Uint8Array, request: { fields: readonly Field[] }): void;
}

/**
 * One stream as the suite's connection. Without a request, it takes the text of a handshake over
 * HTTP/1.1, sends it by the rules of RFC 8441, and returns the answer as text: the cases of other
 * chapters see no difference.
 */
export class Http2Stream extends Duplex {
  /** Number of the stream; 0 before its request. */
  id = 0;
  /** Bytes that the target takes, and that it may send. */
  sendWindow = 0;
  receiveWindow = 0;
  /** Fields of the answer, with `:status`. */
  answer: readonly Field[] | undefined;
  /** Whether the target has ended its side. */
  targetEnded = false;
  /** Code of the target's RST_STREAM. */
  resetCode: number | undefined;
  /** Whether the stream was reset, or its session ended. */
  isReset = false;
  readonly #session: StreamSession;
  #request: Buffer | undefined = Buffer.alloc(0);
  /** Key of the request as text; undefined for a request of fields. */
  #key: string | undefined;
  readonly #pending: PendingWrite[] = [];
  #owed = 0;

  constructor(session: StreamSession) {
    super({ allowHalfOpen: true, autoDestroy: false });
    this.#session = session;
    this.on('error', () => {});
  }

  /** Status of the answer; 0 without one. */
  get status(): number {
    return Number(this.answer?.find(([name]) => name === ':status')?.[1] ?? 0);
  }

  /** As a socket has it. */
  setNoDelay(): void {}

  /** Resets the stream with CANCEL. */
  resetAndDestroy(): void {
    this.#session.sendWord(RST_STREAM, this.id, CANCEL);
    this.destroy();
  }

  /** Sends what the windows admit. */
  flush(): void {
    const session = this.#session;
    while (this.#pending.length > 0 && !session.ended) {
      const { bytes, done } = this.#pending[0]!;
      const size = Math.min(bytes.length, this.sendWindow, session.sendWindow, session.maxFrame);
      if (size <= 0 && bytes.length > 0) return;
      this.sendWindow -= size;
      session.sendWindow -= size;
      const isLast = size === bytes.length;
      if (isLast) this.#pending.shift();
      else this.#pending[0] = { bytes: bytes.subarray(size), done };
      session.send(DATA, 0, this.id, bytes.subarray(0, size), isLast ? done : undefined);
    }
  }

  receiveFields(fields: readonly Field[]): void {
    const status = fields.find(([name]) => name === ':status')?.[1];
    // HTTP/2 has no 101 (RFC 9113, 8.6).
    const isInformational = status !== '101' && status?.startsWith('1') === true;
    if (this.answer !== undefined || isInformational) return;
    this.answer = fields;
    if (this.#key !== undefined) this.push(answerText(fields, this.#key), 'latin1');
  }

  /** @param size - Bytes of the frame's payload, with its padding. */
  receiveData(bytes: Buffer, size: number): void {
    if (this.isReset || this.targetEnded) return;
    this.#owed += size;
    if (bytes.length === 0 || this.push(bytes)) this.#giveBack();
  }

  receiveEnd(): void {
    if (this.isReset || this.targetEnded) return;
    this.targetEnded = true;
    this.push(null);
  }

  /** @param code - Undefined: the session has ended. */
  receiveReset(code: number | undefined): void {
    if (this.isReset) return;
    this.isReset = true;
    this.resetCode = code;
    if (!this.targetEnded) this.destroy(new Error('reset'));
    for (const { done } of this.#pending.splice(0)) done();
  }

  override _read(): void {
    this.#giveBack();
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    if (this.isReset) return done();
    let bytes = chunk;
    if (this.id === 0) {
      const request = Buffer.concat([this.#request ?? Buffer.alloc(0), chunk]);
      const end = request.indexOf('\r\n\r\n') + 4;
      this.#request = request;
      if (end < 4) return done();
      this.#request = undefined;
      this.#sendRequest(parseHead(request.subarray(0, end).toString('latin1')));
      bytes = request.subarray(end);
    }
    if (bytes.length === 0 && chunk.length > 0) return done();
    this.#pending.push({ bytes, done });
    this.flush();
  }

  override _final(done: () => void): void {
    if (this.id !== 0 && !this.isReset) this.#session.send(DATA, END_STREAM, this.id);
    done();
  }

  #sendRequest(head: Head): void {
    this.#key = fieldOf(head, 'Sec-WebSocket-Key') ?? '';
    const { scheme } = this.#session;
    const fields: Field[] = [
      [':method', 'CONNECT'],
      [':protocol', 'websocket'],
      [':scheme', scheme],
      [':authority', fieldOf(head, 'Host') ?? ''],
      [':path', head.start.split(' ')[1] ?? ''],
      ...OF_HTTP_1.reduce(withoutField, [...head.fields]).map(
        ([name, value]): Field => [name.toLowerCase(), value],
      ),
    ];
    this.#session.sendHeaders(this, encodeFields(fields), { fields });
  }

  #giveBack(): void {
    const owed = this.#owed;
    if (owed === 0 || this.isReset || this.targetEnded) return;
    this.#owed = 0;
    this.receiveWindow += owed;
    this.#session.sendWord(WINDOW_UPDATE, this.id, owed);
  }
}

/** The answer as text over HTTP/1.1. A stream needs no fields that a 101 must have. */
function answerText(answer: readonly Field[], key: string): string {
  const fields = answer.filter(([name]) => !name.startsWith(':'));
  const status = answer.find(([name]) => name === ':status')?.[1];
  if (status !== '200') {
    // No status of the target becomes a 101.
    return headText(`HTTP/1.1 ${status === '101' ? '500 101 over HTTP/2' : `${status} `}`, fields);
  }
  return headText('HTTP/1.1 101 Switching Protocols', [
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Accept', acceptOf(key)],
    ...withoutField(fields, 'Sec-WebSocket-Accept'),
  ]);
}
