import { poolsAreDebugged } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';

/** The application detached the bytes of a pending write. The option `report` gets this mistake. */
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

/** Whether `error` says that the application has changed or detached bytes of a pending write. */
export function isChanged(error: unknown): boolean {
  return error instanceof DetachedBytes || error instanceof ChangedBytes;
}

/**
 * With debug pools: copies `bytes[start, end)`. The returned function compares them with the copy,
 * and throws {@link ChangedBytes} if they differ.
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
