import { copyOf } from './copy.ts';
import { leaseOf } from './lease.ts';
import { BORROW_FROM } from './outbox.ts';

/** Bytes of a write that stay as they are until `free` is called, once. */
export interface KeptBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** All of `bytes`, and nobody else has them: they need no other copy. */
  readonly ours: boolean;
  readonly free: () => void;
}

/** Bytes that nobody else writes to. */
export function ownBytes(bytes: Uint8Array): KeptBytes {
  return { bytes, start: 0, end: bytes.length, ours: true, free: nothing };
}

/** `bytes[start, end)` for a write that has to wait: a copy, or a reference to many of them unless `copiesAll`. */
export function keepBytes(
  bytes: Uint8Array,
  start: number,
  end: number,
  copiesAll: boolean,
): KeptBytes {
  if (copiesAll || end - start <= BORROW_FROM) return ownBytes(copyOf(bytes, start, end));
  const lease = leaseOf(bytes);
  lease?.pin();
  return { bytes, start, end, ours: false, free: lease?.release ?? nothing };
}

/** What a write is told whose bytes were given away while it waited. */
export function lostBytes(): TypeError {
  return new TypeError(
    'websocket: bytes of a pending write were detached; leave them alone until its promise settles',
  );
}

function nothing(): void {}
