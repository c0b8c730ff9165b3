import { NO_BYTES } from '@ws/codec/internal';
import { type History, type Inflater, InflateStatus } from '../platform/deflate-engine.ts';
import { HuffmanCode, INVALID, UNKNOWN } from './huffman-code.ts';

const { Done: DONE, More: MORE, Final: FINAL, Corrupt: CORRUPT } = InflateStatus;

const WINDOW = 32_768;
const MASK = WINDOW - 1;

/** The next part to read. */
const HEADER = 0;
const STORED_SIZE = 1;
const STORED_CHECK = 2;
const STORED = 3;
const CODE_COUNTS = 4;
const CODE_LENGTH_LENGTHS = 5;
const CODE_LENGTHS = 6;
const SYMBOL = 7;
const LENGTH_EXTRA = 8;
const DISTANCE = 9;
const DISTANCE_EXTRA = 10;
const COPY = 11;
const ENDED = 12;
const BROKEN = 13;

/** Results of a step, besides the statuses of `write`: call the next step, or wait for input. */
const NEXT = 10;
const STARVED = 11;
type Step = InflateStatus | typeof NEXT | typeof STARVED;

const END_OF_BLOCK = 256;
const MAX_LITERAL_CODES = 286;
const MAX_DISTANCE_CODES = 30;
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/**
 * Cost of the codes of a block, in plain bytes. Building them takes 2 to 6 us. With this cost a turn
 * of the `InflateBudget` takes 2 to 6 ms for blocks without output, as with zlib; without it, 15 to
 * 22 ms.
 */
const CODES_COST = 1_024;

/** An {@link Inflater} in plain JavaScript, for runtimes without zlib. */
export class PureInflater implements Inflater {
  used = 0;
  produced = 0;
  extraCost = 0;
  readonly #window = new Uint8Array(WINDOW);
  /** Plain bytes since the reset, with the history: the last ones are in the window. */
  #total = 0;
  #state = HEADER;
  /** Whether the current block is the last one of its stream. */
  #final = false;
  /** Whether the message has had input. */
  #begun = false;
  /** Input of which a part is used: the lowest `#count` bits. */
  #bits = 0;
  #count = 0;
  /** Bytes left of a stored block or of a match. */
  #left = 0;
  #distance = 0;
  /** The extra bits of the current length or distance. */
  #extra = 0;
  #literalCodes = 0;
  #allCodes = 0;
  #lengthCodes = 0;
  readonly #lengths = new Uint8Array(MAX_LITERAL_CODES + MAX_DISTANCE_CODES);
  #index = 0;
  readonly #lengthCode = new HuffmanCode(19);
  readonly #ownLiterals = new HuffmanCode(MAX_LITERAL_CODES);
  readonly #ownDistances = new HuffmanCode(MAX_DISTANCE_CODES);
  #literals = this.#ownLiterals;
  #distances = this.#ownDistances;
  /** The arguments of the current `write`. */
  #input: Uint8Array = NO_BYTES;
  #from = 0;
  #to = 0;
  #output: Uint8Array = NO_BYTES;
  #at = 0;
  #inputEnd = 0;

