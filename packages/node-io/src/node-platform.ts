import { Buffer, isAscii, isUtf8, transcode } from 'node:buffer';
import { randomFillSync } from 'node:crypto';
import { markAsUntransferable } from 'node:worker_threads';
import { bufferOf, byteOffsetOf, lengthOf } from '@ws/codec/internal';
import type { Platform } from '@ws/conn';
import { asyncContexts, YieldQueue } from '@ws/conn/internal';
import {
  bindContext,
  captureContext,
  inOwnContext,
  inRootContext,
  nextTick,
} from './async-contexts.ts';
import { debug, diagnostics } from './diagnostics.ts';
import { nodeDeflate } from './zlib-deflate.ts';

// Crossovers between two ways, in ns per call with Node 20 and random text.

/** Bytes. From here on ASCII is decoded as Latin-1, which is two to three times as fast. */
const LATIN1_FROM = 2048;
/**
 * Bytes. From here on other text is decoded through UTF-16 (404 bytes: 1,190 and 829 ns, 10 KiB:
 * 72,230 and 4,187 ns).
 */
const TRANSCODE_FROM = 400;
/**
 * UTF-16 units. From here on such text is encoded through UTF-16 (2,000 units: 1,871 and 2,159 ns,
 * 5,000 units: 17,203 and 3,368 ns).
 */
const TRANSCODE_TEXT_FROM = 3000;

/** The oldest version of Node that has all functions which these packages call. */
const OLDEST = { major: 20, minor: 19 };

/** Warns of a Node that is older. Every package for Node loads this. */
export function warnOfOldNode(version: string, warn: (text: string) => void): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST.major || (major === OLDEST.major && minor >= OLDEST.minor)) return;
  const oldest = `${OLDEST.major}.${OLDEST.minor}`;
  warn(`websocket: @ws/node-io needs Node ${oldest} or newer; this is Node ${version}`);
}

/** The major version of Node. Bun and Deno give the version that they imitate. */
const NODE = Number.parseInt(process.versions.node, 10);

asyncContexts.capture = captureContext;
asyncContexts.bind = bindContext;
asyncContexts.inRoot = inRootContext;
asyncContexts.inOwnContext = inOwnContext;

warnOfOldNode(process.versions.node, (text) => process.emitWarning(text));

// From these versions on, Buffer is as fast for long text as the detours below, and makes less
// garbage (16 KiB of mixed scripts decoded: 44.9 and 8.3 µs with Node 20, 6.8 and 8.2 with Node 26).
// A Node without ICU has no `transcode`.
const toUtf16 = NODE < 24 ? transcode : undefined;
const toUtf8 = NODE < 26 ? transcode : undefined;

/** Bytes. A view does not keep larger memory alive. */
const VIEW_KEPT_TO = 64 * 1024;

/**
 * The last part of a `Uint8Array` and a Buffer over it. Text is read from and written to the same
 * memory many times in a row, and a new view costs as much as a short text. A socket creates a Buffer
 * for each write of other bytes. A pool leases the memory that came back last, and messages often
 * have the same size.
 */
class LastPart {
  #bytes: Uint8Array | undefined;
  #from = 0;
  #to = 0;
  #view: Buffer | undefined;

  of(bytes: Uint8Array, start = 0, end: number = lengthOf(bytes)): Buffer {
    if (bytes === this.#bytes && start === this.#from && end === this.#to) return this.#view!;
    const view = Buffer.from(bufferOf(bytes), byteOffsetOf(bytes) + start, end - start);
    if (lengthOf(bytes) <= VIEW_KEPT_TO) {
      this.#bytes = bytes;
      this.#from = start;
      this.#to = end;
      this.#view = view;
    }
    return view;
  }
}

const written = new LastPart();
const read = new LastPart();
const sent = new LastPart();

function writeUtf8(into: Uint8Array, at: number, text: string): number {
  if (toUtf8 !== undefined && text.length >= TRANSCODE_TEXT_FROM && looksNonAscii(text)) {
    const bytes = utf16ToUtf8(text);
    if (bytes !== undefined) {
      into.set(bytes, at);
      return bytes.length;
    }
  }
  return written.of(into).write(text, at, 'utf8');
}

/** Whether one of 32 sampled characters is not ASCII. V8's own writer is fast for ASCII. */
function looksNonAscii(text: string): boolean {
  const step = text.length >>> 5;
  for (let i = 0; i < text.length; i += step) if (text.charCodeAt(i) > 0x7f) return true;
  return false;
}

/** Undefined for text with a lone surrogate: `transcode` rejects it, and `write` replaces it. */
function utf16ToUtf8(text: string): Uint8Array | undefined {
  try {
    return toUtf8?.(Buffer.from(text, 'utf16le'), 'utf16le', 'utf8');
  } catch {
    return undefined;
  }
}

function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  const buffer = read.of(bytes);
  if (toUtf16 === undefined || length < TRANSCODE_FROM) return buffer.toString('utf8', start, end);
  const text = Buffer.from(buffer.buffer, buffer.byteOffset + start, length);
  if (isAscii(text)) return text.toString(length < LATIN1_FROM ? 'utf8' : 'latin1');
  return utf8ToUtf16(text)?.toString('utf16le') ?? text.toString('utf8');
}

