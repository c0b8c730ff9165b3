import type { IncomingMessage } from 'node:http';

/** Methods for which `new Request` throws. */
const UNSUPPORTED = new Set(['CONNECT', 'TRACE', 'TRACK']);

/** Whether a Request can have the method. */
export function isRequestMethod(method: string | undefined): boolean {
  return !UNSUPPORTED.has(method ?? '');
}

/** A body that is read when the application reads it: Node drops one that is never read. */
export class RequestBody {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #req: IncomingMessage;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #isOver = false;

  /** @param left - Called when the client has left; returns the error of the body. */
  constructor(req: IncomingMessage, left: () => unknown) {
    this.#req = req;
    let isRead = false;
    const start = (): void => {
      isRead = true;
      req.on('data', this.#add);
      req.once('end', () => this.#end());
      req.once('error', () => this.#end(left()));
    };
    this.stream = new ReadableStream(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => {
          if (!isRead) start();
          req.resume();
        },
        cancel: () => this.drop(),
      },
      { highWaterMark: 0 },
    );
  }

  readonly #add = (chunk: Uint8Array): void => {
    this.#req.pause();
    this.#controller.enqueue(chunk);
  };

  #end(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (error === undefined) this.#controller.close();
    else this.#controller.error(error);
  }

  /** Drops what was not read. The next request of the connection comes after it. */
  drop(): void {
    this.#end(new Error('the request was answered before its body was read'));
    this.#req.off('data', this.#add).resume();
  }
}

/**
 * The Request of a request of node:http, after the check of its Host: `Host: a/b` would become part of the
 * path.
 *
 * @param signal - Aborted when the client leaves.
 * @returns undefined for a target that is no URL.
 */
export function requestOf(
  req: IncomingMessage,
  signal: AbortSignal,
  body?: RequestBody,
): Request | undefined {
  const url = urlOf(req);
  if (url === undefined) return undefined;
  const { method = 'GET', rawHeaders } = req;
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  return new Request(url, {
    method,
    headers,
    signal,
    ...(body && { body: body.stream, duplex: 'half' }),
  });
}

function urlOf({ url = '/', headers, socket }: IncomingMessage): URL | undefined {
  const scheme = 'encrypted' in socket ? 'https' : 'http';
  const base = `${scheme}://${headers.host || 'localhost'}`;
  try {
    if (url.startsWith('/')) return new URL(`${base}${url}`);
    // `*` of OPTIONS, or an absolute URI, of which only the path counts.
    const { pathname, search } = new URL(url === '*' ? '/' : url, base);
    return new URL(`${base}${pathname}${search}`);
  } catch {
    return undefined;
  }
}
