import type { OwnedBytes } from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import type { Platform } from '../platform/platform.ts';
import { type TaskQueue, TurnCallback } from '../scheduler/task-queue.ts';

/**
 * Up to this size in bytes, V8 stores the bytes inside the array object. Such an array costs less
 * than a view of a block.
 */
const SMALL = 64;
/** From this size in bytes on, a message costs more to copy than to allocate: a block saves little. */
const LARGE = 4096;
/**
 * A message that the caller keeps also keeps its block alive. The block has at most this many times
 * the size of the message.
 */
const MAX_BLOCK_RATIO = 8;
/** In bytes. */
const LARGEST_BLOCK = 16_384;

/** The owner of a block: one object for each connection. */
type BlockOwner = { readonly platform: Platform };

/**
 * Memory blocks for messages that are read one after the other. Eight arrays of 1 KiB cost Node
 * three times as much time as one array of 8 KiB.
 *
 * A thread has at most one block. The block serves one connection, until the turn ends or another
 * connection needs a block. So connections never share memory, and idle connections have none.
 *
 * The platform marks each block as not transferable, because the transfer of one message would
 * detach the others. Without blocks, a loop over messages of 1 KiB loses a fifth of its rate.
 */
class MessageBlocks {
  #block: OwnedBytes = NO_BYTES;
  #used = 0;
  #owner: object | undefined;

  get blockSize(): number {
    return this.#block.length;
  }

  /**
   * Returns memory of `size` bytes for a message of `owner`, in a block or alone.
   *
   * @param following - Number of bytes after the message in its chunk. A new block needs at least `size`.
   */
  take(size: number, following: number, owner: BlockOwner, endOfTurn: TaskQueue): OwnedBytes {
    const alone = size <= SMALL || size >= LARGE;
    if (alone || !this.#fits(size, following, owner, endOfTurn)) return new Uint8Array(size);
    const bytes = new Uint8Array(this.#block.buffer, this.#used, size);
    // Each message starts at a multiple of 8 bytes, so that typed arrays of numbers can view it.
    this.#used = (this.#used + size + 7) & ~7;
    return bytes;
  }

  /**
   * Whether a block has room for `size` bytes. Creates a block when at least `size` bytes follow in
   * the chunk: they may be more messages.
   */
  #fits(size: number, following: number, owner: BlockOwner, endOfTurn: TaskQueue): boolean {
    // The length is 0 if the application has detached the block in spite of the mark.
    const blockSize = this.#block.length;
    if (owner === this.#owner && this.#used + size <= blockSize)
      return blockSize <= size * MAX_BLOCK_RATIO;
    const { markUntransferable } = owner.platform;
    if (following < size || markUntransferable === undefined) return false;
    const length = Math.min(size * MAX_BLOCK_RATIO, size + following, LARGEST_BLOCK);
    this.#block = new Uint8Array(length);
    markUntransferable(this.#block.buffer);
    this.#used = 0;
    this.#owner = owner;
    endOfTurn.add(new TurnCallback(forgetBlock));
    return true;
  }

  forget(): void {
    this.#block = NO_BYTES;
    this.#owner = undefined;
  }
}

/** The block of this thread. */
export const messageBlocks: MessageBlocks = /* @__PURE__ */ new MessageBlocks();

function forgetBlock(): void {
  messageBlocks.forget();
}
