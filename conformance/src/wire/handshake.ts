import { createHash } from 'node:crypto';
import type { DeflateTerms } from './deflate.ts';
import {
  type Extension,
  fieldLines,
  fieldOf,
  type Head,
  hasToken,
  parseExtensions,
  statusOf,
} from './head.ts';

/** A header field: name and value as sent. */
export type Field = readonly [name: string, value: string];

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** Returns the `Sec-WebSocket-Accept` for a key (RFC 6455, 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/** Formats an HTTP header: start line, fields, empty line. */
export function headText(start: string, fields: readonly Field[]): string {
  return `${start}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** Returns the fields of a valid request. */
export function requestFields(host: string, key: string): Field[] {
  return [
    ['Host', host],
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Key', key],
    ['Sec-WebSocket-Version', '13'],
  ];
}

/** Removes the fields with this name, ignoring case. */
export function withoutField(fields: readonly Field[], name: string): Field[] {
  return fields.filter(([one]) => one.toLowerCase() !== name.toLowerCase());
}

/** Replaces the value of the fields with this name, ignoring case. */
export function withField(fields: readonly Field[], name: string, value: string): Field[] {
  return fields.map((field) =>
    field[0].toLowerCase() === name.toLowerCase() ? [field[0], value] : field,
  );
}

/** What a client has sent and offered; the answer is checked against it. */
export interface HandshakeOffer {
  /** The request's `Sec-WebSocket-Key`. */
  readonly key: string;
  /** Names of the offered extensions. */
  readonly extensions: readonly string[];
  /** Names of the offered subprotocols. */
  readonly subprotocols: readonly string[];
}

/** Lists the rules of RFC 6455, 4.2.2 and 4.1, that a server's answer breaks, one sentence each. */
export function answerFaults(head: Head, asked: HandshakeOffer): string[] {
  if (statusOf(head) !== 101)
    return [`the handshake was answered with ${JSON.stringify(head.start)}, not 101 (4.2.2)`];
  const faults: string[] = [];
  const check = (broken: boolean, fault: string): void => {
    if (broken) faults.push(fault);
  };
  check(!head.start.startsWith('HTTP/1.1 '), 'the 101 is not an HTTP/1.1 answer');
  check(
    fieldOf(head, 'upgrade')?.toLowerCase() !== 'websocket',
    'the 101 has no "Upgrade: websocket" (4.2.2)',
  );
  check(
    !hasToken(fieldOf(head, 'connection'), 'upgrade'),
    'the 101 has no "Connection: Upgrade" (4.2.2)',
  );
  const accepts = fieldLines(head, 'sec-websocket-accept');
  check(accepts.length !== 1, 'the 101 must have Sec-WebSocket-Accept exactly once (11.3.3)');
  check(
    accepts.length === 1 && accepts[0] !== acceptOf(asked.key),
    'Sec-WebSocket-Accept does not match the key (4.2.2)',
  );
  const protocols = fieldLines(head, 'sec-websocket-protocol');
  check(protocols.length > 1, 'the 101 has Sec-WebSocket-Protocol more than once (11.3.4)');
  check(
    protocols.length === 1 && !asked.subprotocols.includes(protocols[0]!),
    'the 101 names a subprotocol that was not offered (4.2.2)',
  );
  const extensions = parseExtensions(fieldOf(head, 'sec-websocket-extensions') ?? '');
  for (const { name } of extensions) {
    check(
      !asked.extensions.includes(name),
      `the 101 names the extension ${name}, which was not offered (9.1)`,
    );
  }
  check(
    new Set(extensions.map(({ name }) => name)).size < extensions.length,
    'the 101 names an extension twice',
  );
  return faults;
}

/** Returns the parameters in a permessage-deflate element of `Sec-WebSocket-Extensions`. */
export function deflateTerms({ params }: Extension): DeflateTerms {
  const has = (name: string): boolean => params.some(([one]) => one === name);
  const bits = (name: string): number => Number(params.find(([one]) => one === name)?.[1] ?? 15);
  return {
    serverNoContextTakeover: has('server_no_context_takeover'),
    clientNoContextTakeover: has('client_no_context_takeover'),
    serverMaxWindowBits: bits('server_max_window_bits'),
    clientMaxWindowBits: bits('client_max_window_bits'),
  };
}
