// The globals beyond ECMAScript that this package uses. Node, Bun, Deno and browsers have them. Only the
// backplane of Redis uses `Buffer`, which its clients need too.

declare const crypto: { randomUUID(): string };

declare class TextEncoder {
  encode(text: string): Uint8Array;
}

declare class TextDecoder {
  constructor(label: string, options: { fatal: boolean; ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}

declare const Buffer: {
  concat(list: readonly Uint8Array[]): Uint8Array;
  of(...bytes: number[]): Uint8Array;
};

declare function setTimeout(callback: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare function setInterval(callback: () => void, ms: number): unknown;
declare function clearInterval(timer: unknown): void;

declare function queueMicrotask(callback: () => void): void;

declare const AbortController: {
  new (): { readonly signal: AbortSignal; abort(reason?: unknown): void };
};
type AbortController = InstanceType<typeof AbortController>;

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
