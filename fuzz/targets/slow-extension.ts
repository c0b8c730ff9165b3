import type { Extension } from '@ws/codec';

/** The reserved bit of {@link SlowExtension}. */
export const RSV2 = 0x20;

/** Inverts each byte, a few at a time, and only while it is not {@link slow}. */
export class SlowExtension implements Extension {
  readonly rsv = RSV2;
  readonly held = 0;
  more = false;
  done = false;
  output: Uint8Array = new Uint8Array(0);
  resume: (() => void) | undefined;
  /** Whether it is not ready. */
  slow = false;
  /** Called once, when a message begins. */
  onBegin: (() => void) | undefined;
  #input: Uint8Array = new Uint8Array(0);
  #last = false;

  get unread(): number {
    return this.#input.length;
  }

  begin(): void {
    this.done = false;
    const { onBegin } = this;
    this.onBegin = undefined;
    onBegin?.();
  }

  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#input = bytes.subarray(start, end);
    this.#last = last;
  }

  ready(): boolean {
    return !this.slow;
  }

  /** Ends {@link slow}. */
  hurry(): void {
    if (!this.slow) return;
    this.slow = false;
    this.resume?.();
  }

  step(into: Uint8Array): number {
    const size = Math.min(this.#input.length, into.length, 1_000);
    for (let i = 0; i < size; i++) into[i] = ~this.#input[i]!;
    this.#input = this.#input.subarray(size);
    this.more = this.#input.length > 0;
    this.done = this.#last && !this.more;
    return size;
  }

  keep(): void {
    this.#input = this.#input.slice();
  }

  endMessage(): void {}

  destroy(): void {
    this.#input = new Uint8Array(0);
    this.more = false;
  }

  /** What this end sends is left as it is. */
  wants(): boolean {
    return false;
  }

  encode(): number {
    return -1;
  }

  endOutput(): void {}
}
