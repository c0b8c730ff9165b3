import { leaseOf, poolsAreDebugged } from '@ws/codec/internal';
import { COPY_BELOW, copyOf } from '../memory/copy.ts';

/**
 * Bytes of a pending write. The bytes do not change until `release` is called. Call it exactly
 * once.
 */
export interface RetainedBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** `bytes` is a copy that no other code uses. */
  readonly ours: boolean;
  readonly release: () => void;
  /** See {@link watchChanges}. */
  readonly check?: (() => void) | undefined;
}

/** Bytes that no other code writes to. */
export function owned(bytes: Uint8Array): RetainedBytes {
  return { bytes, start: 0, end: bytes.length, ours: true, release: nothing };
}

/**
 * Retains `bytes[start, end)` for a write that waits: copies less than {@link COPY_BELOW} bytes
 * and references larger writes. With `copiesAll` it copies every write.
 */
export function retain(
  bytes: Uint8Array,
  start: number,
  end: number,
  copiesAll: boolean,
): RetainedBytes {
  if (copiesAll || end - start < COPY_BELOW) return owned(copyOf(bytes, start, end));
  const lease = leaseOf(bytes);
  lease?.pin();
  const check = watchChanges(bytes, start, end);
  return { bytes, start, end, ours: false, release: lease?.release ?? nothing, check };
}

/** The bytes of a pending write were detached: a mistake of the application, which `report` gets. */
export class DetachedBytes extends TypeError {
  constructor() {
    super(
      'websocket: bytes of a pending write were detached; leave them alone until its promise settles',
    );
  }
}

/** The bytes of a pending write have changed. Only found after `debugPools()`. */
export class ChangedBytes extends TypeError {
  constructor(index: number) {
    super(
      `websocket: byte ${index} of a pending write was changed; leave the bytes alone until its promise settles`,
    );
  }
}

/**
 * With debug pools: returns a function that throws {@link ChangedBytes} when `bytes[start, end)` are
 * no longer what they are now.
 */
export function watchChanges(
  bytes: Uint8Array,
  start: number,
  end: number,
): (() => void) | undefined {
  if (!poolsAreDebugged()) return undefined;
  const before = copyOf(bytes, start, end);
  return () => {
    const at = before.findIndex((byte, i) => byte !== bytes[start + i]);
    // Detached bytes have their own error.
    if (at >= 0 && end <= bytes.byteLength) throw new ChangedBytes(at);
  };
}

function nothing(): void {}
