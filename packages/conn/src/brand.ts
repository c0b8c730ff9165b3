// Values of other realms (a vm context, Jest) are no instances of the classes of this realm. The
// getters and methods below accept them, and throw for all other values.

const TypedArray = /* @__PURE__ */ Object.getPrototypeOf(Uint8Array.prototype) as object;
const tagOf = /* @__PURE__ */ getterOf(TypedArray, Symbol.toStringTag);
const byteLengthOf = /* @__PURE__ */ getterOf(ArrayBuffer.prototype, 'byteLength');
const sharedLengthOf =
  typeof SharedArrayBuffer === 'function'
    ? /* @__PURE__ */ getterOf(SharedArrayBuffer.prototype, 'byteLength')
    : undefined;

function getterOf(prototype: object, name: PropertyKey): (this: unknown) => unknown {
  return Object.getOwnPropertyDescriptor(prototype, name)!.get!;
}

/** Whether `value` is a Uint8Array of any realm. */
export function isUint8Array(value: unknown): value is Uint8Array {
  return tagOf.call(value) === 'Uint8Array';
}

/** Whether `value` is an ArrayBuffer or a SharedArrayBuffer of any realm. */
export function isBuffer(value: unknown): value is ArrayBufferLike {
  return accepts(byteLengthOf, value) || (!!sharedLengthOf && accepts(sharedLengthOf, value));
}

/** Whether `value` is a Date of any realm. */
export function isDate(value: unknown): value is Date {
  return accepts(Date.prototype.getTime, value);
}

function accepts(method: (this: never) => unknown, value: unknown): boolean {
  try {
    method.call(value as never);
    return true;
  } catch {
    return false;
  }
}
