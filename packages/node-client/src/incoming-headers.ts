import type { IncomingHttpHeaders } from 'node:http';

/** Fields of which node:http keeps the first line only. It joins the lines of all others. */
const FIRST_LINE_ONLY: ReadonlySet<string> = new Set([
  'age',
  'authorization',
  'content-length',
  'content-type',
  'etag',
  'expires',
  'from',
  'host',
  'if-modified-since',
  'if-unmodified-since',
  'last-modified',
  'location',
  'max-forwards',
  'proxy-authorization',
  'referer',
  'retry-after',
  'server',
  'user-agent',
]);

/**
 * Returns header lines as the `headers` of node:http's IncomingMessage: names in lower case,
 * repeated lines joined or dropped.
 *
 * @param rawHeaders - Names and values in turn.
 */
export function incomingHeaders(rawHeaders: readonly string[]): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const value = rawHeaders[i + 1]!;
    const earlier = headers[name];
    if (name === 'set-cookie') {
      headers[name] = [...(headers[name] ?? []), value];
    } else if (typeof earlier !== 'string') {
      // Also for a name that an object inherits, such as `constructor`.
      headers[name] = value;
    } else if (!FIRST_LINE_ONLY.has(name)) {
      headers[name] = `${earlier}${name === 'cookie' ? '; ' : ', '}${value}`;
    }
  }
  return headers;
}
