// The globals beyond ECMAScript that this package uses. Node, Bun, Deno and browsers have them.

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

declare class TextEncoder {
  encode(text: string): { readonly length: number };
}

interface Object {
  /** Every engine has this method: ECMAScript, section B.2.2.2. Its property is enumerable. */
  __defineGetter__(name: string, get: () => unknown): void;
}
