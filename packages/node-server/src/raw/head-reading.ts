import { maxHeaderSize } from 'node:http';
import type { Duplex } from 'node:stream';
import { RequestHead } from '@ws/codec';
import { NO_BYTES } from '@ws/codec/internal';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { destroyOnError } from '../client-socket.ts';
import { GatheredBytes } from '../early-bytes.ts';

const READING = Symbol('head');
/** As for `serve`: Node's bound of a head, and half of its default bound of names and values. */
const LIMITS = { maxBytes: maxHeaderSize, maxTarget: maxHeaderSize, maxLines: 1_000 };

/** The listeners find their reading on the stream, so that a stream has no closure. */
interface Read extends Duplex {
  [READING]?: HeadReading | undefined;
}

/**
 * How a reading ends: the head was `read` and is complete or malformed, as `reading.head` says; the
 * peer has sent a FIN within it; its time is up; or the stream has closed.
 */
export type HeadEnd = 'read' | 'end' | 'timeout' | 'close';

/**
 * Gets the end of a reading. Each reading has exactly one. The stream is paused.
 *
 * @param rest - The bytes after the head in the last chunk.
 */
export type OnHead = (reading: HeadReading, end: HeadEnd, rest: Uint8Array) => void;

/** Reads one request head from a stream. The stream may stay silent, so nothing else is created. */
export class HeadReading {
  readonly stream: Duplex;
  /** By `performance.now()`. */
  readonly startedAt: number = performance.now();
  /** Undefined before the first byte. */
  head: RequestHead | undefined = undefined;
  /** All bytes so far, in their order; undefined unless they are kept. */
  bytes: GatheredBytes | undefined = undefined;
  readonly #onHead: OnHead;
  readonly #heads: PendingHeads;

  constructor(stream: Duplex, onHead: OnHead, heads: PendingHeads) {
    this.stream = stream;
    this.#onHead = onHead;
    this.#heads = heads;
  }

  receive(chunk: Uint8Array): void {
    if (typeof chunk === 'string') {
      const text = 'the stream has an encoding and reads no bytes; do not call setEncoding()';
      return void this.stream.destroy(new TypeError(text));
    }
    this.head ??= new RequestHead(LIMITS);
    if (this.#heads.keepsBytes) this.#keep(chunk);
    if (this.head.push(chunk) === 'more') return;
    this.stop('read', chunk.subarray(this.head.end));
  }

  /** Stops the reading and pauses the stream. Errors of the stream are still caught. */
  stop(end: HeadEnd, rest: Uint8Array = NO_BYTES): void {
    this.#heads.remove(this);
    this.#onHead(this, end, rest);
  }

  #keep(chunk: Uint8Array): void {
    if (this.bytes === undefined) this.bytes = new GatheredBytes(chunk);
    else this.bytes.append(chunk);
  }
}

/** The streams with incomplete request heads. One timer bounds the time of all of them. */
export class PendingHeads implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  /** Whether the bytes of the heads are kept as they came, for another reader. */
  readonly keepsBytes: boolean;
  readonly #timeout: number;
  /** The oldest first: all have the same time. */
  readonly #readings = new Set<HeadReading>();

  /** @param timeout - Milliseconds for a head; Infinity for no bound. */
  constructor(timeout: number, keepsBytes: boolean) {
    this.#timeout = timeout;
    this.keepsBytes = keepsBytes;
  }

  /** Starts to read. From here on every error of the stream is caught. */
  begin(stream: Duplex, onHead: OnHead): HeadReading {
    const reading = new HeadReading(stream, onHead, this);
    (stream as Read)[READING] = reading;
    // Otherwise a stream would end itself at the peer's FIN.
    stream.allowHalfOpen = true;
    this.#readings.add(reading);
    stream.on('error', destroyOnError).on('close', onClose).on('end', onEnd).on('data', onData);
    // A listener alone does not resume a stream that was paused before.
    stream.resume();
    if (this.slot === undefined) this.#setTimer(reading);
    return reading;
  }

  /** Called by {@link HeadReading.stop}. */
  remove(reading: HeadReading): void {
    const { stream } = reading;
    this.#readings.delete(reading);
    (stream as Read)[READING] = undefined;
    stream.off('data', onData).off('end', onEnd).off('close', onClose).pause();
  }

  destroyAll(): void {
    schedulerOf(nodePlatform).timers.clear(this);
    for (const { stream } of this.#readings) stream.destroy();
  }

  /** The time is up for the oldest head of the moment when the timer was set. */
  fire(): void {
    const due = performance.now() - this.#timeout;
    for (const reading of this.#readings) {
      if (reading.startedAt > due) return this.#setTimer(reading);
      reading.stop('timeout');
    }
  }

  #setTimer({ startedAt }: HeadReading): void {
    if (this.#timeout === Infinity) return;
    const remaining = startedAt + this.#timeout - performance.now();
    schedulerOf(nodePlatform).timers.set(this, Math.max(remaining, 0));
  }
}

/** Whether a head is being read from the stream. */
export function isReadingHead(stream: Duplex): boolean {
  return (stream as Read)[READING] !== undefined;
}

// A stream calls these with itself as `this`.

function onData(this: Read, chunk: Uint8Array): void {
  this[READING]?.receive(chunk);
}

function onEnd(this: Read): void {
  this[READING]?.stop('end');
}

function onClose(this: Read): void {
  this[READING]?.stop('close');
}
