import type { Compression, SharedEncoding } from '@ws/codec';
import type { EnginePool } from './engine-pool.ts';
import type { Deflater } from './engines.ts';
import { deflaterKey, type PooledEngine } from './pooled-engine.ts';

/** Size of the last bytes 00 00 FF FF, which are not sent (RFC 7692, section 7.2.1). */
const TAIL = 4;
const NO_COMPRESSION = 0;
/** A message for many connections may have this many times the `maxBytes` of one for one connection. */
const SHARED_TIMES = 16;

/**
 * Compresses the messages of one connection. With context takeover, a connection that sends often
 * owns a deflater that keeps its context, as long as enough deflaters are free. Otherwise each
 * message is compressed alone with a shared deflater: to keep what was sent for it would cost memory
 * of each connection, and 20 us for each message.
 */
export class Compressor implements SharedEncoding {
  /** -2 to 9. */
  level: number;
  /** Whether messages without their own option `compress` are compressed. */
  enabled = true;
  readonly engines: EnginePool;
  readonly compression: Compression;
  readonly windowBits: number;
  readonly #takeover: boolean;
  #engine: PooledEngine<Deflater> | undefined;
  /** The buffer with the last compressed message. */
  #output: Uint8Array;

  /**
   * @param takeover - Whether messages may refer back to earlier ones.
   * @param windowBits - The largest distance, as a power of two.
   */
  constructor(
    engines: EnginePool,
    compression: Compression,
    takeover: boolean,
    windowBits: number,
  ) {
    this.engines = engines;
    this.compression = compression;
    this.windowBits = windowBits;
    this.level = compression.level;
    this.#output = engines.output;
    this.#takeover = takeover;
  }

  /** The level and window bits that a deflater has. No other extension uses a number as its key. */
  get key(): number {
    return deflaterKey(this.level, this.windowBits);
  }

  get maxBytes(): number {
    return this.compression.maxBytes * SHARED_TIMES;
  }

  /** Whether to compress a message of `size` bytes; `compress` is the option of the write. */
  wants(size: number, compress: boolean | undefined): boolean {
    if (this.level === NO_COMPRESSION) return false;
    return compress ?? (this.enabled && size >= this.compression.threshold);
  }

  /**
   * The buffer with the last compressed message in `[0, n)`. Call once, and copy the bytes before
   * any other call.
   */
  takeOutput(): Uint8Array {
    const output = this.#output;
    // A buffer that was created for a large message is not kept.
    this.#output = this.engines.output;
    return output;
  }

  /**
   * Compresses a message.
   *
   * @returns Bytes written to {@link takeOutput}, or 0 when the message would not be smaller.
   * @throws what the platform throws, for example without memory.
   */
  deflate(bytes: Uint8Array, start: number, end: number): number {
    // It would cost the context.
    if (start === end) return 0;
    const { key, engines } = this;
    const remembers = this.#takeover && this.#remembers(key);
    if (this.#takeover && !remembers) {
      this.#engine = engines.deflaters.own(this, key);
    }
    const own = this.#engine;
    const engine = own ?? engines.deflaters.acquire(key);
    const n = this.#whole(engine, remembers, bytes, start, end);
    if (own === undefined) engines.deflaters.release(engine);
    // The message is sent uncompressed, so it is not in the peer's window.
    else if (n === 0) own.owner = undefined;
    return n;
  }

  /** Undefined when the message would not be smaller. */
  alone(bytes: Uint8Array): Uint8Array | undefined {
    const engine = this.engines.deflaters.acquire(this.key);
    const n = this.#whole(engine, false, bytes, 0, bytes.length);
    this.engines.deflaters.release(engine);
    return n === 0 ? undefined : new Uint8Array(this.takeOutput().subarray(0, n));
  }

  /**
   * Records a message that another deflater compressed: it is in the peer's window, but not in our
   * deflater.
   */
  recordSent(): void {
    this.forget();
  }

  /** Gives up the owned deflater: it has missed a message, or has one that was not sent. */
  forget(): void {
    if (this.#engine?.owner === this) this.#engine.owner = undefined;
    this.#engine = undefined;
  }

  /** Whether the owned deflater has seen all messages. */
  #remembers(key: number): boolean {
    const engine = this.#engine;
    if (engine?.owner !== this) return false;
    const { engines } = this;
    if (engine.key === key && engine.generation === engines.source.generation) {
      engines.deflaters.touch(engine);
      return true;
    }
    engine.owner = undefined;
    return false;
  }

  /** @param continues - Whether the deflater keeps its context. */
  #whole(
    pooled: PooledEngine<Deflater>,
    continues: boolean,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): number {
    const { engine } = pooled;
    const size = end - start;
    const { output } = this.engines;
    try {
      const room = size + TAIL > output.length ? new Uint8Array(size + TAIL) : output;
      if (!continues) engine.reset();
      // A result that does not fit is not smaller.
      const whole = engine.write(bytes, start, end, true, room, 0, size + TAIL - 1);
      if (!whole || size === 0) return 0;
      this.#output = room;
      return engine.produced - TAIL;
    } catch (error) {
      this.engines.deflaters.discard(pooled);
      throw error;
    }
  }
}

/** Compresses a message fragment by fragment, as it is written. */
export class StreamCompressor {
  /** The buffer with the last compressed fragment. Copy it before any other call. */
  output: Uint8Array;
  readonly #compressor: Compressor;
  readonly #engine: PooledEngine<Deflater>;
  #begun = false;
  #broken = false;

  constructor(compressor: Compressor, engine: PooledEngine<Deflater>) {
    this.#compressor = compressor;
    this.#engine = engine;
    this.output = compressor.engines.output;
    // The owned deflater does not see this message.
    compressor.forget();
  }

  /**
   * Compresses the next fragment, so that the peer can inflate all of it at once.
   *
   * @returns `n`: the result is `output[0, n)`.
   * @throws what the platform throws, for example without memory.
   */
  fragment(bytes: Uint8Array, start: number, end: number, fin: boolean): number {
    const { engines } = this.#compressor;
    this.output = engines.output;
    this.#broken = true;
    if (!this.#begun) this.#engine.engine.reset();
    this.#begun = true;
    const size = this.#flush(bytes, start, end);
    this.#broken = false;
    if (!fin) return size;
    if (size > 0) return size - TAIL;
    // Nothing was left to flush: an empty stored block without its tail (RFC 7692, section
    // 7.2.3.6).
    this.output[0] = 0;
    return 1;
  }

  /** Releases the deflater: the message is complete or was given up. */
  release(): void {
    this.#compressor.engines.deflaters.releaseFromStream(this.#engine, this.#broken);
  }

  #flush(bytes: Uint8Array, start: number, end: number): number {
    const { engine } = this.#engine;
    let from = start;
    let size = 0;
    for (;;) {
      const whole = engine.write(bytes, from, end, true, this.output, size, this.output.length);
      from += engine.used;
      size += engine.produced;
      if (whole) return size;
      const larger = new Uint8Array(this.output.length * 2);
      larger.set(this.output);
      this.output = larger;
    }
  }
}
