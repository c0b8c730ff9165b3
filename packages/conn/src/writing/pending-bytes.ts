import { lengthOf, poolsAreDebugged } from '@ws/codec/internal';
import { copyOf } from '../memory/copy.ts';

/**
 * The application has detached bytes of a pending write, or has changed them. Changes are checked only
 * after `debugPools()`. The option `report` gets this error.
 */
export class PendingBytesMistake extends TypeError {
  readonly #changedAt: number | undefined;

  /** @param changedAt - Index of the first changed byte. Default: the bytes were detached. */
  constructor(changedAt?: number) {
    super(
      changedAt === undefined
        ? 'websocket: bytes of a pending write were detached; leave them alone until its promise settles'
        : `websocket: byte ${changedAt} of a pending write was changed; leave the bytes alone until its promise settles`,
    );
    this.#changedAt = changedAt;
  }

  /** Whether bytes were changed: the peer may get wrong bytes. */
  get isChange(): boolean {
    return this.#changedAt !== undefined;
  }
}

/**
 * After `debugPools()`: copies `bytes[start, end)` and returns a check, which throws
 * a {@link PendingBytesMistake} if the bytes differ from the copy. Undefined otherwise.
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
    if (at >= 0 && end <= lengthOf(bytes)) throw new PendingBytesMistake(at);
  };
}
