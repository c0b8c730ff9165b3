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

/** Makes the fields of a stream from header lines: names in lower case, without those of a connection. */
export function streamFields(
  pairs: Iterable<readonly [name: string, value: string]>,
): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = {};
  for (const [name, value] of pairs) {
    const field = name.toLowerCase();
    if (CONNECTION_FIELDS.has(field)) continue;
    const before = fields[field];
    fields[field] = before === undefined ? value : [...[before as string | string[]].flat(), value];
  }
  return fields;
}
