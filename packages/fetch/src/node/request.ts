import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';

/** Methods for which `new Request` throws. */
const UNSUPPORTED = new Set(['CONNECT', 'TRACE', 'TRACK']);

/** Whether a Request can have the method. */
export function isRequestMethod(method: string | undefined): boolean {
  return !UNSUPPORTED.has(method ?? '');
}

/**
 * The Request of a request of node:http whose Host and target were checked: `Host: a/b` would
 * become part of the path.
 *
 * @param signal - Aborted when the client leaves.
 */
export function requestOf(req: IncomingMessage, signal: AbortSignal): Request {
  const { method = 'GET', rawHeaders } = req;
  const headers = new Headers();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
  }
  const hasBody = method !== 'GET' && method !== 'HEAD';
  return new Request(urlOf(req), {
    method,
    headers,
    signal,
    ...(hasBody && { body: Readable.toWeb(req) as ReadableStream<Uint8Array>, duplex: 'half' }),
  });
}

function urlOf({ url = '/', headers, socket }: IncomingMessage): URL {
  const scheme = 'encrypted' in socket ? 'https' : 'http';
  const base = `${scheme}://${headers.host || 'localhost'}`;
  if (url.startsWith('/')) return new URL(`${base}${url}`);
  // `*` of OPTIONS, or an absolute URI, of which only the path counts.
  const { pathname, search } = new URL(url === '*' ? '/' : url, base);
  return new URL(`${base}${pathname}${search}`);
}
