import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { formatExtensions } from '@ws/codec';
import { TransportError } from '@ws/conn';
import { markHandled } from '@ws/conn/internal';
import { cutStream, Http2Code, resetName, streamFields } from '@ws/node-io/internal';
import type { DialScope } from '../dial-scope.ts';
import { dialError } from '../errors.ts';
import { type FinalHead, isSuccess } from '../exchange.ts';
import type { PreparedRequest } from '../request.ts';
import { type HttpResponse, MAX_BODY, NO_BUFFER, readUntil, toHttpResponse } from '../response.ts';
import type { Target } from '../url.ts';
import type { SharedSession } from './shared-session.ts';

/** The server has not processed a request: it may be sent again (RFC 9113, section 8.7). */
export class Unprocessed extends TransportError {
  /** Whether it must be sent over HTTP/1.1 (RFC 9113, section 7). Otherwise another session may get it. */
  readonly requiresHttp1: boolean;

  constructor(message: string, requiresHttp1: boolean, options?: ErrorOptions) {
    super(message, options);
    this.requiresHttp1 = requiresHttp1;
  }
}

/**
 * Most bytes of a header block that nghttp2 sends. Above it Node resets the stream with REFUSED_STREAM,
 * and closes the session.
 */
const MAX_BLOCK = 65_536;
/** Most bytes that nghttp2 adds for a block and for each field. */
const BLOCK_OVERHEAD = 12;
/** Bytes that SETTINGS_MAX_HEADER_LIST_SIZE adds for each field (RFC 9113, section 6.5.2). */
const FIELD_OVERHEAD = 32;

/** The request for a WebSocket over HTTP/2 (RFC 8441, section 5). */
interface StreamRequest extends Pick<Target, 'secure' | 'host' | 'path'> {
  /** A Host line replaces `host`. */
  readonly lines: readonly (readonly [name: string, value: string])[];
  /** The value of `Sec-WebSocket-Protocol`; `''` for none. */
  readonly subprotocols: string;
  /** The value of `Sec-WebSocket-Extensions`; `''` for none. */
  readonly extensions: string;
}

/** A request on a stream of its own. */
export interface StreamExchange {
  readonly stream: ClientHttp2Stream;
  /**
   * The head of the response.
   *
   * @throws (rejects with) Unprocessed; TransportError for another reset.
   */
  readonly head: Promise<FinalHead>;
}

/** Sends the request of a dial on a new stream. */
export function sendRequest(
  shared: SharedSession,
  { target, callerHeaders, subprotocols, extensions }: PreparedRequest,
  cookie: string,
): StreamExchange {
  return askOnStream(shared, {
    ...target,
    lines: cookie === '' ? callerHeaders : [...callerHeaders, ['cookie', cookie]],
    subprotocols: subprotocols.join(', '),
    extensions: formatExtensions(extensions),
  });
}

/**
 * Sends a request on a new stream.
 *
 * @throws Unprocessed when the session has ended; RangeError, with nothing sent, when the headers are
 *   too large for it; TransportError for another request that cannot be sent.
 */
export function askOnStream(shared: SharedSession, request: StreamRequest): StreamExchange {
  const { session } = shared;
  const fields = fieldsOf(request);
  const fault = sizeFault(fields, session.remoteSettings?.maxHeaderListSize);
  if (fault !== undefined) {
    shared.releaseStream();
    throw fault;
  }
  try {
    const stream = session.request(fields, { endStream: false });
    stream.once('close', () => shared.releaseStream());
    return { stream, head: markHandled(headOn(stream)) };
  } catch (cause) {
    shared.releaseStream();
    const { code } = cause as NodeJS.ErrnoException;
    const hasEnded = session.closed || session.destroyed || code === 'ERR_HTTP2_OUT_OF_STREAMS';
    if (!hasEnded) throw dialError('the request cannot be sent over HTTP/2', cause);
    throw new Unprocessed('the HTTP/2 session has ended', shared.requiresHttp1, { cause });
  }
}

