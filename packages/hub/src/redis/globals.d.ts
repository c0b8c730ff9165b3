// The globals of Node that this backplane uses. Its clients need them too.

declare const Buffer: {
  concat(list: readonly Uint8Array[]): Uint8Array;
  of(...bytes: number[]): Uint8Array;
};

declare function setTimeout(callback: () => void, ms: number): unknown;
declare function clearTimeout(timer: unknown): void;
declare function setInterval(callback: () => void, ms: number): unknown;
declare function clearInterval(timer: unknown): void;
