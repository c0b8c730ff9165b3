import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { BinaryMessage, type DataType, TextMessage } from '@ws/node-client';
import { ExitCode, Failure, inputOutput, usage } from './failure.ts';
import { base64, hasLoneSurrogate, safeJson } from './formats.ts';
import { drained } from './io.ts';
import { finish, openRecording } from './recording-file.ts';

/** A message of a recording, as DevTools writes it into `_webSocketMessages` of a HAR file. */
export interface Recorded {
  readonly type: 'send' | 'receive';
  /** Seconds since 1970. */
  readonly time: number;
  /** 1 for text, 2 for binary. */
  readonly opcode: number;
  /** Text, or bytes in base64. */
  readonly data: string;
}

/** The bytes of a recorded message. */
export function bytesOfRecorded({ opcode, data }: Recorded): Buffer {
  return Buffer.from(data, opcode === BinaryMessage ? 'base64' : 'utf8');
}

function isHar(file: string): boolean {
  return /\.har$/i.test(file);
}

/** Writes a recording message by message. */
export class Recorder {
  readonly #file: string;
  readonly #stream: Writable;
  readonly #isHar: boolean;
  #isFirst = true;

  /**
   * @param replaces - Whether a file with content is replaced.
   * @param onFailure - Called when the file cannot be written.
   * @throws Failure, exit code 8, for a file with content that is not to be replaced.
   */
  constructor(file: string, url: string, replaces: boolean, onFailure: (failure: Failure) => void) {
    this.#file = file;
    this.#isHar = isHar(file);
    this.#stream = openRecording(file, replaces, this.#isHar ? HAR_TAIL : '');
    this.#stream.on('error', (error) => onFailure(inputOutput(file, error)));
    if (this.#isHar) void this.#append(harHead(url));
  }

  /** @returns A promise when the disk is slow. */
  add(type: Recorded['type'], opcode: DataType, bytes: Uint8Array): Promise<void> | undefined {
    const text = (): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
    const message: Recorded = {
      type,
      time: (performance.timeOrigin + performance.now()) / 1000,
      opcode,
      data: opcode === BinaryMessage ? base64(bytes) : text(),
    };
    // A peer may have sent what controls a terminal, on which the file is shown.
    const line = safeJson(message);
    const before = this.#isHar && !this.#isFirst ? ',\n' : '';
    this.#isFirst = false;
    return this.#append(this.#isHar ? before + line : `${line}\n`);
  }

  /** @throws Failure when something was not written. */
  close(): Promise<void> {
    return finish(this.#stream, this.#file);
  }

  #append(text: string): Promise<void> | undefined {
    return this.#stream.write(text) ? undefined : drained(this.#stream);
  }
}

/** A HAR file up to its first message: one entry, as DevTools exports a WebSocket. */
function harHead(url: string): string {
  const entry = {
    _initiator: { type: 'other' },
    _resourceType: 'websocket',
    cache: {},
    request: {
      method: 'GET',
      url,
      httpVersion: 'HTTP/1.1',
      headers: [],
      queryString: [],
      cookies: [],
      headersSize: -1,
      bodySize: 0,
    },
    response: {
      status: 101,
      statusText: 'Switching Protocols',
      httpVersion: 'HTTP/1.1',
      headers: [],
      cookies: [],
      content: { size: 0, mimeType: 'x-unknown' },
      redirectURL: '',
      headersSize: -1,
      bodySize: -1,
      _transferSize: 0,
      _error: null,
    },
    startedDateTime: new Date().toISOString(),
    time: 0,
    timings: { blocked: -1, dns: -1, connect: -1, ssl: -1, send: 0, wait: 0, receive: 0 },
  };
  const creator = { name: 'wsx', version: '1' };
  const head = safeJson({ log: { version: '1.2', creator, pages: [] } }).slice(0, -2);
  return `${head},"entries":[${safeJson(entry).slice(0, -1)},"_webSocketMessages":[\n`;
}

const HAR_TAIL = '\n]}]}}\n';

/** Most bytes of a HAR file: it is one JSON text, which is parsed as a whole. */
const MAX_HAR = 400 * 1024 ** 2;

/**
 * The messages of a file: JSON Lines are read line by line, however many there are.
 *
 * @param entry - The connection of a HAR file that has several, from 1 on.
 * @throws Failure for a file that cannot be read or is no recording.
 */
export async function* readRecording(
  file: string,
  entry: number | undefined,
): AsyncGenerator<Recorded, void, undefined> {
  if (isHar(file)) {
    for (const [i, message] of harMessages(file, await wholeFile(file), entry).entries()) {
      const recorded = recordedOf(message, () => `message ${i + 1}`, file);
      if (recorded !== undefined) yield recorded;
    }
    return;
  }
  let line = 0;
  for await (const text of linesOf(file)) {
    line++;
    // An editor may leave empty lines, and a byte order mark at the start.
    const json = line === 1 ? withoutMark(text) : text;
    if (json.trim() === '') continue;
    const recorded = recordedOf(parse(json, `${file}: line ${line}`), () => `line ${line}`, file);
    if (recorded !== undefined) yield recorded;
  }
}

async function wholeFile(file: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw inputOutput(file, error);
  }
  if (bytes.length <= MAX_HAR) return bytes.toString();
  throw broken(`${file} has ${bytes.length} bytes`, 'record long conversations as JSON Lines');
}

