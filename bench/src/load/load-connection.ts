import type { Socket } from 'node:net';
import { maskedFrame } from './corpus.ts';
import type { Checked } from './echo-check.ts';
import { openSocket, type Target } from './handshake.ts';
import type { Latencies } from './latencies.ts';
import type { Pieces } from './pieces.ts';
import type { Replies } from './replies.ts';

const PONG = 0x8a;
/** A close frame with code 1000. */
const CLOSE = maskedFrame(0x88, Buffer.from([0x03, 0xe8]), 0x5ca1ab1e);
/** Number of moments before the queue is cut. */
const QUEUE_CUT = 4096;

/** The limits of a run, and the callbacks for its end. */
export interface Traffic {
  /** Number of messages in flight. */
  readonly depth: number;
  /** Whether to send another message. Called for each echo; not at a fixed rate. */
  readonly mayContinue: () => boolean;
  /** No message is in flight or due. At a fixed rate it may be called more than once. */
  readonly onDone: () => void;
  readonly onError: (error: Error) => void;
  /** Where the latencies are recorded. */
  readonly latencies?: Latencies | undefined;
}

/**
 * One connection of the load: a bare socket that writes encoded frames.
 *
 * It uses neither this library nor the raw peer of the tests, on purpose. The load must treat every
 * server alike, must not share a bug with the measured code, and must cost little CPU while it
 * measures: it does no parsing or masking then.
 */
export class LoadConnection {
  /** Number of echoes since the last {@link check}. */
  echoed = 0;
  readonly #socket: Socket;
  readonly #frames: Pieces;
  readonly #replies: Replies;
  #next: number;
  #inFlight = 0;
  /** Start of the latency of each message in flight, then the due moments of waiting messages. */
  #moments: number[] = [];
  #oldest = 0;
  #traffic: Traffic | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket, frames: Pieces, replies: Replies, first: number) {
    this.#socket = socket;
    this.#frames = frames;
    this.#replies = replies;
    this.#next = first;
    socket.on('data', (chunk) => this.#read(chunk));
    const onEnd = (error?: Error): void =>
      this.#fail(error ?? new Error('the server closed the connection'));
    socket.on('error', onEnd);
    socket.on('close', () => onEnd());
  }

  /**
   * Connects to a server.
   *
   * @param first - Number of the first message.
   * @returns The connection, and the extensions in the server's answer.
   */
  static async open(
    target: Target,
    frames: Pieces,
    replies: Replies,
    first = 0,
  ): Promise<{ connection: LoadConnection; agreed: string }> {
    const { socket, agreed } = await openSocket(target);
    return { connection: new LoadConnection(socket, frames, replies, first), agreed };
  }

  /** Bytes of received frames since the last {@link check}. */
  get bytes(): number {
    return this.#replies.bytes;
  }

  /** Closed loop: sends messages until `traffic` stops them and every echo has arrived. */
  run(traffic: Traffic): void {
    if (!this.#begin(traffic)) return;
    let first = 0;
    while (first < traffic.depth && traffic.mayContinue()) first++;
    this.#sendNow(first);
    if (this.#inFlight === 0) this.#done();
  }

  /** Fixed rate: sends the messages that {@link plan} makes due. */
  pace(traffic: Traffic): void {
    this.#begin(traffic);
  }

  /**
   * Makes a message due. Its latency counts from `moment`, however long it waits for a place in
   * flight: a stalled server is charged for every message that it kept from being sent.
   */
  plan(moment: number): void {
    this.#moments.push(moment);
    if (this.#inFlight < (this.#traffic?.depth ?? 0)) this.#send(1);
  }

  /** Whether no message is in flight or due. */
  get idle(): boolean {
    return this.#inFlight === 0 && this.#waiting === 0;
  }

  /** Verifies the echoes since the last check. */
  check(): Checked {
    this.echoed = 0;
    return this.#replies.check();
  }

  /** Sends a close frame, and ends the connection when any answer has arrived. */
  close(): Promise<void> {
    const socket = this.#socket;
    for (const event of ['data', 'error', 'close']) socket.removeAllListeners(event);
    return new Promise((resolve, reject) => {
      socket.once('data', () => socket.end());
      socket.on('error', reject);
      socket.on('close', () => resolve());
      socket.write(CLOSE);
    });
  }

  destroy(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  get #waiting(): number {
    return Math.max(0, this.#moments.length - this.#oldest - this.#inFlight);
  }

  #begin(traffic: Traffic): boolean {
    if (this.#failure !== undefined) {
      traffic.onError(this.#failure);
      return false;
    }
    this.#traffic = traffic;
    return true;
  }

  #read(chunk: Buffer): void {
    let echoed: number;
    try {
      echoed = this.#replies.push(chunk);
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    if (this.#replies.pings.length > 0) this.#pong();
    if (echoed === 0) return;
    this.echoed += echoed;
    this.#inFlight -= echoed;
    const traffic = this.#traffic;
    if (traffic === undefined || this.#inFlight < 0) {
      this.#fail(new Error('received more echoes than messages were sent'));
      return;
    }
    if (traffic.latencies !== undefined) this.#record(traffic.latencies, echoed);
    this.#send(Math.min(this.#waiting, traffic.depth - this.#inFlight));
    let more = 0;
    while (more < echoed && traffic.mayContinue()) more++;
    this.#sendNow(more);
    if (this.#inFlight === 0) this.#done();
  }

  #record(latencies: Latencies, echoed: number): void {
    const now = performance.now();
    for (let left = echoed; left > 0; left--) {
      latencies.record(now - this.#moments[this.#oldest++]!);
    }
    if (this.#oldest < QUEUE_CUT) return;
    this.#moments = this.#moments.slice(this.#oldest);
    this.#oldest = 0;
  }

  /** Sends messages whose latency starts now. */
  #sendNow(n: number): void {
    if (this.#traffic?.latencies !== undefined) {
      const now = performance.now();
      for (let left = n; left > 0; left--) this.#moments.push(now);
    }
    this.#send(n);
  }

  /** Sends the next `n` frames in one write. */
  #send(n: number): void {
    if (n <= 0) return;
    const { bytes, offsets, count } = this.#frames;
    this.#inFlight += n;
    // A server should get them in one read, also when the corpus wraps around.
    this.#socket.cork();
    for (let left = n; left > 0; ) {
      const some = Math.min(left, count - this.#next);
      const end = this.#next + some;
      this.#socket.write(bytes.subarray(offsets[this.#next], offsets[end]));
      this.#next = end === count ? 0 : end;
      left -= some;
    }
    this.#socket.uncork();
  }

  #pong(): void {
    for (const payload of this.#replies.pings.splice(0)) {
      this.#socket.write(maskedFrame(PONG, payload, 0));
    }
  }

  #done(): void {
    this.#traffic?.onDone();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const traffic = this.#traffic;
    this.#traffic = undefined;
    traffic?.onError(error);
  }
}
