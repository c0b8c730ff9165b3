import type { OwnedBytes } from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import type { Platform } from '../platform/platform.ts';
import { type TaskQueue, TurnCallback } from '../scheduler/task-queue.ts';

/**
 * Largest array in bytes that V8 stores inside the array object. That costs less than a view of a
 * block.
 */
const SMALL = 64;
/**
 * Above this size in bytes the copy costs more than the allocation, so a block saves little time.
 */
const LARGE = 4096;
/**
 * A message that the caller keeps also keeps its block alive. The block has at most this many times
 * the size of the message.
 */
const MAX_BLOCK_RATIO = 8;
const LARGEST_BLOCK = 16_384;

/** Each connection has one. */
type BlockOwner = { readonly platform: Platform };

/**
 * Memory blocks for messages that are read one after the other. Node allocates eight arrays of
 * 1 KiB in three times the time of one array of 8 KiB.
 *
 * A thread has at most one block, which serves one connection until the turn ends or another
 * connection needs a block. So two connections never share memory, and an idle connection has
 * none. The block of a message never has more than eight times the size of the message.
 *
 * The platform marks each block, so that no message can be transferred to another thread: the other
 * messages of its block would go too. With memory for each message, a loop over messages of 1 KiB
 * loses a fifth of its rate.
 */
class MessageBlocks {
  #block: OwnedBytes = NO_BYTES;
  #used = 0;
  #owner: object | undefined;

  get blockSize(): number {
    return this.#block.length;
  }

  /**
   * Memory of `size` bytes for a message of `owner`: in a block when at least as many bytes
   * follow in the chunk.
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
   * Whether the block has room for `size` bytes. Starts a new block when at least `size` more bytes
   * follow in the chunk.
   */
  #fits(size: number, following: number, owner: BlockOwner, endOfTurn: TaskQueue): boolean {
    // A block that the application has detached nevertheless has length 0.
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

/** The blocks of this thread. */
export const messageBlocks: MessageBlocks = /* @__PURE__ */ new MessageBlocks();

function forgetBlock(): void {
  messageBlocks.forget();
}
