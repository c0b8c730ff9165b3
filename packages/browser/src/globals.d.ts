// The web globals that this package uses.
interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}
declare const AbortController: {
  new (): { readonly signal: AbortSignal; abort(reason: unknown): void };
};
interface ErrorConstructor {
  captureStackTrace?(error: object, called: unknown): void;
}
declare const TextDecoder: {
  new (label: 'utf-8', options: { ignoreBOM: true }): { decode(bytes: Uint8Array): string };
};
declare const TextEncoder: {
  new (): { encode(text: string): ReturnType<Uint8ArrayConstructor['of']> };
};
declare const setTimeout: (callback: () => void, ms?: number) => unknown;
declare const clearTimeout: (timer: unknown) => void;
// Node has no `reportError`. Pages have a `document`, pages and workers a `location`.
declare var Bun: object | undefined;
declare var Deno: object | undefined;
declare var reportError: ((error: unknown) => void) | undefined;
declare var document: { readonly baseURI: string; readonly hidden: boolean } | undefined;
declare var location: { readonly href: string } | undefined;
declare const performance: { now(): number };
declare var MessageChannel:
  | {
      new (): {
        readonly port1: { onmessage: (() => void) | null; close(): void };
        readonly port2: { postMessage(message: null): void };
      };
    }
  | undefined;
declare const console: { error(error: unknown): void };
declare const URL: { new (url: string | URL, base?: string): URL };
declare const Blob: {
  new (
    parts: readonly Uint8Array[],
  ): { stream(): ReadableStream<ReturnType<Uint8ArrayConstructor['of']>> };
};
interface URL {
  readonly href: string;
  readonly username: string;
  readonly password: string;
  protocol: string;
  hash: string;
}

interface ReadableStream<R> {
  getReader(): { read(): Promise<{ done: boolean; value?: R }> };
}
declare const ReadableStream: {
  new <R>(
    source: {
      pull(controller: { enqueue(chunk: R): void; close(): void }): Promise<void> | void;
      cancel?(): unknown;
    },
    strategy: { highWaterMark: number },
  ): ReadableStream<R>;
};

interface WritableStream<W> {
  getWriter(): { write(chunk: W): Promise<void>; close(): Promise<void> };
}
declare const WritableStream: {
  new <W>(sink: {
    write(chunk: W): Promise<void>;
    close(): Promise<unknown>;
    abort?(reason: unknown): unknown;
  }): WritableStream<W>;
};
