// The globals beyond ECMAScript that this package uses. Node, Bun, Deno and browsers have all of
// them. WebAssembly may be missing: the package checks before it uses it.

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

interface ErrorConstructor {
  /** Of V8; other engines may lack it. */
  captureStackTrace?(error: Error, method?: (...args: never[]) => unknown): void;
}

declare const URL: new (url: string) => { readonly hostname: string };

declare function btoa(latin1: string): string;

declare const crypto: { getRandomValues(words: Int32Array): Int32Array };

declare class TextEncoder {
  encode(text: string): Uint8Array;
  encodeInto(text: string, into: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label: string, options: { ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}
