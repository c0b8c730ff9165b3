/** A Response as a ponyfill makes it: of no class of the runtime, without a stream. */
export class OldResponse {
  readonly status: number;
  readonly statusText = '';
  readonly headers: Map<string, string>;
  readonly #text: string | null;

  constructor(text: string | null, status: number, headers: Record<string, string> = {}) {
    this.#text = text;
    this.status = status;
    this.headers = Object.assign(new Map(Object.entries(headers)), {
      get(name: string) {
        return Map.prototype.get.call(this, name) ?? null;
      },
    });
  }

  get [Symbol.toStringTag](): string {
    return 'Response';
  }

  async arrayBuffer(): Promise<ArrayBuffer> {
    return new TextEncoder().encode(this.#text ?? '').buffer;
  }
}

const Before = globalThis.Response;

/** A Response as `@hono/node-server` replaces the global one. */
export class ReplacedResponse {
  readonly #inner: Response;

  constructor(...args: ConstructorParameters<typeof Response>) {
    this.#inner = new Before(...args);
  }

  get status(): number {
    return this.#inner.status;
  }

  get statusText(): string {
    return this.#inner.statusText;
  }

  get headers(): Headers {
    return this.#inner.headers;
  }

  get body(): ReadableStream | null {
    return this.#inner.body;
  }
}
Object.setPrototypeOf(ReplacedResponse, Before);
Object.setPrototypeOf(ReplacedResponse.prototype, Before.prototype);
