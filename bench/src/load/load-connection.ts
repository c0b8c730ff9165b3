import type { Socket } from 'node:net';
import { maskedFrame } from './corpus.ts';
import type { Checked } from './echo-check.ts';
import { openSocket } from './handshake.ts';
import type { Replies } from './replies.ts';

const PONG = 0x8a;

/** The limits of a run, and the callbacks for its end. */
export interface Traffic {
  /** Number of messages in flight. */
  readonly depth: number;
  /** Whether to send another message. Called for each echo. */
  readonly mayContinue: () => boolean;
  readonly onDone: () => void;
  readonly onError: (error: Error) => void;
}

/** Messages as frames, encoded before the run and concatenated. */
export interface Script {
  readonly frames: Buffer;
  /** Start of message `i`, plus one entry for the end. */
  readonly offsets: Uint32Array;
  readonly count: number;
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
  readonly #script: Script;
  readonly #replies: Replies;
  #next: number;
  #inFlight = 0;
  #traffic: Traffic | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket, script: Script, replies: Replies, first: number) {
    this.#socket = socket;
    this.#script = script;
    this.#replies = replies;
    this.#next = first;
    socket.on('data', (chunk) => this.#read(chunk));
    const onEnd = (error?: Error): void =>
      this.#fail(error ?? new Error('the server closed the connection'));
    socket.on('error', onEnd);
    socket.on('close', () => onEnd());
  }

  /**
   * Connects to a server on this machine.
   *
   * @param offer - `Sec-WebSocket-Extensions`; empty for none.
   * @param first - Number of the first message.
   * @returns The connection, and the extensions in the server's answer.
   */
  static async open(
    port: number,
    offer: string,
    script: Script,
    replies: Replies,
    first = 0,
  ): Promise<{ connection: LoadConnection; agreed: string }> {
    const { socket, agreed } = await openSocket(port, offer);
    return { connection: new LoadConnection(socket, script, replies, first), agreed };
  }

  /** Bytes of received frames since the last {@link check}. */
  get bytes(): number {
    return this.#replies.bytes;
  }

  /** Sends messages until `traffic` stops them and every echo has arrived. */
  run(traffic: Traffic): void {
    if (this.#failure !== undefined) {
      traffic.onError(this.#failure);
      return;
    }
    this.#traffic = traffic;
    let first = 0;
    while (first < traffic.depth && traffic.mayContinue()) first++;
    this.#send(first);
    if (this.#inFlight === 0) this.#done();
  }

  /** Verifies the echoes since the last check. */
  check(): Checked {
    this.echoed = 0;
    return this.#replies.check();
  }

  destroy(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
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
    let more = 0;
    while (more < echoed && traffic.mayContinue()) more++;
    this.#send(more);
    if (this.#inFlight === 0) this.#done();
  }

  /** Sends the next `n` frames in one write. */
  #send(n: number): void {
    const { frames, offsets, count } = this.#script;
    this.#inFlight += n;
    // A server should get them in one read, also when the corpus wraps around.
    this.#socket.cork();
    for (let left = n; left > 0; ) {
      const some = Math.min(left, count - this.#next);
      const end = this.#next + some;
      this.#socket.write(frames.subarray(offsets[this.#next], offsets[end]));
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
    const traffic = this.#traffic;
    this.#traffic = undefined;
    traffic?.onDone();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    const traffic = this.#traffic;
    this.#traffic = undefined;
    traffic?.onError(error);
  }
}
