import { bufferOf, byteOffsetOf, lengthOf } from '../byte-facts.ts';
import type { Words } from '../masking/mask.ts';
import { existingSimd } from '../masking/simd.ts';
import { poolsAreDebugged } from '../pool-guard.ts';
import { callRelease, NO_BYTES, once, type Slab } from './slab.ts';

/** Uses a slab whose pieces transports read. */
export interface SlabUser {
  /** The last piece of `slab` was released. */
  piecesReleased(slab: LentSlab): void;
}

/**
 * A slab that a transport reads in pieces. Each piece has a release function of its own, so that a
 * second call never ends the loan of another piece.
 */
export abstract class LentSlab {
  readonly bytes: Uint8Array;
  /** Place of the slab in the SIMD memory, or -1. */
  readonly address: number;
  /** Pieces that transports still read. */
  pieces = 0;
  /** The last view of its first bytes. */
  chunk: Uint8Array = NO_BYTES;
  user: SlabUser | undefined = undefined;
  abstract readonly view: DataView;
  abstract readonly words: Words | undefined;
  /** Whether its pool reports a second release. */
  protected abstract readonly debugs: boolean;
  /** Number of the next piece, and of the first one since all were released. */
  #next = 0;
  #first = 0;
  /** For each piece from `#first` on, whether it was released. */
  readonly #released: boolean[] = [];

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.address = bufferOf(bytes) === existingSimd()?.buffer ? byteOffsetOf(bytes) : -1;
  }

  /** Lends a piece. Returns its release function: a bound one has 72 bytes, a closure 120. */
  lendPiece(): () => void {
    const piece = this.#next++;
    this.#released[piece - this.#first] = false;
    this.pieces++;
    const release = this.#release.bind(this, piece);
    return this.debugs || poolsAreDebugged() ? once(release, 'chunk', true) : release;
  }

  #release(piece: number): void {
    const at = piece - this.#first;
    if (at < 0 || this.#released[at] === true) return;
    this.#released[at] = true;
    if (--this.pieces > 0) return;
    this.#first = this.#next;
    this.user!.piecesReleased(this);
  }

  /** Ends the lease of the slab. Its only user calls it once. */
  giveBack(): void {
    this.user = undefined;
    this.endLease();
  }

  protected abstract endLease(): void;
}

/** A slab of a source of the application. */
export class ForeignSlab extends LentSlab {
  readonly view: DataView;
  readonly words: Words | undefined;
  protected readonly debugs = false;
  readonly #end: () => void;

  constructor({ bytes, view, words, release }: Slab) {
    super(bytes);
    this.view = view ?? viewOver(bytes);
    this.words = words;
    this.#end = release;
  }

  protected endLease(): void {
    callRelease(this.#end);
  }
}

export function viewOver(bytes: Uint8Array): DataView {
  return new DataView(bufferOf(bytes), byteOffsetOf(bytes), lengthOf(bytes));
}
