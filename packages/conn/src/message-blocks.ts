import { copyOf } from './copy.ts';
import type { Host } from './host.ts';

/** Up to here V8 keeps an array's bytes beside the array, which costs less than a part of a block. */
const SMALL = 64;
/** Above this it is the copying that costs, not the memory. */
const LARGE = 4096;
/** How many times its bytes a message that is kept may keep. */
const MESSAGES = 8;
const LARGEST_BLOCK = 16_384;

/**
 * Memory for messages that are read one right after the other. Node takes three times as long for an array of 1 KiB as
 * for an eighth of one of 8 KiB.
 *
 * There is at most one block in the process, of one connection, until the turn ends or another connection wants one: no
 * two connections ever share memory, and an idle one holds none. No message lies in a block of more than eight times its
 * size.
 */
class MessageBlocks {
  #block: Uint8Array = NONE;
  #used = 0;
  #owner: object | undefined;

  /** Size of the block that messages are put into, in bytes. */
  get held(): number {
    return this.#block.length;
  }

  /** A copy of `bytes[start, end)` for a reader of `owner`: beside others, when more bytes lie behind it. */
  copy(bytes: Uint8Array, start: number, end: number, owner: object, host: Host): Uint8Array {
    const size = end - start;
    const behind = bytes.length - end;
    // Nothing lies there any more when the chunk was detached.
    const alone = size <= SMALL || size > LARGE || behind < 0;
    if (alone || !this.#fits(size, behind, owner, host)) return copyOf(bytes, start, end);
    const copy = new Uint8Array(this.#block.buffer, this.#used, size);
    copy.set(new Uint8Array(bytes.buffer, bytes.byteOffset + start, size));
    // Aligned for whoever sees numbers in the bytes, as in an array of its own.
    this.#used = (this.#used + size + 7) & ~7;
    return copy;
  }

  /** Whether the block has room for `size` bytes, or a new one is worth it, since as many lie behind them. */
  #fits(size: number, behind: number, owner: object, host: Host): boolean {
    // A block that the application has given to another thread has no bytes any more.
    const { length } = this.#block;
    if (owner === this.#owner && this.#used + size <= length) return length <= size * MESSAGES;
    if (behind < size) return false;
    this.#block = new Uint8Array(Math.min(size * MESSAGES, size + behind, LARGEST_BLOCK));
    this.#used = 0;
    this.#owner = owner;
    host.defer(drop);
    return true;
  }

  drop(): void {
    this.#block = NONE;
    this.#owner = undefined;
  }
}

const NONE = /* @__PURE__ */ new Uint8Array(0);

/** Those of this thread. */
export const messageBlocks: MessageBlocks = /* @__PURE__ */ new MessageBlocks();

function drop(): void {
  messageBlocks.drop();
}
