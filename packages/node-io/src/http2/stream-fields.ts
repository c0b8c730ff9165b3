import type { OutgoingHttpHeaders } from 'node:http2';

/** Fields of a connection, which a stream cannot carry (RFC 9113, section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'upgrade',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'te',
]);

/** Fields of which node:http2 sends one line only. It throws for a list. */
const SINGLE: ReadonlySet<string> = new Set(
  (
    'access-control-allow-credentials access-control-max-age access-control-request-method age ' +
    'authorization content-encoding content-language content-length content-location content-md5 ' +
    'content-range content-type date dnt etag expires from host if-match if-modified-since ' +
    'if-none-match if-range if-unmodified-since last-modified location max-forwards ' +
    'proxy-authorization range referer retry-after tk upgrade-insecure-requests user-agent ' +
    'x-content-type-options'
  ).split(' '),
);

/**
 * Makes the fields of a stream from header lines: names in lower case, without the fields of a
 * connection. Of a field that occurs once by its definition, the first line counts, as in
 * node:http.
 */
export function streamFields(
  pairs: Iterable<readonly [name: string, value: string]>,
): OutgoingHttpHeaders {
  // Without names that an object inherits, such as `constructor`.
  const fields = Object.create(null) as OutgoingHttpHeaders;
  for (const [name, value] of pairs) {
    const field = name.toLowerCase();
    if (CONNECTION_FIELDS.has(field)) continue;
    const before = fields[field];
    if (before !== undefined && SINGLE.has(field)) continue;
    fields[field] = before === undefined ? value : [...[before as string | string[]].flat(), value];
  }
  return fields;
}
