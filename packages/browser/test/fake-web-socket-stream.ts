import type { WebSocketStreamLike } from '../src/web-types.ts';

type Opened = Awaited<WebSocketStreamLike['opened']>;
interface Info {
  readonly closeCode?: number;
  readonly reason?: string;
}

/** A WebSocketStream whose peer is the test. */
export class FakeWebSocketStream implements WebSocketStreamLike {
  static last: FakeWebSocketStream | undefined;
  readonly protocols: readonly string[];
  readonly #opening = withResolvers<Opened>();
  readonly #closing = withResolvers<Info>();
  readonly opened: Promise<Opened> = this.#opening.promise;
  readonly closed: Promise<Info> = this.#closing.promise;
  readonly closes: Info[] = [];
  readonly sent: unknown[] = [];
  /** Messages that the page has asked for. */
  pulls = 0;
  /** Lets a blocked write finish. */
  unblock: (() => void) | undefined;
  blocked = false;
  #controller!: ReadableStreamDefaultController<unknown>;
  #wanted: (() => void) | undefined;

  constructor(_url: string, options: { protocols?: string[] } = {}) {
    this.protocols = options.protocols ?? [];
    FakeWebSocketStream.last = this;
  }

  close(info?: Info): void {
    this.closes.push(info ?? {});
  }

  // The test's side

  open(): void {
    const readable = new ReadableStream<unknown>(
      {
        start: (controller) => void (this.#controller = controller),
        pull: () => {
          this.pulls++;
          return new Promise<void>((resolve) => (this.#wanted = resolve));
        },
      },
      { highWaterMark: 0 },
    );
    const writable = new WritableStream<unknown>({
      write: (data) => {
        this.sent.push(typeof data === 'string' ? data : [...(data as Uint8Array)]);
        if (!this.blocked) return undefined;
        return new Promise<void>((resolve) => (this.unblock = resolve));
      },
    });
    this.#opening.resolve({ readable, writable, protocol: 'v2', extensions: 'x' });
  }

  message(data: unknown): void {
    this.#controller.enqueue(data);
    this.#wanted?.();
  }

  end(info: Info): void {
    this.#controller.close();
    this.#closing.resolve(info);
  }

  fail(error: unknown): void {
    this.#opening.reject(error);
    this.#controller?.error(error);
    this.#closing.reject(error);
  }
}

function withResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((...ends) => ([resolve, reject] = ends));
  return { promise, resolve, reject };
}
