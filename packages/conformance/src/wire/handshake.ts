import { createHash, randomBytes } from 'node:crypto';
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

/** A line of a header: name and value, as they are sent. */
export type Field = readonly [name: string, value: string];

/** RFC 6455, section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** What proves that a server has read `key`. */
export function acceptOf(key: string): string {
  return createHash('sha1')
    .update(key + GUID)
    .digest('base64');
}

/** A fresh `Sec-WebSocket-Key`. */
export function freshKey(): string {
  return randomBytes(16).toString('base64');
}

/** The text of an HTTP header: a first line, fields, the empty line. */
export function headText(start: string, fields: readonly Field[]): string {
  return `${start}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}

/** The fields of a request that keeps every rule. */
export function requestFields(host: string, key: string): Field[] {
  return [
    ['Host', host],
    ['Upgrade', 'websocket'],
    ['Connection', 'Upgrade'],
    ['Sec-WebSocket-Key', key],
    ['Sec-WebSocket-Version', '13'],
  ];
}

/** `fields` without those called `name`. */
export function without(fields: readonly Field[], name: string): Field[] {
  return fields.filter(([one]) => one.toLowerCase() !== name.toLowerCase());
}

/** `fields` with another value for `name`, in its place. */
export function replaced(fields: readonly Field[], name: string, value: string): Field[] {
  return fields.map((field) =>
    field[0].toLowerCase() === name.toLowerCase() ? [field[0], value] : field,
  );
}

/** What a client has asked for, to judge the answer by. */
export interface Asked {
  readonly key: string;
  /** Names of extensions. */
  readonly extensions: readonly string[];
  readonly subprotocols: readonly string[];
}

/** Every rule of RFC 6455, 4.2.2 and 4.1, that a server's answer breaks, a sentence each. */
export function answerFaults(head: Head, asked: Asked): string[] {
  if (statusOf(head) !== 101)
    return [`the handshake was answered with ${JSON.stringify(head.start)}, not 101 (4.2.2)`];
  const faults: string[] = [];
  const say = (broken: boolean, words: string): void => {
    if (broken) faults.push(words);
  };
  say(!head.start.startsWith('HTTP/1.1 '), 'the 101 is not of HTTP/1.1');
  say(
    fieldOf(head, 'upgrade')?.toLowerCase() !== 'websocket',
    'the 101 has no "Upgrade: websocket" (4.2.2)',
  );
  say(
    !hasToken(fieldOf(head, 'connection'), 'upgrade'),
    'the 101 has no "Connection: Upgrade" (4.2.2)',
  );
  const accepts = fieldLines(head, 'sec-websocket-accept');
  say(accepts.length !== 1, 'the 101 must have Sec-WebSocket-Accept exactly once (11.3.3)');
  say(
    accepts.length === 1 && accepts[0] !== acceptOf(asked.key),
    'Sec-WebSocket-Accept is not that of our key (4.2.2)',
  );
  const protocols = fieldLines(head, 'sec-websocket-protocol');
  say(protocols.length > 1, 'the 101 has Sec-WebSocket-Protocol more than once (11.3.4)');
  say(
    protocols.length === 1 && !asked.subprotocols.includes(protocols[0]!),
    'the 101 names a subprotocol that was not offered (4.2.2)',
  );
  const extensions = parseExtensions(fieldOf(head, 'sec-websocket-extensions') ?? '');
  for (const { name } of extensions) {
    say(
      !asked.extensions.includes(name),
      `the 101 names the extension ${name}, which was not offered (9.1)`,
    );
  }
  say(
    new Set(extensions.map(({ name }) => name)).size < extensions.length,
    'the 101 names an extension twice',
  );
  return faults;
}

/** The parameters of permessage-deflate that an element of `Sec-WebSocket-Extensions` stands for. */
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
