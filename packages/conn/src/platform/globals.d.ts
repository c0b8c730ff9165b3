// The web globals that the portable platform uses. Other platforms need none of them.
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
declare const AbortController: {
  new (): { readonly signal: AbortSignal; abort(): void };
};
declare const TextDecoder: {
  new (label: 'utf-8', options: { ignoreBOM: true }): { decode(bytes: Uint8Array): string };
};
declare const TextEncoder: {
  new (): { encodeInto(text: string, into: Uint8Array): { written: number } };
};
declare const crypto: { getRandomValues(words: Int32Array): unknown };
declare const performance: { now(): number };
declare const setImmediate: ((callback: () => void) => unknown) | undefined;
declare const setTimeout: (callback: () => void, ms: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
declare const MessageChannel:
  | {
      new (): {
        port1: { onmessage: (() => void) | null; unref?(): void };
        port2: { postMessage(message: null): void };
      };
    }
  | undefined;

interface ReadableStream<R> {
  getReader(): { read(): Promise<{ done: boolean; value?: R }> };
}
declare const ReadableStream: {
  new <R>(
    source: {
      pull(controller: { enqueue(chunk: R): void; close(): void }): Promise<void>;
      cancel(): void;
    },
    strategy: { highWaterMark: number },
  ): ReadableStream<R>;
};

interface WritableStream<W> {
  getWriter(): { write(chunk: W): Promise<void>; close(): Promise<void> };
}
declare const WritableStream: {
  new <W>(sink: {
    start?(controller: { readonly signal: AbortSignal; error(reason: unknown): void }): void;
    write(chunk: W): Promise<void>;
    close(): Promise<void>;
    abort?(): void;
  }): WritableStream<W>;
};
interface ErrorConstructor {
  captureStackTrace?(error: Error, method?: (...args: never[]) => unknown): void;
  stackTraceLimit?: number;
}
declare const console: { error(text: string): void };
