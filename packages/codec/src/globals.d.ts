// What this package uses of its platform beyond ECMAScript. Node, Bun, Deno and browsers have all of it;
// WebAssembly may be missing, and is looked for before it is used.

declare namespace WebAssembly {
  const Module: new (bytes: Uint8Array) => object;
  class Memory {
    constructor(descriptor: { initial: number; maximum: number });
    readonly buffer: ArrayBuffer;
  }
  class Instance {
    constructor(module: object, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
}

declare const crypto: { getRandomValues(words: Int32Array): Int32Array };

declare class TextEncoder {
  encode(text: string): Uint8Array;
  encodeInto(text: string, into: Uint8Array): { read: number; written: number };
}