/** The error for headers that are too large for a session. */
function sizeFault(fields: OutgoingHttpHeaders, maxListSize = Infinity): RangeError | undefined {
  let count = 0;
  let size = 0;
  const add = (name: string, line: unknown): void => {
    count++;
    size += name.length + Buffer.byteLength(String(line));
  };
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (Array.isArray(value)) for (const line of value) add(name, line);
    else add(name, value);
  }
  const most = Math.min(
    MAX_BLOCK - BLOCK_OVERHEAD * (count + 1),
    maxListSize - FIELD_OVERHEAD * count,
  );
  if (size <= most) return undefined;
  return new RangeError(`headers: ${size} bytes, and the HTTP/2 session allows ${most}`);
}

function fieldsOf(request: StreamRequest): OutgoingHttpHeaders {
  const { secure, path, lines, subprotocols, extensions } = request;
  // `:authority` alone: a Host beside it would have to be equal (RFC 9113, section 8.3.1).
  const { host: authority = request.host, ...others } = streamFields(lines);
  if (subprotocols !== '') others['sec-websocket-protocol'] = subprotocols;
  if (extensions !== '') others['sec-websocket-extensions'] = extensions;
  return {
    ...others,
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': secure ? 'https' : 'http',
    ':authority': authority,
    ':path': path,
    'sec-websocket-version': '13',
  };
}

/** Waits for the head of the response on a stream. */
function headOn(stream: ClientHttp2Stream): Promise<StreamHead> {
  return new Promise((resolve, reject) => {
    const onClose = (): void => reject(closeError(stream));
    stream.once('close', onClose);
    stream.once('response', (_headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
      stream.off('close', onClose);
      resolve(new StreamHead(raw));
    });
  });
}

/**
 * Waits for the response to a request. A refusal ends the stream.
 *
 * @throws Unprocessed; TransportError for another reset; the reason of the scope.
 */
export async function responseOf(
  { stream, head }: StreamExchange,
  scope: DialScope,
): Promise<HttpResponse> {
  const response = toHttpResponse(await scope.race(head));
  if (isSuccess(response.status)) return response;
  const pieces: Buffer[] = [];
  let size = 0;
  await readUntil(stream, scope, NO_BUFFER, (bytes) => {
    pieces.push(Buffer.from(bytes));
    size += bytes.length;
    return size >= MAX_BODY;
  });
  const body = Buffer.concat(pieces).subarray(0, MAX_BODY);
  // Servers bound the resets of a session, which others share.
  if (stream.readableEnded) await endStream(stream, scope);
  else cutStream(stream);
  return { ...response, body };
}

/** Sends END_STREAM on a stream that the server has ended. */
function endStream(stream: ClientHttp2Stream, scope: DialScope): Promise<unknown> {
  const closed = new Promise((resolve) => stream.once('close', resolve));
  stream.end();
  return stream.closed ? Promise.resolve() : scope.race(closed);
}

function closeError({ rstCode, errored }: ClientHttp2Stream): Error {
  const what = 'the connection broke before the server answered';
  if (rstCode === Http2Code.REFUSED_STREAM) return new Unprocessed(what, false);
  if (rstCode === Http2Code.HTTP_1_1_REQUIRED) {
    return new Unprocessed('the server requires HTTP/1.1 (HTTP_1_1_REQUIRED)', true);
  }
  return dialError(what, errored ?? new Error(`the stream was reset: ${resetName(rstCode)}`));
}

/** The header lines of a response, for the rules of the codec. */
class StreamHead implements FinalHead {
  readonly version = '2';
  readonly status: number;
  readonly #pairs: readonly (readonly [name: string, value: string])[];

  constructor(raw: readonly string[]) {
    const pairs: [string, string][] = [];
    let status = 0;
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const [name, value] = [raw[i]!, raw[i + 1]!];
      if (name === ':status') status = Number(value);
      else pairs.push([name, value]);
    }
    this.status = status;
    this.#pairs = pairs;
  }

  all(): readonly (readonly [name: string, value: string])[] {
    return this.#pairs;
  }

  has(name: string): boolean {
    return this.lines(name).length > 0;
  }

  lines(name: string): readonly string[] {
    const wanted = name.toLowerCase();
    return this.#pairs.filter(([given]) => given === wanted).map(([, value]) => value);
  }

  list(name: string): string {
    return this.lines(name).join(', ');
  }

  once(name: string): string | undefined {
    const lines = this.lines(name);
    return lines.length === 1 ? lines[0] : undefined;
  }
}
