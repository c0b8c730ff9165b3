// Values of other realms (a vm context, Jest) are no instances of the classes of this realm. The
// getters of the classes accept them, and throw for all other values.

const TypedArray = /* @__PURE__ */ Object.getPrototypeOf(
  /* @__PURE__ */ Object.getPrototypeOf(/* @__PURE__ */ new Uint8Array(0)),
) as object;

/** Whether `value` is a Uint8Array of any realm. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return Reflect.get(TypedArray, Symbol.toStringTag, value) === 'Uint8Array';
}

/** Whether `value` is an ArrayBuffer or a SharedArrayBuffer of any realm. */
export function isBuffer(value: unknown): value is ArrayBufferLike {
  const lengthOf = (Class: { readonly prototype: object }): unknown =>
    Reflect.get(Class.prototype, 'byteLength', value);
  return (
    succeeds(() => lengthOf(ArrayBuffer)) ||
    // Pages without cross-origin isolation have no such class.
    succeeds(() => lengthOf(SharedArrayBuffer))
  );
}

/** Whether `value` is a Date of any realm. */
export function isDate(value: unknown): value is Date {
  return succeeds(() => Date.prototype.getTime.call(value as Date));
}

function succeeds(call: () => unknown): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}
