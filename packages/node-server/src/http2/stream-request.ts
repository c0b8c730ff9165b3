import { IncomingMessage } from 'node:http';
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import { Socket } from 'node:net';
import { cutStream } from '@ws/node-io/internal';

/**
 * The request of a stream, for the application's functions: an IncomingMessage, as over HTTP/1.1. Its
 * method is `CONNECT`, its headers also have `host` and the pseudo-headers. Its socket belongs to
 * the session.
 */
export class StreamRequest extends IncomingMessage {
  readonly stream: ServerHttp2Stream;

  /** @param rawHeaders - Default: the lines of `headers`, in which Node has joined repeated fields. */
  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: string[] = rawHeadersOf(headers),
  ) {
    super(stream.session?.socket ?? new Socket());
    this.stream = stream;
    this.httpVersion = '2.0';
    this.httpVersionMajor = 2;
    this.httpVersionMinor = 0;
    this.method = onlyLine(headers[':method']);
    this.url = onlyLine(headers[':path']);
    const host = headers.host ?? headers[':authority'];
    this.headers = host === undefined ? { ...headers } : { ...headers, host };
    this.rawHeaders = rawHeaders;
    this.complete = true;
  }

  /** The bytes after the request are frames. */
  override _read(): void {
    this.push(null);
  }

  /** Resets the stream: the session's socket carries others too. Node calls it after the end as well. */
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.readableEnded) cutStream(this.stream);
    done(error);
  }
}

/** `''` for a field that another parser has found twice: the rules refuse it. */
function onlyLine(field: unknown): string {
  return typeof field === 'string' ? field : '';
}

function rawHeadersOf(headers: IncomingHttpHeaders): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().flatMap((line) => [name, line]),
  );
}
