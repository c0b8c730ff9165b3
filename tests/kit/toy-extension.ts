import type { Extension } from '@ws/codec';

/** Writes each byte as two, whose difference is `key`, and marks the message with `rsv`. */
export class ToyExtension implements Extension {
  readonly rsv: number;
  done = false;
  more = false;
  output: Uint8Array = new Uint8Array(0);
  /** What has happened, in words. */
  readonly log: string[] = [];
  readonly #key: number;
  #input: Uint8Array = new Uint8Array(0);
  #last = false;
  /** The first byte of a pair whose second byte has not arrived. */
  #half: number | undefined;

  constructor(rsv: number, key: number) {
    this.rsv = rsv;
    this.#key = key;
  }

  get unread(): number {
    return this.#input.length;
  }

  get held(): number {
    return this.#half === undefined ? 0 : 1;
  }

  begin(type: number, rsv: number): void {
    this.log.push(`begin ${type} ${rsv.toString(16)}`);
    this.#half = undefined;
    this.done = false;
  }

  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#input = bytes.subarray(start, end);
    this.#last = last;
  }

  ready(): boolean {
    return true;
  }

  step(into: Uint8Array): number {
    const input = this.#input;
    let size = 0;
    let i = 0;
    for (; i < input.length && size < into.length; i++) {
      if (this.#half === undefined) this.#half = input[i]!;
      else {
        into[size++] = this.#half;
        this.#half = undefined;
      }
    }
    this.#input = input.subarray(i);
    this.more = i < input.length;
    this.done = this.#last && !this.more;
    return size;
  }

  keep(): void {
    this.#input = this.#input.slice();
  }

  endMessage(): void {
    this.log.push('end');
  }

  destroy(): void {
    this.log.push('destroy');
    this.#input = new Uint8Array(0);
    this.more = false;
  }

  wants(size: number, compress: boolean | undefined): boolean {
    this.log.push(`wants ${size} ${compress}`);
    return true;
  }

  encode(bytes: Uint8Array, start: number, end: number): number {
    this.output = new Uint8Array(2 * (end - start));
    for (let i = start; i < end; i++) {
      this.output.set([bytes[i]!, bytes[i]! ^ this.#key], 2 * (i - start));
    }
    return this.output.length;
  }

  endOutput(sent: boolean): void {
    this.log.push(sent ? 'sent' : 'not sent');
  }
}
