import type { Duplex } from 'node:stream';
import { RequestHead } from '@ws/codec';
import { schedulerOf, type TimerEntry } from '@ws/conn/internal';
import { nodePlatform } from '@ws/node-io';
import { GatheredBytes, ignore } from '../handshake-waits.ts';

const READING = Symbol('head');

/** The listeners find their reading on the stream, so that a stream has no closure. */
interface Read extends Duplex {
  [READING]?: HeadReading | undefined;
}

/** Gets the ends of readings. Each reading has exactly one end. */
export interface HeadOwner {
  /** Whether the bytes of the head are kept as they came, for another reader. */
  readonly keepsBytes: boolean;
  /**
   * The head is complete or malformed, as `reading.head` says. The stream is paused.
   *
   * @param rest - The bytes after the head in the last chunk.
   */
  read(reading: HeadReading, rest: Uint8Array): void;
  /** The peer has sent a FIN within the head, or the time is up. */
  incomplete(reading: HeadReading, cause: 'end' | 'timeout'): void;
  /** The stream has closed. */
  closed(reading: HeadReading): void;
}

/** Reads one request head from a stream. The stream may stay silent, so nothing else is created. */
export class HeadReading {
  readonly stream: Duplex;
  readonly owner: HeadOwner;
  /** By `performance.now()`. */
  readonly startedAt: number = performance.now();
  /** Undefined before the first byte. */
  head: RequestHead | undefined = undefined;
  /** All bytes so far, in their order; undefined unless the owner keeps them. */
  bytes: GatheredBytes | undefined = undefined;
  readonly #heads: PendingHeads;

  constructor(stream: Duplex, owner: HeadOwner, heads: PendingHeads) {
    this.stream = stream;
    this.owner = owner;
    this.#heads = heads;
  }

  receive(chunk: Uint8Array): void {
    if (typeof chunk === 'string') {
      const text = 'the stream has an encoding and reads no bytes; do not call setEncoding()';
      return void this.stream.destroy(new TypeError(text));
    }
    this.head ??= new RequestHead();
    if (this.owner.keepsBytes) this.#keep(chunk);
    if (this.head.push(chunk) === 'more') return;
    this.stop();
    this.owner.read(this, chunk.subarray(this.head.end));
  }

  /** Ends the reading and pauses the stream. Errors of the stream are still caught. */
  stop(): void {
    this.#heads.end(this);
  }

  #keep(chunk: Uint8Array): void {
    if (this.bytes === undefined) this.bytes = new GatheredBytes(chunk);
    else this.bytes.append(chunk);
  }
}

/** The streams whose request heads are not complete. One timer bounds the time of all of them. */
export class PendingHeads implements TimerEntry {
  /** Maintained by the timers of the process. */
  slot: number | undefined = undefined;
  readonly #timeout: number;
  /** The oldest first: all have the same time. */
  readonly #readings = new Set<HeadReading>();

  /** @param timeout - Milliseconds for a head; Infinity for no bound. */
  constructor(timeout: number) {
    this.#timeout = timeout;
  }

  /** Starts to read. From here on every error of the stream is caught. */
  begin(stream: Duplex, owner: HeadOwner): HeadReading {
    const reading = new HeadReading(stream, owner, this);
    (stream as Read)[READING] = reading;
    // Otherwise a stream would end itself at the peer's FIN.
    stream.allowHalfOpen = true;
    this.#readings.add(reading);
    stream.on('error', ignore).on('close', onClose).on('end', onEnd).on('data', onData);
    // A listener alone does not resume a stream that was paused before.
    stream.resume();
    if (this.slot === undefined) this.#setTimer(reading);
    return reading;
  }

  /** Called by {@link HeadReading.stop}. */
  end(reading: HeadReading): void {
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
      reading.stop();
      reading.owner.incomplete(reading, 'timeout');
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
  const reading = this[READING];
  if (reading === undefined) return;
  reading.stop();
  reading.owner.incomplete(reading, 'end');
}

function onClose(this: Read): void {
  const reading = this[READING];
  if (reading === undefined) return;
  reading.stop();
  reading.owner.closed(reading);
}
