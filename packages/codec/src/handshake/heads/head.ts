import { checkOptionNames, whole } from '../../arguments.ts';
import { isBytes, lengthOf, viewOf } from '../../byte-facts.ts';
import { NO_BYTES } from '../../memory/slab.ts';
import { COLON, CR, endOf, isOf, LF, lowerCase, SPACE, TAB, TEXT, TOKEN } from '../byte-class.ts';
import { hasToken } from '../token-list.ts';

/** The result of `push`: the head continues, is complete, or is malformed. */
export type HeadVerdict = 'more' | 'done' | 'fault';

/** Why a head was refused. */
export interface HeadFault {
  /** 431 for a head over a limit, 400 for a malformed one. */
  readonly status: 400 | 431;
  /** Names the fault. Contains nothing of the peer's bytes. */
  readonly message: string;
  /** None. With this field a fault has the type of a `Refusal`. */
  readonly headers?: undefined;
}

/** Limits of a head. */
export interface HeadLimits {
  /** Most bytes of the whole head, with its empty line. Default 16 KiB; 64 KiB of a response. */
  maxBytes?: number;
  /** Most header lines. Default 100; a response has a bound of bytes only. */
  maxLines?: number;
}

// The states of a head. Each byte is read once, in order, so that cuts change nothing.
const START_LINE = 0;
const START_LINE_LF = 1;
const LINE = 2;
const NAME = 3;
const BEFORE_VALUE = 4;
const VALUE = 5;
const VALUE_LF = 6;
const LAST_LF = 7;

/** Bounds of a header line: start and end of its name, start and end of its value. */
const BOUNDS_PER_LINE = 4;
/**
 * First size in bytes of the memory for a head that was cut. V8 allocates larger arrays outside its
 * heap, which costs 200 bytes each.
 */
const FIRST_BLOCK = 64;
/** No line. */
const NONE = -1;
/** Most arguments of one call: engines bound them by their stack. */
const MAX_ARGUMENTS = 8192;

/**
 * Reads the start line and the header lines of HTTP/1.1, strictly: lines end in CRLF, no folded
 * lines, no space around a name, no control characters. What node:http refuses is refused here.
 *
 * See {@link RequestHead} and {@link ResponseHead}.
 *
 * @see RFC 9112, sections 2 to 5
 */
export abstract class Head {
  #state = START_LINE;
  #done = false;
  #fault: HeadFault | undefined = undefined;
  #headEnd = 0;
  /** The bytes of the head: a chunk that contains the whole head, or memory of this object. */
  #bytes: Uint8Array = NO_BYTES;
  /** Number of bytes of the head in earlier chunks. */
  #size = 0;
  /**
   * Indexes in the head, {@link BOUNDS_PER_LINE} for each header line. Dropped between the chunks of
   * a head that was cut, because they take more memory than its bytes.
   */
  readonly #bounds: number[] = [];
  /** Number of bounds; 0 until the head is complete. */
  #boundCount = 0;
  /** Number of header lines so far. */
  #lines = 0;
  /** Index of the first header line. */
  #linesStart = 0;
  /** Whether the rest of the start line is text, as a reason phrase is. A subclass sets it. */
  protected isInText = false;
  /** End of the current value without white space. */
  #valueEnd = 0;
  readonly #maxBytes: number;
  readonly #maxLines: number;

  /** @throws TypeError or RangeError that names the invalid limit. */
  constructor(
    owner: string,
    limits: HeadLimits,
    names: readonly string[],
    defaults: Required<HeadLimits>,
  ) {
    checkOptionNames(owner, limits, names);
    const { maxBytes = defaults.maxBytes, maxLines = defaults.maxLines } = limits;
    this.#maxBytes = whole('maxBytes', maxBytes);
    this.#maxLines = whole('maxLines', maxLines);
  }

  /** Why `push` returned `'fault'`; undefined otherwise. */
  get fault(): HeadFault | undefined {
    return this.#fault;
  }

  /**
   * Index in the last pushed chunk of the first byte after the head: the frames begin there. 0 until
   * `push` has returned `'done'`.
   */
  get end(): number {
    return this.#headEnd;
  }

