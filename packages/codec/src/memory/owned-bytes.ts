/**
 * Bytes that you own: their buffer is never shared memory. From TypeScript 5.7 on this is
 * `Uint8Array<ArrayBuffer>`, which `Blob`, `Response` and `crypto.subtle` require; before,
 * `Uint8Array`.
 */
export type OwnedBytes = ReturnType<Uint8ArrayConstructor['of']>;
