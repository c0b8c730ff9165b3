// The globals beyond ECMAScript that this package uses. Node, Bun, Deno and browsers have them.
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
declare const AbortController: {
  new (): { readonly signal: AbortSignal; abort(): void };
};
declare const performance: { now(): number };
declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