  /**
   * Reads the next bytes of the stream. Each byte is read once, and a cut at any place changes
   * nothing.
   *
   * @param chunk - Not changed. The head refers to a chunk that contains the whole head: do not
   *   change it while you use the head. A head of several chunks is copied, to at most `maxBytes`
   *   bytes.
   * @returns `'more'` while the head is incomplete, `'done'` once it is complete, `'fault'` at the
   *   first byte that breaks the grammar or a limit. After `'done'` and `'fault'`, further calls
   *   read nothing and return the same.
   * @throws TypeError when `chunk` is not a Uint8Array. Never for the bytes of the peer.
   */
  push(chunk: Uint8Array): HeadVerdict {
    if (!isBytes(chunk)) throw new TypeError('chunk must be a Uint8Array');
    if (this.#done || this.#fault !== undefined) return this.#verdict();
    const last = Math.min(lengthOf(chunk), this.#maxBytes - this.#size);
    const at = this.#readBytes(chunk, 0, last);
    if (this.#verdict() === 'more' && this.#size + at === this.#maxBytes) {
      this.fail(`the head is larger than ${this.#maxBytes} bytes`, 431);
    }
    if (this.#fault === undefined) this.#keep(chunk, at);
    if (this.#done) this.#finish(at);
    else this.#bounds.length = 0;
    return this.#verdict();
  }

  /** Reads bytes of a chunk to the end of the head, a fault or `last`. Returns where it stopped. */
  #readBytes(chunk: Uint8Array, from: number, last: number): number {
    const before = this.#size;
    let at = from;
    while (at < last && !this.#done && this.#fault === undefined) {
      switch (this.#state) {
        case START_LINE:
          if (!this.readStartLine(chunk[at]!, before + at)) this.fail('malformed start line');
          else if (chunk[at] === CR) this.#state = START_LINE_LF;
          else if (this.isInText) at = endOf(TEXT, chunk, at + 1, last) - 1;
          at++;
          break;
        case START_LINE_LF:
          this.#expectLf(chunk[at++]!, LINE);
          this.#linesStart = before + at;
          break;
        case LINE:
          if (chunk[at] === CR) {
            this.#state = LAST_LF;
            at++;
          } else this.#beginLine(chunk[at]!, before + at);
          break;
        case NAME:
          at = endOf(TOKEN, chunk, at, last);
          if (at === last) break;
          if (chunk[at] !== COLON) this.fail('malformed header name');
          this.#bounds.push(before + at++);
          this.#state = BEFORE_VALUE;
          break;
        case BEFORE_VALUE:
          while (at < last && (chunk[at] === SPACE || chunk[at] === TAB)) at++;
          if (at === last) break;
          this.#valueEnd = before + at;
          this.#bounds.push(this.#valueEnd);
          this.#state = VALUE;
          break;
        case VALUE:
          at = this.#readValue(chunk, at, last);
          break;
        case VALUE_LF:
          this.#expectLf(chunk[at++]!, LINE);
          break;
        case LAST_LF:
          this.#expectLf(chunk[at++]!, LAST_LF);
          this.#done = this.#fault === undefined;
          break;
      }
    }
    return at;
  }

  #verdict(): HeadVerdict {
    if (this.#fault !== undefined) return 'fault';
    return this.#done ? 'done' : 'more';
  }

  /** Whether the field occurs. `name` ignores case. */
  has(name: string): boolean {
    return this.#next(name, 0) !== NONE;
  }

  /** The value of a field that occurs exactly once, otherwise undefined. `name` ignores case. */
  once(name: string): string | undefined {
    const line = this.#next(name, 0);
    if (line === NONE || this.#next(name, line + BOUNDS_PER_LINE) !== NONE) return undefined;
    return this.#value(line);
  }

  /**
   * The value of every line of the field, in order, without the white space around it. One character
   * for each byte (Latin-1). `name` ignores case.
   */
  lines(name: string): string[] {
    return this.#find(name).map((line) => this.#value(line));
  }

  /** The field as one list over all its lines, joined with `', '`; `''` when it is missing. */
  list(name: string): string {
    const line = this.#next(name, 0);
    if (line === NONE) return '';
    const isOnly = this.#next(name, line + BOUNDS_PER_LINE) === NONE;
    return isOnly ? this.#value(line) : this.lines(name).join(', ');
  }

  /** Name and value of every header line, in order. Names are in their original case. */
  all(): [name: string, value: string][] {
    const all: [string, string][] = [];
    for (let line = 0; line < this.#boundCount; line += BOUNDS_PER_LINE) {
      const name = this.text(this.#bounds[line]!, this.#bounds[line + 1]!);
      all.push([name, this.#value(line)]);
    }
    return all;
  }

  /**
   * Whether `Upgrade` lists `websocket` and `Connection` lists `upgrade` (RFC 6455, sections 4.1 and
   * 4.2.1). It checks nothing else.
   */
  get wantsWebSocket(): boolean {
    return (
      hasToken(this.list('connection'), 'upgrade') && hasToken(this.list('upgrade'), 'websocket')
    );
  }

  /**
   * Whether node:http on llhttp before 9.4, as in Node 20, finds no `upgrade` in `Connection`: a tab
   * comes after it. Code that shares a connection with that parser has to agree with it.
   */
  get hidesUpgrade(): boolean {
    return !this.#find('connection').some((line) => {
      let end = this.#bounds[line + 3]!;
      while (this.#bytes[end] !== CR) end++;
      return /(?:^|,)[ \t]*upgrade *(?:,|$)/i.test(this.text(this.#bounds[line + 2]!, end));
    });
  }

  /** Reads a byte of the start line. It ends at the CR that the grammar allows. */
  protected abstract readStartLine(byte: number, at: number): boolean;

  /** Checks the complete head. Calls {@link fail} for a fault. */
  protected abstract check(): void;

  /** Bytes `[start, end)` of the head, one character for each byte. Empty until it is complete. */
  protected text(start: number, end: number): string {
    if (!this.#done) return '';
    // A Buffer of Node reads Latin-1 three to eight times as fast as code here.
    const bytes: Uint8Array & { latin1Slice?(start: number, end: number): string } = this.#bytes;
    if (bytes.latin1Slice !== undefined) return bytes.latin1Slice(start, end);
    const middle = start + MAX_ARGUMENTS;
    if (end > middle) return this.text(start, middle) + this.text(middle, end);
    const codes: ArrayLike<number> = viewOf(bytes, start, end);
    return String.fromCharCode.apply(undefined, codes as number[]);
  }

  /** Keeps the first fault. */
  protected fail(message: string, status: 400 | 431 = 400): void {
    this.#done = false;
    this.#boundCount = 0;
    this.#fault ??= { status, message };
    this.#bytes = NO_BYTES;
  }

  #expectLf(byte: number, next: number): void {
    if (byte === LF) this.#state = next;
    else this.fail('a line does not end in CRLF');
  }

  #beginLine(byte: number, at: number): void {
    if (!isOf(TOKEN, byte)) {
      this.fail('malformed header name');
    } else if (this.#lines === this.#maxLines) {
      this.fail(`the head has more than ${this.#maxLines} lines`, 431);
    } else {
      this.#lines++;
      this.#bounds.push(at);
      this.#state = NAME;
    }
  }

  /** Reads the bytes of a value, and its CR. */
  #readValue(chunk: Uint8Array, at: number, last: number): number {
    const next = endOf(TEXT, chunk, at, last);
    let end = next;
    while (end > at && (chunk[end - 1] === SPACE || chunk[end - 1] === TAB)) end--;
    if (end > at) this.#valueEnd = this.#size + end;
    if (next === last) return last;
    if (chunk[next] !== CR) this.fail('malformed header value');
    this.#bounds.push(this.#valueEnd);
    this.#state = VALUE_LF;
    return next + 1;
  }

  /** Keeps the first `length` bytes of a chunk: by reference when they are a whole head. */
  #keep(chunk: Uint8Array, length: number): void {
    if (this.#done && this.#size === 0) {
      this.#bytes = chunk;
      return;
    }
    const size = this.#size + length;
    if (size > this.#bytes.length) {
      const room = Math.max(size, 2 * this.#bytes.length, FIRST_BLOCK);
      const larger = new Uint8Array(Math.min(room, this.#maxBytes));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes.set(viewOf(chunk, 0, length), this.#size);
    this.#size = size;
    if (this.#done) this.#findBounds();
  }

  /** Reads the header lines of a head that was cut again. */
  #findBounds(): void {
    const size = this.#size;
    this.#size = 0;
    this.#lines = 0;
    this.#done = false;
    this.#state = LINE;
    this.#bounds.length = 0;
    this.#readBytes(this.#bytes, this.#linesStart, size);
  }

  #finish(at: number): void {
    this.#boundCount = this.#bounds.length;
    if (this.hasUnclearBody()) this.fail('the length of the body is not clear');
    else this.check();
    if (this.#done) this.#headEnd = at;
  }

  /** Two readers may disagree about such a body, which is request smuggling. */
  protected hasUnclearBody(): boolean {
    const lengths = this.#find('content-length');
    const codings = this.lines('transfer-encoding');
    if (lengths.length + codings.length > 1) return true;
    if (codings.length === 1) return codings[0]!.toLowerCase() !== 'chunked';
    return lengths.length === 1 && !this.#isLength(lengths[0]!);
  }

  /** Digits, and spaces after them: node:http refuses a tab there. */
  #isLength(line: number): boolean {
    let end = this.#bounds[line + 3]!;
    while (this.#bytes[end] === SPACE) end++;
    return this.#bytes[end] === CR && /^\d{1,15}$/.test(this.#value(line));
  }

  /** Returns the first bound of each line of a field, as an index in `#bounds`. */
  #find(name: string): number[] {
    const found: number[] = [];
    let line = this.#next(name, 0);
    while (line !== NONE) {
      found.push(line);
      line = this.#next(name, line + BOUNDS_PER_LINE);
    }
    return found;
  }

  /** Returns the first bound of the next line of a field, from `line` on; {@link NONE} without one. */
  #next(name: string, line: number): number {
    for (; line < this.#boundCount; line += BOUNDS_PER_LINE) {
      const length = this.#bounds[line + 1]! - this.#bounds[line]!;
      if (length === name.length && this.#isNamed(line, name)) return line;
    }
    return NONE;
  }

  /** Whether the name of a line, of equal length, is `name`. */
  #isNamed(line: number, name: string): boolean {
    const start = this.#bounds[line]!;
    for (let i = 0; i < name.length; i++) {
      const byte = this.#bytes[start + i]!;
      const code = name.charCodeAt(i);
      if (byte !== code && lowerCase(byte) !== lowerCase(code)) return false;
    }
    return true;
  }

  #value(line: number): string {
    return this.text(this.#bounds[line + 2]!, this.#bounds[line + 3]!);
  }
}
