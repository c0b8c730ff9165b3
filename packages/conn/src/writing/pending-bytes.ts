import { lengthOf, poolsAreDebugged } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';

/** The application has detached bytes of a pending write. The option `report` gets this error. */
export class DetachedBytes extends TypeError {
  constructor() {
    super(
      'websocket: bytes of a pending write were detached; leave them alone until its promise settles',
    );
  }
}

/** The application has changed bytes of a pending write. Checked only after `debugPools()`. */
export class ChangedBytes extends TypeError {
  constructor(index: number) {
    super(
      `websocket: byte ${index} of a pending write was changed; leave the bytes alone until its promise settles`,
    );
  }
}

/** Whether the application has changed or detached bytes of a pending write. */
export function isPendingBytesError(error: unknown): boolean {
  return error instanceof DetachedBytes || error instanceof ChangedBytes;
}

/**
 * After `debugPools()`: copies `bytes[start, end)` and returns a check, which throws
 * {@link ChangedBytes} if the bytes differ from the copy. Undefined otherwise.
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
    if (at >= 0 && end <= lengthOf(bytes)) throw new ChangedBytes(at);
  };
}