async function* linesOf(file: string): AsyncGenerator<string, void, undefined> {
  // Of the last line so far: it may come in many chunks.
  let held: string[] = [];
  try {
    for await (const chunk of createReadStream(file, 'utf8')) {
      const [rest, ...lines] = (chunk as string).split('\n');
      held.push(rest!);
      for (const line of lines) {
        yield held.join('');
        held = [line];
      }
    }
  } catch (error) {
    throw 'syscall' in (error as Error) ? inputOutput(file, error) : error;
  }
  yield held.join('');
}

/** DevTools writes no byte order mark, other tools do. */
function withoutMark(text: string): string {
  return text.replace(/^\ufeff/, '');
}

interface HarEntry {
  readonly request?: { readonly url?: unknown };
  readonly _webSocketMessages?: unknown;
}

function harMessages(file: string, text: string, entry: number | undefined): unknown[] {
  const har = parse(withoutMark(text), file) as {
    readonly log?: { readonly entries?: unknown };
  } | null;
  const entries = har?.log?.entries;
  if (!Array.isArray(entries)) throw broken(`${file}: no HAR file: it has no log.entries`);
  const found = (entries as (HarEntry | null)[]).filter((each) =>
    Array.isArray(each?._webSocketMessages),
  );
  if (found.length === 0) {
    throw broken(
      `${file}: no WebSocket messages`,
      'in DevTools, reload the page with the Network panel open, then export',
    );
  }
  if (entry === undefined && found.length > 1) {
    const urls = found.map((each, i) => `${i + 1} ${String(each?.request?.url)}`);
    throw usage(`${file}: ${found.length} connections: ${urls.join(', ')}`, 'choose: --entry N');
  }
  const chosen = found[(entry ?? 1) - 1];
  if (chosen !== undefined) return chosen?._webSocketMessages as unknown[];
  throw usage(`--entry ${entry}: ${file} has ${found.length}`);
}

function parse(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw broken(`${where}: not JSON: ${(error as Error).message}`);
  }
}

/** @returns Undefined for an error and a control frame, which are no messages. */
function recordedOf(value: unknown, which: () => string, file: string): Recorded | undefined {
  const {
    type,
    time = 0,
    opcode,
    data,
  } = (value ?? {}) as Partial<Record<keyof Recorded, unknown>>;
  if (type === 'error' || (typeof opcode === 'number' && opcode >= 8)) return undefined;
  const isMessage =
    (type === 'send' || type === 'receive') &&
    (opcode === TextMessage || opcode === BinaryMessage) &&
    typeof data === 'string' &&
    typeof time === 'number';
  if (opcode === TextMessage && hasLoneSurrogate(data)) {
    throw broken(`${file}: ${which()} has a lone surrogate, which a text cannot have`);
  }
  if (isMessage) return { type, time, opcode, data };
  throw broken(
    `${file}: ${which()} is no message`,
    'it has the fields type ("send" or "receive"), time, opcode (1 or 2), data',
  );
}

function broken(message: string, cure = ''): Failure {
  return new Failure(ExitCode.InputOutput, message, cure);
}
