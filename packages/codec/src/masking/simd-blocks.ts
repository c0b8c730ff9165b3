import { checkPoison, poison } from '../pool-guard.ts';

/**
 * Bytes of memory in front of every block and message buffer. The leaseholder may write there: a
 * frame header in front of a payload that is sent from its buffer.
 */
export const HEADROOM = 16;
/** The smallest block has `2 ** MIN_ORDER` bytes, which is 4 KiB. */
const MIN_ORDER = 12;
/** `2 ** MIN_ORDER + HEADROOM`: the smallest block with its headroom. A larger block has several units. */
const UNIT = 4112;

/**
 * Leases blocks of a fixed memory by the buddy rule: a free block is halved until it fits, and two
 * free halves become one block again. Sizes are powers of two from 4 KiB on, and {@link HEADROOM}
 * bytes before each block belong to it.
 *
 * The blocks are the nodes of a binary tree in an array: node 1 is the whole memory, node n has the
 * halves 2n and 2n + 1. `#room[n]` is the size of the largest free block in node n: its power of
 * two, or 0 for none.
 */
export class SimdBlocks {
  readonly #buffer: ArrayBuffer;
  readonly #offset: number;
  readonly #order: number;
  readonly #room: Uint8Array;
  /** One view per node, reused: a second lease of a block returns the same object. */
  readonly #views = new Map<number, Uint8Array>();
  /** 1 for each leased node. Flags, since a Set that grows and shrinks creates garbage. */
  readonly #lent: Uint8Array;
  readonly #debug: boolean;

  /** Memory that {@link SimdBlocks} of `bytes` bytes need, with the headrooms. */
  static memoryFor(bytes: number): number {
    return (bytes / 2 ** MIN_ORDER) * UNIT;
  }

  /**
   * Manages blocks of `bytes` bytes together, a power of two, in `buffer` from `offset` on. With
   * `debug`, free memory is filled with 0xDB and checked at its next lease.
   */
  constructor(buffer: ArrayBuffer, offset: number, bytes: number, debug = false) {
    this.#buffer = buffer;
    this.#offset = offset;
    this.#debug = debug;
    if (debug) poison(new Uint8Array(buffer, offset, SimdBlocks.memoryFor(bytes)));
    this.#order = 31 - Math.clz32(bytes);
    this.#room = new Uint8Array(2 << (this.#order - MIN_ORDER));
    this.#lent = new Uint8Array(this.#room.length);
    for (let node = 1; node < this.#room.length; node++) {
      this.#room[node] = this.#order - (31 - Math.clz32(node));
    }
  }

  /**
   * Leases a block of the smallest power of two that holds `bytes`. Undefined when none is free.
   *
   * @throws Error, with `debug`, when the block was written to after its release.
   */
  acquire(bytes: number): Uint8Array | undefined {
    const want = Math.max(MIN_ORDER, 32 - Math.clz32(bytes - 1));
    const room = this.#room;
    if (bytes > 1 << this.#order || room[1]! < want) return undefined;
    let node = 1;
    for (let order = this.#order; order > want; order--) {
      const left = 2 * node;
      const right = left + 1;
      // Choose the tighter half, so that large blocks stay whole.
      const fitsLeft = room[left]! >= want;
      const fitsRight = room[right]! >= want;
      node = fitsLeft && !(fitsRight && room[right]! < room[left]!) ? left : right;
    }
    room[node] = 0;
    this.#updateParents(node, want);
    return this.#lease(node, want);
  }

  /** Ends a lease. False when `block` is not a leased block of this memory. */
  release(block: Uint8Array): boolean {
    if (block.buffer !== this.#buffer) return false;
    const order = 31 - Math.clz32(block.length);
    const at = block.byteOffset - HEADROOM;
    const index = (at - this.#offset) / SimdBlocks.memoryFor(block.length);
    const node = (1 << (this.#order - order)) + index;
    if (this.#lent[node] !== 1 || this.#views.get(node) !== block) return false;
    this.#lent[node] = 0;
    // The headroom is a part of a larger block.
    if (this.#debug) poison(new Uint8Array(this.#buffer, at, HEADROOM + block.length));
    this.#room[node] = order;
    this.#updateParents(node, order);
    return true;
  }

  #updateParents(child: number, childOrder: number): void {
    const room = this.#room;
    let order = childOrder;
    for (let node = child >> 1; node > 0; node >>= 1) {
      const left = room[2 * node]!;
      const right = room[2 * node + 1]!;
      room[node] = left === order && right === order ? order + 1 : Math.max(left, right);
      order++;
    }
  }

  #lease(node: number, order: number): Uint8Array {
    let view = this.#views.get(node);
    if (view === undefined) {
      const index = node - (1 << (31 - Math.clz32(node)));
      const at = this.#offset + index * SimdBlocks.memoryFor(2 ** order);
      view = new Uint8Array(this.#buffer, at + HEADROOM, 2 ** order);
      this.#views.set(node, view);
    }
    this.#lent[node] = 1;
    if (this.#debug) checkPoison(view, `a free block of ${view.length} bytes`);
    return view;
  }
}