  reset(history: History | undefined): void {
    this.#state = HEADER;
    this.#begun = this.#final = false;
    this.#bits = this.#count = 0;
    this.#total = history?.length ?? 0;
    history?.copyTo(this.#window, 0);
  }

  write(
    input: Uint8Array,
    from: number,
    to: number,
    last: boolean,
    output: Uint8Array,
    at: number,
    end: number,
  ): InflateStatus {
    this.used = this.produced = this.extraCost = 0;
    // An empty message has no block that the tail could end.
    if (from === to && !this.#begun) return DONE;
    if (at === end) return MORE;
    this.#begun = true;
    this.#input = input;
    this.#from = from;
    this.#to = to;
    this.#output = output;
    this.#at = at;
    this.#inputEnd = end;
    const step = this.#run();
    this.used = this.#from - from;
    this.produced = this.#at - at;
    this.#input = this.#output = NO_BYTES;
    if (step === CORRUPT) this.#state = BROKEN;
    if (step !== STARVED) return step;
    if (this.#at === end) return MORE;
    return last ? this.#endMessage() : DONE;
  }

  close(): void {}

  /** Reads the 00 00 FF FF that the sender removed. A block must end there, without output. */
  #endMessage(): InflateStatus {
    this.#input = TAIL;
    this.#from = 0;
    this.#to = TAIL.length;
    this.#inputEnd = this.#at;
    const step = this.#run();
    this.#input = NO_BYTES;
    const whole = this.#from === TAIL.length;
    if (whole && step === FINAL) return FINAL;
    if (whole && step === STARVED && this.#state === HEADER && this.#count === 0) {
      this.#begun = false;
      return DONE;
    }
    this.#state = BROKEN;
    return CORRUPT;
  }

  /** Runs steps until one has a result, or needs input. */
  #run(): Exclude<Step, typeof NEXT> {
    for (;;) {
      const step = this.#step();
      if (step !== NEXT) return step;
    }
  }

  #step(): Step {
    switch (this.#state) {
      case HEADER:
        return this.#header();
      case STORED_SIZE:
        if (!this.#has(16)) return STARVED;
        this.#left = this.#take(16);
        this.#state = STORED_CHECK;
        return NEXT;
      case STORED_CHECK:
        if (!this.#has(16)) return STARVED;
        this.#state = STORED;
        return this.#take(16) === (~this.#left & 0xffff) ? NEXT : CORRUPT;
      case STORED:
        return this.#stored();
      case CODE_COUNTS:
        return this.#codeCounts();
      case CODE_LENGTH_LENGTHS:
        return this.#codeLengthLengths();
      case CODE_LENGTHS:
        return this.#codeLengths();
      case SYMBOL:
        return this.#symbols();
      case LENGTH_EXTRA:
        if (!this.#has(this.#extra)) return STARVED;
        this.#left += this.#take(this.#extra);
        this.#state = DISTANCE;
        return NEXT;
      case DISTANCE:
        return this.#distanceCode();
      case DISTANCE_EXTRA:
        if (!this.#has(this.#extra)) return STARVED;
        this.#distance += this.#take(this.#extra);
        this.#state = COPY;
        return this.#distance <= this.#total ? NEXT : CORRUPT;
      case COPY:
        return this.#copy();
      case ENDED:
        return FINAL;
      default:
        return CORRUPT;
    }
  }

  #header(): Step {
    if (!this.#has(3)) return STARVED;
    this.#final = this.#take(1) === 1;
    switch (this.#take(2)) {
      case 0:
        this.#bits = this.#count = 0;
        this.#state = STORED_SIZE;
        return NEXT;
      case 1:
        this.#literals = FIXED_LITERALS;
        this.#distances = FIXED_DISTANCES;
        this.#state = SYMBOL;
        return NEXT;
      case 2:
        this.#state = CODE_COUNTS;
        return NEXT;
      default:
        return CORRUPT;
    }
  }

  #endBlock(): Step {
    this.#state = this.#final ? ENDED : HEADER;
    return NEXT;
  }

  #stored(): Step {
    if (this.#left === 0) return this.#endBlock();
    if (this.#at === this.#inputEnd) return MORE;
    if (this.#from === this.#to) return STARVED;
    const size = Math.min(this.#left, this.#to - this.#from, this.#inputEnd - this.#at);
    for (let i = 0; i < size; i++) this.#put(this.#input[this.#from++]!);
    this.#left -= size;
    return NEXT;
  }

  #codeCounts(): Step {
    if (!this.#has(14)) return STARVED;
    this.#literalCodes = this.#take(5) + 257;
    const distanceCodes = this.#take(5) + 1;
    this.#allCodes = this.#literalCodes + distanceCodes;
    this.#lengthCodes = this.#take(4) + 4;
    if (this.#literalCodes > MAX_LITERAL_CODES || distanceCodes > MAX_DISTANCE_CODES) {
      return CORRUPT;
    }
    this.#lengths.fill(0, 0, CODE_LENGTH_ORDER.length);
    this.#index = 0;
    this.#state = CODE_LENGTH_LENGTHS;
    return NEXT;
  }

  #codeLengthLengths(): Step {
    while (this.#index < this.#lengthCodes) {
      if (!this.#has(3)) return STARVED;
      this.#lengths[CODE_LENGTH_ORDER[this.#index++]!] = this.#take(3);
    }
    if (!this.#lengthCode.build(this.#lengths, 0, CODE_LENGTH_ORDER.length, false)) return CORRUPT;
    this.#index = 0;
    this.#state = CODE_LENGTHS;
    return NEXT;
  }

  #codeLengths(): Step {
    const lengths = this.#lengths;
    while (this.#index < this.#allCodes) {
      const entry = this.#find(this.#lengthCode);
      if (entry === UNKNOWN) return STARVED;
      if (entry === INVALID) return CORRUPT;
      const symbol = entry >> 4;
      const extra = symbol < 16 ? 0 : symbol === 16 ? 2 : symbol === 17 ? 3 : 7;
      if (!this.#has((entry & 15) + extra)) return STARVED;
      this.#take(entry & 15);
      if (symbol < 16) {
        lengths[this.#index++] = symbol;
        continue;
      }
      const times = this.#take(extra) + (symbol === 18 ? 11 : 3);
      const end = this.#index + times;
      if (end > this.#allCodes || (symbol === 16 && this.#index === 0)) return CORRUPT;
      lengths.fill(symbol === 16 ? lengths[this.#index - 1]! : 0, this.#index, end);
      this.#index = end;
    }
    return this.#buildCodes();
  }

  #buildCodes(): Step {
    this.extraCost += CODES_COST;
    if (this.#lengths[END_OF_BLOCK] === 0) return CORRUPT;
    this.#literals = this.#ownLiterals;
    this.#distances = this.#ownDistances;
    this.#state = SYMBOL;
    const literals = this.#literalCodes;
    return this.#literals.build(this.#lengths, 0, literals, true) &&
      this.#distances.build(this.#lengths, literals, this.#allCodes, true)
      ? NEXT
      : CORRUPT;
  }

  #symbols(): Step {
    for (;;) {
      const entry = this.#find(this.#literals);
      if (entry === UNKNOWN) return STARVED;
      if (entry === INVALID) return CORRUPT;
      const symbol = entry >> 4;
      if (symbol < END_OF_BLOCK && this.#at === this.#inputEnd) return MORE;
      this.#take(entry & 15);
      if (symbol < END_OF_BLOCK) {
        this.#put(symbol);
        continue;
      }
      if (symbol === END_OF_BLOCK) return this.#endBlock();
      if (symbol > 285) return CORRUPT;
      this.#left = LENGTH_BASES[symbol - 257]!;
      this.#extra = LENGTH_EXTRAS[symbol - 257]!;
      this.#state = LENGTH_EXTRA;
      return NEXT;
    }
  }

  #distanceCode(): Step {
    const entry = this.#find(this.#distances);
    if (entry === UNKNOWN) return STARVED;
    if (entry === INVALID) return CORRUPT;
    this.#take(entry & 15);
    const symbol = entry >> 4;
    if (symbol >= MAX_DISTANCE_CODES) return CORRUPT;
    this.#extra = symbol < 4 ? 0 : (symbol >> 1) - 1;
    this.#distance = symbol < 4 ? symbol + 1 : ((2 + (symbol & 1)) << this.#extra) + 1;
    this.#state = DISTANCE_EXTRA;
    return NEXT;
  }

  #copy(): Step {
    if (this.#at === this.#inputEnd) return MORE;
    const size = Math.min(this.#left, this.#inputEnd - this.#at);
    for (let i = 0; i < size; i++) this.#put(this.#window[(this.#total - this.#distance) & MASK]!);
    this.#left -= size;
    if (this.#left === 0) this.#state = SYMBOL;
    return NEXT;
  }

  #put(byte: number): void {
    this.#window[this.#total++ & MASK] = byte;
    this.#output[this.#at++] = byte;
  }

  /** Reads no byte more than the code needs: the bytes after a final block belong to the next stream. */
  #find(code: HuffmanCode): number {
    for (;;) {
      const entry = code.find(this.#bits, this.#count);
      if (entry !== UNKNOWN || !this.#has(this.#count + 1)) return entry;
    }
  }

  /** Reads input until `count` bits are there. */
  #has(count: number): boolean {
    while (this.#count < count) {
      if (this.#from === this.#to) return false;
      this.#bits |= this.#input[this.#from++]! << this.#count;
      this.#count += 8;
    }
    return true;
  }

  #take(count: number): number {
    const value = this.#bits & ((1 << count) - 1);
    this.#bits >>>= count;
    this.#count -= count;
    return value;
  }
}
const TAIL = /* @__PURE__ */ Uint8Array.of(0x00, 0x00, 0xff, 0xff);

/** Bases and numbers of extra bits of lengths (RFC 1951, section 3.2.5). */
const LENGTH_BASES = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
  163, 195, 227, 258,
];
const LENGTH_EXTRAS = [
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
];

/** The fixed codes (RFC 1951, section 3.2.6). Two symbols of each occur in no valid data. */
const FIXED_LITERALS = /* @__PURE__ */ fixedCode(288, (symbol) =>
  symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8,
);
const FIXED_DISTANCES = /* @__PURE__ */ fixedCode(32, () => 5);

function fixedCode(symbols: number, lengthOf: (symbol: number) => number): HuffmanCode {
  const code = new HuffmanCode(symbols);
  const lengths = Uint8Array.from({ length: symbols }, (_, symbol) => lengthOf(symbol));
  code.build(lengths, 0, symbols, false);
  return code;
}
