import { isUtf8 } from 'node:buffer';
import { BinaryMessage, type DataType, TextMessage } from '@ws/node-client';
import { escapeControls } from './escape.ts';
import { ExitCode, Failure, usage } from './failure.ts';
import type { OptionName, Values } from './options.ts';

/** How messages look in stdin and stdout. */
export type Format = 'lines' | 'null' | 'binary' | 'base64' | 'jsonl';

/** The options that choose a format. */
const FORMAT_OPTIONS = ['binary', 'null', 'base64', 'jsonl'] as const satisfies OptionName[];

/** @throws Failure, exit code 2, for two formats. */
export function formatOf(values: Values): Format {
  const given = FORMAT_OPTIONS.filter((name) => values[name] === true);
  if (given.length > 1) throw usage(`--${given[0]} and --${given[1]} exclude each other`);
  return given[0] ?? 'lines';
}

export const NEWLINE = 10;

/** Writes one message in a format, piece by piece. */
export interface Encoder {
  readonly begin: Uint8Array;
  piece(bytes: Uint8Array): Uint8Array;
  end(): Uint8Array;
}

const EMPTY = new Uint8Array(0);
export const LINE_END: Uint8Array = Uint8Array.of(NEWLINE);
const NUL = Uint8Array.of(0);

/** The bytes after each message. Undefined for a format that encodes messages. */
export function terminatorOf(format: Format): Uint8Array | undefined {
  switch (format) {
    case 'lines':
      return LINE_END;
    case 'null':
      return NUL;
    case 'binary':
      return EMPTY;
    case 'base64':
    case 'jsonl':
      return undefined;
  }
}

/** @param client - The number of a client of `listen`, for JSON Lines. */
export function encoderOf(format: Format, type: DataType, client?: number): Encoder {
  const terminator = terminatorOf(format);
  if (terminator !== undefined) {
    return { begin: EMPTY, piece: (bytes) => bytes, end: () => terminator };
  }
  if (format === 'base64') return base64Encoder('', '\n');
  const from = client === undefined ? '' : `"client":${client},`;
  const head = (name: string): string => `{${from}"type":"${name}","data":"`;
  return type === BinaryMessage
    ? base64Encoder(head('binary'), '"}\n')
    : jsonStringEncoder(head('text'), '"}\n');
}

/** Base64 needs groups of three bytes: the rest of a piece waits for the next piece. */
function base64Encoder(head: string, tail: string): Encoder {
  let rest = Buffer.alloc(0);
  return {
    begin: Buffer.from(head),
    piece(bytes) {
      const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      const whole = all.length - (all.length % 3);
      rest = Buffer.from(all.subarray(whole));
      return Buffer.from(base64(all.subarray(0, whole)));
    },
    end: () => Buffer.from(base64(rest) + tail),
  };
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
}

/** The library has checked the text: only its last character may be incomplete in a piece. */
function jsonStringEncoder(head: string, tail: string): Encoder {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const inner = (text: string): Uint8Array => Buffer.from(safeJson(text).slice(1, -1));
  return {
    begin: Buffer.from(head),
    piece: (bytes) => inner(decoder.decode(bytes, { stream: true })),
    end: () => Buffer.from(tail),
  };
}

/** JSON that is safe on a terminal too. */
export function safeJson(value: unknown): string {
  return escapeControls(JSON.stringify(value));
}

/** A whole message. */
export interface WholeMessage {
  readonly type: DataType;
  readonly bytes: Uint8Array;
}

const BASE64 = /^[A-Za-z0-9+/_-]*(={0,2})\r?$/;

/**
 * Decodes a line in base64, or whole groups of four from its begin.
 *
 * @throws Failure, exit code 8.
 */
export function fromBase64(text: string, line: number, isEnd = true): Uint8Array {
  const padding = BASE64.exec(text)?.[1];
  const digits = text.replace(/=*\r?$/, '').length;
  if (padding === undefined || digits % 4 === 1 || (!isEnd && digits < text.length)) {
    throw badLine(line, 'is not base64', '');
  }
  return Buffer.from(text, 'base64');
}

/** @throws Failure, exit code 8, when the line is no message in JSON. */
export function fromJson(bytes: Uint8Array, line: number): WholeMessage {
  // The decoder would replace the other bytes.
  checkUtf8(bytes, line);
  let value: { readonly type?: unknown; readonly data?: unknown } | null;
  try {
    value = JSON.parse(Buffer.from(bytes).toString()) as typeof value;
  } catch (error) {
    throw badLine(line, `is not JSON: ${(error as Error).message}`, '');
  }
  const { type, data } = value ?? {};
  if (type === 'text' && hasLoneSurrogate(data)) {
    throw badLine(line, 'is no text: it has a lone surrogate', 'send bytes as binary data');
  }
  if ((type === 'text' || type === 'binary') && typeof data === 'string') {
    return type === 'text'
      ? { type: TextMessage, bytes: Buffer.from(data) }
      : { type: BinaryMessage, bytes: fromBase64(data, line) };
  }
  throw badLine(line, 'is no message', 'write {"type":"text","data":"…"}; binary data in base64');
}

/** Whether `text` has half of a pair, for which UTF-8 has no bytes. */
export function hasLoneSurrogate(text: unknown): boolean {
  return typeof text === 'string' && /\p{Surrogate}/u.test(text);
}

/** @throws Failure, exit code 8. */
export function checkUtf8(bytes: Uint8Array, line: number): void {
  if (!isUtf8(bytes)) throw notUtf8(line);
}

function notUtf8(line: number): Failure {
  return badLine(line, 'is not UTF-8', 'send bytes with --binary or --base64');
}

function badLine(line: number, what: string, cure: string): Failure {
  return new Failure(ExitCode.InputOutput, `stdin: line ${line} ${what}`, cure);
}

/**
 * Returns a check of a text that comes in pieces. A call without bytes ends the text.
 *
 * @throws (the check) Failure, exit code 8.
 */
export function utf8Check(line: number): (bytes?: Uint8Array) => void {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return (bytes) => {
    try {
      decoder.decode(bytes, { stream: bytes !== undefined });
    } catch {
      throw notUtf8(line);
    }
  };
}
