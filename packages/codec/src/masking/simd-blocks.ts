import { checkPoison, poison } from '../pool-guard.ts';

/** The smallest block has `2 ** MIN_ORDER` bytes, which is 4 KiB. */
const MIN_ORDER = 12;

/**
 * Leases blocks of a fixed memory by the buddy rule: a free block is halved until it fits, and two
 * free halves become one block again. Sizes are powers of two from 4 KiB on.
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

  /**
   * Manages `buffer[offset, offset + bytes)`; `bytes` is a power of two. With `debug`, free memory
   * is filled with 0xDB and checked at its next lease.
   */
  constructor(buffer: ArrayBuffer, offset: number, bytes: number, debug = false) {
    this.#buffer = buffer;
    this.#offset = offset;
    this.#debug = debug;
    if (debug) poison(new Uint8Array(buffer, offset, bytes));
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
    const node = (1 << (this.#order - order)) + (block.byteOffset - this.#offset) / block.length;
    if (this.#lent[node] !== 1 || this.#views.get(node) !== block) return false;
    this.#lent[node] = 0;
    if (this.#debug) poison(block);
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
      view = new Uint8Array(this.#buffer, this.#offset + index * 2 ** order, 2 ** order);
      this.#views.set(node, view);
    }
    this.#lent[node] = 1;
    if (this.#debug) checkPoison(view, `a free block of ${view.length} bytes`);
    return view;
  }
}
