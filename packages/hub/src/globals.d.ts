// The globals beyond ECMAScript that this package uses. Node, Bun, Deno and browsers have them.

declare const crypto: { randomUUID(): string };

declare class TextEncoder {
  encode(text: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean; ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}

declare function setTimeout(callback: () => void, ms: number): unknown;

declare function queueMicrotask(callback: () => void): void;
