// oxlint-disable no-extend-native, typescript/unbound-method -- counts the arrays that a method makes
const NAMES = ['ArrayBuffer', 'Uint8Array', 'Int32Array', 'BigInt64Array', 'Float64Array'] as const;

/** How many buffers `work` makes by the constructors of buffers and typed arrays, and by `slice`. */
export function buffersMade(work: () => unknown): number {
  const all: Record<string, unknown> = globalThis;
  const real = new Map(NAMES.map((name) => [name, all[name]]));
  const { slice } = Uint8Array.prototype;
  let made = 0;
  for (const [name, constructor] of real) {
    all[name] = new Proxy(constructor as typeof Uint8Array, {
      construct(target, args: unknown[], newTarget) {
        // A view of a buffer makes none.
        if (!(args[0] instanceof ArrayBuffer || args[0] instanceof SharedArrayBuffer)) made++;
        return Reflect.construct(target, args, newTarget === all[name] ? target : newTarget);
      },
    });
  }
  Uint8Array.prototype.slice = function counted(this: Uint8Array, ...args) {
    made++;
    return slice.apply(this, args) as never;
  };
  try {
    work();
    return made;
  } finally {
    Uint8Array.prototype.slice = slice;
    for (const [name, constructor] of real) all[name] = constructor;
  }
}