/** Undefined for invalid UTF-8: `transcode` rejects it, and `toString` replaces it. */
function utf8ToUtf16(text: Buffer): Buffer | undefined {
  try {
    return toUtf16?.(text, 'utf8', 'utf16le');
  } catch {
    return undefined;
  }
}

const resolved = Promise.resolve();

/** The callback of {@link defer} that waits for the microtasks: one in most turns. */
let deferred: (() => void) | undefined;

function defer(task: () => void): void {
  // From a timer or an I/O callback, a nextTick alone would run before the microtasks.
  if (deferred !== undefined) return void resolved.then(() => tick(task));
  deferred = task;
  void resolved.then(afterMicrotasks);
}

function afterMicrotasks(): void {
  const task = deferred!;
  deferred = undefined;
  tick(task);
}

function tick(task: () => void): void {
  inRootContext(nextTick, task);
}

/**
 * Lets the process end before a timer fires. In a renderer of Electron, `setTimeout` belongs to the
 * page and returns a number. Such a timer keeps no process alive.
 */
export function unref(timer: NodeJS.Timeout | undefined): void {
  (timer as Partial<NodeJS.Timeout> | undefined)?.unref?.();
}

function setTimer(ms: number, callback: () => void, keepAlive = false): () => void {
  // A timer is cleared by the functions that made it. Fake timers may replace them meanwhile.
  const clear = clearTimeout;
  const timer = inRootContext(setTimeout, callback, ms);
  if (!keepAlive) unref(timer);
  return () => clear(timer);
}

const yielded = /* @__PURE__ */ new YieldQueue((run) => void inRootContext(setImmediate, run));

/**
 * Whether the mark has an effect. Other runtimes have the function, and it may do nothing or throw.
 * Node 20 copies a marked buffer instead of a transfer, later versions throw a DataCloneError.
 */
function canMark(): boolean {
  const probe = new ArrayBuffer(1);
  try {
    markAsUntransferable(probe);
  } catch {
    return false;
  }
  try {
    structuredClone(probe, { transfer: [probe] });
  } catch {}
  return probe.byteLength > 0;
}

/**
 * Node as a {@link Platform}: text by Buffer, masking keys by node:crypto, compression by
 * node:zlib, Node's clock, timers and event loop, and node:diagnostics_channel.
 *
 * @example
 * ```ts
 * import { connPair } from '@ws/conn';
 * import { nodePlatform } from '@ws/node-io';
 *
 * const [client, server] = connPair({ platform: nodePlatform, compression: true });
 * await client.send('hello');
 * console.log((await server.readMessage()).text()); // hello
 * ```
 */
export const nodePlatform: Platform = {
  writeUtf8,
  decodeUtf8,
  isUtf8,
  view(bytes, start, end) {
    return sent.of(bytes, start, end);
  },
  markUntransferable: canMark() ? markAsUntransferable : undefined,
  randomFill(words) {
    randomFillSync(words);
  },
  now() {
    return performance.now();
  },
  setTimer,
  defer,
  yield(callback) {
    yielded.add(callback);
  },
  warn(text) {
    process.emitWarning(text);
  },
  deflate: nodeDeflate,
  get overwritesLentBytes() {
    return debug.enabled;
  },
  observer: diagnostics,
};
