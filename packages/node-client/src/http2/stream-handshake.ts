import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2';
import { formatExtensions, type ResponseFacts } from '@ws/codec';
import { TransportError } from '@ws/conn';
import { cancelStream, REFUSED_STREAM, resetName, streamFields } from '@ws/node-io/internal';
import type { DialScope } from '../dial-scope.ts';
import { dialError } from '../errors.ts';
import type { PreparedRequest } from '../request.ts';
import { type HttpResponse, incomingHeaders, MAX_BODY, MAX_WAIT } from '../response.ts';
import type { Target } from '../url.ts';
import type { SharedSession } from './session-pool.ts';

const NO_BYTES: Buffer = Buffer.alloc(0);

/** The server has not processed a request: another session may get it (RFC 9113, section 8.7). */
export class UnprocessedError extends TransportError {}

/** Sends the request for a WebSocket on a new stream (RFC 8441, section 5). */
export function sendRequest(
  shared: SharedSession,
  target: Target,
  request: PreparedRequest,
  cookie: string,
): ClientHttp2Stream {
  try {
    const fields = fieldsOf(target, request, cookie);
    const stream = shared.session.request(fields, { endStream: false });
    stream.once('close', () => shared.releaseStream());
    return stream;
  } catch (cause) {
    shared.releaseStream();
    throw new UnprocessedError('the HTTP/2 session has ended', { cause });
  }
}

function fieldsOf(
  { secure, host, path }: Target,
  { callerHeaders, subprotocols, extensions }: PreparedRequest,
  cookie: string,
): OutgoingHttpHeaders {
  // `:authority` alone: a Host beside it would have to be equal (RFC 9113, section 8.3.1).
  const { host: authority = host, ...others } = streamFields(callerHeaders);
  if (cookie !== '') others['cookie'] = cookie;
  if (subprotocols.length > 0) others['sec-websocket-protocol'] = subprotocols.join(', ');
  if (extensions.length > 0) others['sec-websocket-extensions'] = formatExtensions(extensions);
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

/**
 * Waits for the response on a stream. A refusal ends the stream.
 *
 * @throws UnprocessedError when another session may get the request; TransportError for another
 *   reset; the reason of the scope's signal.
 */
export async function responseOn(
  stream: ClientHttp2Stream,
  scope: DialScope,
): Promise<HttpResponse> {
  const answered = new Promise<string[]>((resolve, reject) => {
    stream.once('response', (_headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
      resolve(raw);
    });
    stream.once('close', () => reject(closeError(stream)));
  });
  answered.catch(() => {});
  const facts = new StreamResponse(await scope.race(answered));
  const { status, pairs } = facts;
  const response = {
    status,
    headers: incomingHeaders(pairs),
    facts,
    body: NO_BYTES,
    early: NO_BYTES,
  };
  if (status >= 200 && status <= 299) return response;
  const body = await readBody(stream, scope);
  cancelStream(stream);
  return { ...response, body };
}

function closeError({ rstCode, errored }: ClientHttp2Stream): Error {
  const what = 'the connection broke before the server answered';
  if (rstCode === REFUSED_STREAM) return new UnprocessedError(what);
  return dialError(what, errored ?? new Error(`the stream was reset: ${resetName(rstCode)}`));
}

/** Reads the first bytes of a refusal's body, for a moment. */
async function readBody(stream: ClientHttp2Stream, scope: DialScope): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  let wait: NodeJS.Timeout | undefined;
  const ended = new Promise<void>((complete) => {
    wait = setTimeout(complete, Math.min(MAX_WAIT, scope.remaining / 2));
    stream.on('end', complete).on('close', complete);
    stream.on('data', (bytes: Buffer) => {
      pieces.push(Buffer.from(bytes));
      size += bytes.length;
      if (size >= MAX_BODY) complete();
    });
  });
  try {
    await scope.race(ended);
    return Buffer.concat(pieces).subarray(0, MAX_BODY);
  } finally {
    clearTimeout(wait);
  }
}

/** The header lines of a response, for the rules of the codec. */
class StreamResponse implements ResponseFacts {
  readonly version = '2';
  readonly status: number;
  readonly pairs: readonly (readonly [name: string, value: string])[];

  constructor(raw: readonly string[]) {
    const pairs: [string, string][] = [];
    let status = 0;
    for (let i = 0; i + 1 < raw.length; i += 2) {
      const [name, value] = [raw[i]!, raw[i + 1]!];
      if (name === ':status') status = Number(value);
      else pairs.push([name, value]);
    }
    this.status = status;
    this.pairs = pairs;
  }

  has(name: string): boolean {
    return this.lines(name).length > 0;
  }

  lines(name: string): readonly string[] {
    const wanted = name.toLowerCase();
    return this.pairs.filter(([given]) => given === wanted).map(([, value]) => value);
  }

  list(name: string): string {
    return this.lines(name).join(', ');
  }
}
