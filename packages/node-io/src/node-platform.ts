import { Buffer, isAscii, isUtf8, transcode } from 'node:buffer';
import { randomFillSync } from 'node:crypto';
import type { Host } from '@ws/conn';
import { nodeDeflate } from './deflate/zlib-deflate.ts';
import { diagnostics } from './diagnostics.ts';

// Where one way gets faster than the other; Node 20, random text, `ns` per call.

/** ASCII text from here on is decoded as Latin-1, two to three times as fast. */
const LATIN1_FROM = 2048;
/** Other text from here on goes through UTF-16 (404 B: 1,190 : 829, 10 KiB: 72,230 : 4,187). Bytes. */
const TRANSCODE_FROM = 400;
/** The same for encoding (2,000 units: 1,871 : 2,159, 5,000: 17,203 : 3,368). UTF-16 units. */
const TRANSCODE_TEXT_FROM = 3000;
/** Larger memory is not kept alive for the sake of a view. */
const VIEW_KEPT_TO = 64 * 1024;

/**
 * The last `Uint8Array` seen and a Buffer over the same bytes: what writes or reads text touches the same memory many
 * times in turn, and a view costs as much as a short text.
 */
class LastView {
  #bytes: Uint8Array | undefined;
  #view: Buffer | undefined;

  of(bytes: Uint8Array): Buffer {
    if (bytes instanceof Buffer) return bytes;
    if (bytes === this.#bytes) return this.#view!;
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.byteLength <= VIEW_KEPT_TO) {
      this.#bytes = bytes;
      this.#view = view;
    }
    return view;
  }
}

const written = new LastView();
const read = new LastView();

/**
 * A socket wraps what is no Buffer in one, at every write. A pool lends what came back last, and messages are often alike:
 * then the view is the same as well.
 */
class LastPart {
  #bytes: Uint8Array | undefined;
  #start = 0;
  #end = 0;
  #view: Buffer | undefined;

  of(bytes: Uint8Array, start: number, end: number): Buffer {
    if (bytes === this.#bytes && start === this.#start && end === this.#end) return this.#view!;
    const view = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
    if (bytes.byteLength <= VIEW_KEPT_TO) {
      this.#bytes = bytes;
      this.#start = start;
      this.#end = end;
      this.#view = view;
    }
    return view;
  }
}

const sent = new LastPart();

function writeUtf8(into: Uint8Array, at: number, text: string): number {
  if (text.length >= TRANSCODE_TEXT_FROM && looksForeign(text)) {
    const bytes = utf16ToUtf8(text);
    if (bytes !== undefined) {
      into.set(bytes, at);
      return bytes.length;
    }
  }
  return written.of(into).write(text, at, 'utf8');
}

/** Whether one of 32 characters is not ASCII, for which V8's own writer is fast. */
function looksForeign(text: string): boolean {
  const step = text.length >>> 5;
  for (let i = 0; i < text.length; i += step) if (text.charCodeAt(i) > 0x7f) return true;
  return false;
}

/** Undefined for text with a lone surrogate, which `transcode` refuses and `write` replaces. */
function utf16ToUtf8(text: string): Uint8Array | undefined {
  if (transcode === undefined) return undefined;
  try {
    return transcode(Buffer.from(text, 'utf16le'), 'utf16le', 'utf8');
  } catch {
    return undefined;
  }
}

function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  const buffer = read.of(bytes);
  if (length < TRANSCODE_FROM) return buffer.toString('utf8', start, end);
  const text = Buffer.from(buffer.buffer, buffer.byteOffset + start, length);
  if (isAscii(text)) return text.toString(length < LATIN1_FROM ? 'utf8' : 'latin1');
  // A Node without ICU has no transcode.
  if (transcode === undefined) return text.toString('utf8');
  return transcode(text, 'utf8', 'utf16le').toString('utf16le');
}

const resolved = Promise.resolve();
/** Two lists in turn: what is deferred while one is run waits in the other, for a round of its own. */
let deferred: (() => void)[] = [];
let running: (() => void)[] = [];

function runDeferred(): void {
  const round = deferred;
  deferred = running;
  running = round;
  let i = 0;
  try {
    while (i < round.length) round[i++]!();
  } finally {
    // One that throws all the same is for Node to tell. Those behind it get their turn.
    while (i < round.length) defer(round[i++]!);
    round.length = 0;
  }
}

function defer(callback: () => void): void {
  // A nextTick alone would run before the microtasks when called from a timer or from I/O.
  if (deferred.push(callback) === 1) void resolved.then(afterMicrotasks);
}

function afterMicrotasks(): void {
  process.nextTick(runDeferred);
}

function setTimer(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms).unref();
  return () => clearTimeout(timer);
}

/** Node as a {@link Host}: its Buffer for text, its crypto for masking keys, its clock, its event loop, its zlib, its diagnostics_channel. */
export const nodeHost: Host = {
  writeUtf8,
  decodeUtf8,
  isUtf8,
  view(bytes, start, end) {
    return sent.of(bytes, start, end);
  },
  randomFill(words) {
    randomFillSync(words);
  },
  now() {
    return performance.now();
  },
  setTimer,
  defer,
  yield(callback) {
    setImmediate(callback);
  },
  deflate: nodeDeflate,
  watch: diagnostics,
};
