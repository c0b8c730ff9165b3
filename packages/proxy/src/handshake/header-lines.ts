import { validateHeaderName, validateHeaderValue } from 'node:http';
import { headerEntries } from '@ws/http-shared';
import type { HeadersInput } from '@ws/node-client';

/** One header line: name and value. */
export type HeaderLine = readonly [name: string, value: string];

/** Fields of one connection, never of the next (RFC 9110, section 7.6.1). */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Fields that the handshake writes itself, so that both sides agree on them. */
const OWNED: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'content-length',
  'expect',
  'sec-websocket-accept',
  'sec-websocket-extensions',
  'sec-websocket-key',
  'sec-websocket-protocol',
  'sec-websocket-version',
]);

/** Reads lines of names and values in turn, as `rawHeaders` has them. */
export function linesOf(rawHeaders: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    lines.push([rawHeaders[i]!, rawHeaders[i + 1]!]);
  return lines;
}

/**
 * Returns the lines that may pass to the next connection: without hop-by-hop fields, without those
 * that `Connection` names, and without the fields of the handshake.
 */
export function endToEnd(lines: readonly HeaderLine[]): HeaderLine[] {
  const named = new Set<string>();
  for (const [name, value] of lines) {
    if (name.toLowerCase() !== 'connection') continue;
    for (const each of value.split(',')) named.add(each.trim().toLowerCase());
  }
  return lines.filter(([name]) => {
    const lower = name.toLowerCase();
    return !OWNED.has(lower) && !named.has(lower);
  });
}

/** Returns lines as an object that a function of the application may change. */
export function headersOf(lines: readonly HeaderLine[]): Headers {
  const headers = new Headers();
  for (const [name, value] of lines) headers.append(name, value);
  return headers;
}

/**
 * Returns the lines of headers that a function of the application has changed.
 *
 * @param option - The name of the function.
 * @throws TypeError when it has set a header that the handshake owns.
 */
export function linesFrom(headers: Headers, option: string): HeaderLine[] {
  for (const name of headers.keys()) checkNotOwned(option, name);
  return [...headers];
}

/**
 * Checks headers of the application and returns their lines.
 *
 * @throws TypeError for a header that cannot be sent, and for one that the handshake owns.
 */
export function checkedLines(option: string, input: HeadersInput): HeaderLine[] {
  if (typeof input !== 'object' || input === null) {
    throw new TypeError(`${option}: expected an object, Headers or pairs`);
  }
  const lines: HeaderLine[] = [];
  for (const [name, value] of headerEntries(input)) {
    if (value === undefined) continue;
    checkNotOwned(option, name);
    for (const line of Array.isArray(value) ? (value as unknown[]) : [value]) {
      lines.push([name, checkedValue(option, name, line)]);
    }
  }
  return lines;
}

function checkedValue(option: string, name: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`${option}: ${name} is not a string`);
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch (cause) {
    throw new TypeError(`${option}: ${(cause as Error).message}`, { cause });
  }
  return value;
}

function checkNotOwned(option: string, name: string): void {
  if (!OWNED.has(name.toLowerCase())) return;
  throw new TypeError(`${option}: ${name} is the handshake's own and cannot be set; remove it`);
}

/** Formats lines, each with its line end. */
export function formatLines(lines: readonly HeaderLine[]): string {
  let text = '';
  for (const [name, value] of lines) text += `${name}: ${value}\r\n`;
  return text;
}

/** Returns the lines of `base` without the fields of `over`, then `over`. */
export function replaced(base: readonly HeaderLine[], over: readonly HeaderLine[]): HeaderLine[] {
  const names = new Set(over.map(([name]) => name.toLowerCase()));
  return [...base.filter(([name]) => !names.has(name.toLowerCase())), ...over];
}
