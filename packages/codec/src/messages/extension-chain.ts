import { NO_BYTES } from '../memory/slab.ts';
import { checkedSize, type DataType, type Extension, encoded } from './extension.ts';
import { Lease } from './lease.ts';

/** Largest number of bytes that one extension makes for the next in one step. */
const STEP = 65_536;

/**
 * Several extensions as one: on the way out each changes what the ones before it have made, on the
 * way in the last of them comes first (RFC 6455, section 9.1).
 *
 * @see {@link MessageDecoder.extension}, which takes one
 */
export class ExtensionChain implements Extension {
  readonly rsv: number;
  sentRsv = 0;
  done = false;
  output: Uint8Array = NO_BYTES;
  readonly #extensions: readonly Extension[];
  /** The extensions of the message that arrives: the first of them takes its payload. */
  #decoders: Extension[] = [];
  /** For each of them, whether its step has work to do. */
  #busy: boolean[] = [];
  #wanting: readonly Extension[] = [];
  /** The extensions of the message that is sent. */
  #encoders: Extension[] = [];

  /** @param extensions - In the order of the negotiation. No two of them share a reserved bit. */
  constructor(extensions: readonly Extension[]) {
    this.#extensions = extensions;
    this.rsv = extensions.reduce((bits, { rsv }) => bits | rsv, 0);
  }

  set resume(resume: (() => void) | undefined) {
    for (const each of this.#extensions) each.resume = resume;
  }

  get more(): boolean {
    return this.#busy.includes(true);
  }

  get unread(): number {
    return this.#sum('unread');
  }

  get held(): number {
    return this.#sum('held');
  }

  #sum(name: 'unread' | 'held'): number {
    return this.#decoders.reduce((sum, { [name]: bytes }) => sum + bytes, 0);
  }

  get waiting(): boolean {
    return this.#extensions.some((each) => each.waiting === true);
  }

  begin(type: DataType, rsv: number): void {
    this.done = false;
    this.#decoders = [];
    for (const each of this.#extensions) {
      if ((each.rsv & rsv) !== 0) this.#decoders.unshift(each);
    }
    this.#busy = this.#decoders.map(() => false);
    for (const each of this.#decoders) each.begin(type, each.rsv & rsv);
  }

  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#feed(0, bytes, start, end, last);
  }

  #feed(at: number, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#decoders[at]!.feed(bytes, start, end, last);
    this.#busy[at] = true;
  }

  /** Index of the extension that works next: the last one with input, so that no input piles up. */
  #next(): number {
    return this.#busy.lastIndexOf(true);
  }

  ready(): boolean {
    return this.#decoders[this.#next()]!.ready();
  }

  readyAhead(): boolean {
    return this.#decoders[this.#next()]!.readyAhead?.() !== false;
  }

  step(into: Uint8Array, limit: number): number {
    const at = this.#next();
    const decoder = this.#decoders[at]!;
    const final = at === this.#decoders.length - 1;
    const size = final ? decoder.step(into, limit) : this.#stepBetween(at, decoder);
    this.#busy[at] = decoder.more;
    this.done = final && decoder.done;
    return size;
  }

  /** Lets an extension make input for the next one. */
  #stepBetween(at: number, decoder: Extension): 0 {
    const lease = Lease.acquire(STEP);
    try {
      const size = checkedSize(decoder.step(lease.bytes, Infinity), lease.bytes, Infinity);
      if (size > 0 || decoder.done) {
        this.#feed(at + 1, lease.bytes, 0, size, decoder.done);
        this.#decoders[at + 1]!.keep();
      }
    } finally {
      lease.release();
    }
    return 0;
  }

  keep(): void {
    this.#decoders[0]?.keep();
  }

  endMessage(): void {
    for (const each of this.#decoders) each.endMessage();
  }

  destroy(): void {
    this.#decoders = [];
    this.#busy = [];
    forEach(this.#extensions, (each) => each.destroy());
  }

  detach(): void {
    forEach(this.#extensions, (each) => each.detach?.());
  }

  wants(size: number, compress: boolean | undefined): boolean {
    this.#wanting = this.#extensions.filter((each) => each.wants(size, compress));
    return this.#wanting.length > 0;
  }

  encode(bytes: Uint8Array, start: number, end: number, first: boolean, last: boolean): number {
    if (first) this.sentRsv = 0;
    let [input, from, to] = [bytes, start, end];
    for (const each of first ? this.#wanting : this.#encoders) {
      // Before the call, which may throw: `endOutput` follows in any case.
      if (first) this.#encoders.push(each);
      const size = encoded(each.encode(input, from, to, first, last), each, first);
      if (size < 0) {
        this.#encoders.pop();
        each.endOutput(true);
        continue;
      }
      if (first) this.sentRsv |= each.sentRsv ?? each.rsv;
      [input, from, to] = [each.output, 0, size];
    }
    this.output = input;
    return this.#encoders.length > 0 ? to : -1;
  }

  endOutput(sent: boolean): void {
    const encoders = this.#encoders;
    this.output = NO_BYTES;
    this.#encoders = [];
    forEach(encoders, (each) => each.endOutput(sent));
  }
}

/** Calls `use` for all, and then throws the first error. */
function forEach(extensions: readonly Extension[], use: (each: Extension) => void): void {
  const errors: unknown[] = [];
  for (const each of extensions) {
    try {
      use(each);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
