// Counts copied and allocated bytes. Import it before the packages, which keep some of these
// methods:
// `const { copied } = await vi.hoisted(() => import('./copies.ts'))`.

/** Counts between two calls of {@link copied}. */
export interface Copied {
  /** Copied bytes. */
  readonly copied: number;
  /** Bytes of new memory. */
  readonly allocated: number;
}

let copies = 0;
let allocations = 0;

/** Bytes copied and allocated since the last call. Views do not count. */
export function copied(): Copied {
  const result = { copied: copies, allocated: allocations };
  copies = 0;
  allocations = 0;
  return result;
}

type Method = (this: Uint8Array, ...args: unknown[]) => unknown;

/** Replaces a method; `bytesOf` gives the bytes that a call copies. */
function watch(
  prototype: object,
  name: string,
  bytesOf: (result: unknown, args: readonly unknown[], self: Uint8Array) => number,
): void {
  const method = Reflect.get(prototype, name) as Method;
  Object.defineProperty(prototype, name, {
    writable: true,
    configurable: true,
    value(this: Uint8Array, ...args: unknown[]): unknown {
      const result = method.apply(this, args);
      copies += bytesOf(result, args, this);
      return result;
    },
  });
}

const bytesIn = (what: unknown): number => (what as { length: number }).length;
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object;

watch(typedArray, 'set', (_, [from]) => bytesIn(from));
watch(typedArray, 'slice', (result) => bytesIn(result));
watch(typedArray, 'copyWithin', (_, [, start = 0, end], self) => {
  return Number(end ?? self.length) - Number(start);
});
watch(ArrayBuffer.prototype, 'slice', (result) => (result as ArrayBuffer).byteLength);
watch(Buffer.prototype, 'copy', (result) => Number(result));
watch(Buffer, 'concat', (result) => bytesIn(result));
watch(Buffer, 'from', (result, [from]) => (from instanceof Uint8Array ? bytesIn(result) : 0));

globalThis.Uint8Array = new Proxy(Uint8Array, {
  construct(constructor, args: unknown[], newTarget) {
    const made = Reflect.construct(constructor, args, newTarget) as Uint8Array;
    const [from] = args;
    if (!(from instanceof ArrayBuffer || from instanceof SharedArrayBuffer)) {
      allocations += made.length;
      if (typeof from === 'object') copies += made.length;
    }
    return made;
  },
});
