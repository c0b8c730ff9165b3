import {
  CloseCode,
  type Compression,
  type DeflateParameters,
  type Extension,
  type ExtensionRuntime,
  type MessageDeflate,
  ProtocolError,
  type Role,
} from '@ws/codec';
import { Compressor, StreamCompressor } from './compressor.ts';
import { Decompressor } from './decompressor.ts';
import { enginePoolOf } from './engine-pool.ts';
import type { DeflateEngines } from './engines.ts';
import type { InflateBudget, InflateWaiter } from './inflate-budget.ts';
import { deflateLimits } from './limits.ts';

/** The RSV1 bit in the first byte of a frame: the message is compressed (RFC 7692, section 6). */
const RSV1 = 0x40;
/** Charged for each step on top of its plain bytes. */
const STEP_COST = 64;

/**
 * permessage-deflate as both ends agreed on it, seen from one end (RFC 7692). On the way in it
 * inflates messages step by step; above the thread's {@link InflateBudget} it waits for a later turn.
 */
export class PerMessageDeflate implements Extension, InflateWaiter {
  readonly rsv: number = RSV1;
  readonly runtime: ExtensionRuntime;
  readonly compressor: Compressor;
  waiting = false;
  /** Whether the last step has made the last byte of the message. */
  done = false;
  output: Uint8Array;
  resume: (() => void) | undefined = undefined;
  readonly #decompressor: Decompressor;
  readonly #budget: InflateBudget;
  /** Compresses the message that is sent in fragments. */
  #stream: StreamCompressor | undefined;

  constructor(
    source: DeflateEngines,
    parameters: DeflateParameters,
    compression: Compression,
    role: Role,
    runtime: ExtensionRuntime,
  ) {
    const engines = enginePoolOf(source, runtime);
    const server = {
      takeover: !parameters.serverNoContextTakeover,
      bits: parameters.serverMaxWindowBits,
    };
    const client = {
      takeover: !parameters.clientNoContextTakeover,
      bits: parameters.clientMaxWindowBits,
    };
    const [ours, theirs] = role === 'server' ? [server, client] : [client, server];
    // A sender may always forget its history. A receiver must keep it unless that was excluded.
    const remembers = ours.takeover && compression.mode === 'takeover';
    this.runtime = runtime;
    this.compressor = new Compressor(engines, compression, remembers, ours.bits);
    this.output = engines.output;
    this.#decompressor = new Decompressor(engines, theirs.takeover, theirs.bits);
    this.#budget = engines.inflateBudget;
  }

  /** Bytes of the window with earlier messages of the peer. */
  get historyBytes(): number {
    return this.#decompressor.held;
  }

  // The way in

  get more(): boolean {
    return this.#decompressor.more;
  }

  get unread(): number {
    return this.#decompressor.left;
  }

  get held(): number {
    return this.#decompressor.waitingBytes;
  }

  begin(): void {
    this.#decompressor.beginMessage();
  }

  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#decompressor.feed(bytes, start, end, last);
  }

  keep(): void {
    this.#decompressor.keepInput();
  }

  ready(): boolean {
    return !this.waiting && this.#budget.request(this);
  }

  step(into: Uint8Array, limit: number): number {
    const decompressor = this.#decompressor;
    // One byte above the limit is enough to detect an excess.
    const size = decompressor.step(into, Math.min(into.length, limit + 1), limit);
    this.#budget.charge(Math.max(size, 0) + STEP_COST + decompressor.cost, this.runtime);
    if (size < 0) throw invalidDeflate();
    this.done = decompressor.last && !decompressor.more;
    return size;
  }

  endMessage(): void {
    this.#decompressor.endMessage();
    this.#decompressor.leaveInflaters(this);
    this.#budget.messageComplete(this);
  }

  destroy(): void {
    this.#budget.leave(this);
    this.#decompressor.leaveInflaters(this);
    this.#decompressor.destroy();
  }

  onInflateTurn(): void {
    this.resume?.();
  }

  /** A message without a reader leaves the last inflaters to messages with a reader. */
  readyAhead(): boolean {
    if (!this.#decompressor.inflatersBusy) return true;
    this.#decompressor.awaitInflater(this);
    return false;
  }

  detach(): void {
    this.compressor.forget();
    this.#decompressor.leaveInflaters(this);
    this.#decompressor.leavePools();
  }

  // The way out

  get shared(): Compressor {
    return this.compressor;
  }

  get maxBytes(): number {
    return this.compressor.compression.maxBytes;
  }

  wants(size: number, compress: boolean | undefined): boolean {
    return this.compressor.wants(size, compress);
  }

  encode(bytes: Uint8Array, start: number, end: number, first: boolean, last: boolean): number {
    if (first && last) return this.#whole(bytes, start, end);
    return this.#fragment(bytes, start, end, first, last);
  }

  #whole(bytes: Uint8Array, start: number, end: number): number {
    const size = this.compressor.deflate(bytes, start, end);
    this.output = this.compressor.takeOutput();
    return size === 0 ? -1 : size;
  }

  #fragment(bytes: Uint8Array, start: number, end: number, first: boolean, last: boolean): number {
    if (first) this.#stream = this.#streamFor();
    const stream = this.#stream;
    if (stream === undefined) return -1;
    const size = stream.fragment(bytes, start, end, last);
    this.output = stream.output;
    return size;
  }

  /** Undefined when too many messages are sent in fragments already: this one is not compressed. */
  #streamFor(): StreamCompressor | undefined {
    const { compressor } = this;
    const engine = compressor.engines.deflaters.acquireForStream(compressor.key);
    return engine === undefined ? undefined : new StreamCompressor(compressor, engine);
  }

  endOutput(sent: boolean): void {
    this.#stream?.release();
    this.#stream = undefined;
    if (!sent) this.compressor.forget();
    // A buffer that was created for a large message is not kept.
    this.output = this.compressor.engines.output;
  }
}

/**
 * permessage-deflate (RFC 7692) on engines of your own: the member `deflate` of a `Platform` of
 * `@ws/conn`.
 *
 * @example
 * ```ts
 * import { connPair, portablePlatform } from '@ws/conn';
 * import { perMessageDeflate } from '@ws/deflate';
 * import { nodeDeflate } from '@ws/node-io';
 *
 * const deflate = perMessageDeflate({
 *   inflater: () => nodeDeflate.inflater(),
 *   deflater: (level, windowBits) => nodeDeflate.deflater(level, windowBits),
 *   memoryBudget: 1_048_576,
 *   generation: 0,
 * });
 * const platform = { ...portablePlatform, deflate };
 * const [client] = connPair({ platform, compression: true });
 * console.log(client.extensions); // permessage-deflate; server_no_context_takeover; client_no_context_takeover
 * ```
 */
export function perMessageDeflate(engines: DeflateEngines): MessageDeflate {
  return {
    limits: (...end) => deflateLimits(engines, ...end),
    extension: (...agreed) => new PerMessageDeflate(engines, ...agreed),
  };
}

/** RFC 7692, section 7.2.2, names no code: 1007 fits, as for any payload of the wrong format. */
function invalidDeflate(): ProtocolError {
  return new ProtocolError(
    CloseCode.InvalidFramePayloadData,
    ['invalid DEFLATE data in compressed message'],
    'WS_ERR_INVALID_DEFLATE',
  );
}
