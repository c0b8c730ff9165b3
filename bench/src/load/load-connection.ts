import type { Socket } from 'node:net';
import { maskedFrame } from './corpus.ts';
import type { Checked } from './echo-check.ts';
import { openSocket } from './handshake.ts';
import type { Replies } from './replies.ts';

const PONG = 0x8a;

/** How many messages a connection may send, and how it hears about the end. */
export interface Traffic {
  /** How many messages are under way at a time. */
  readonly depth: number;
  /** Whether more may be sent; asked for each answer. */
  readonly goesOn: () => boolean;
  readonly onDone: () => void;
  readonly onError: (error: Error) => void;
}

/** Messages made beforehand: their frames lie side by side. */
export interface Script {
  readonly frames: Buffer;
  /** Where message `i` begins; one more for the end. */
  readonly offsets: Uint32Array;
  readonly count: number;
}

/** One connection of the load: a bare socket that writes frames made beforehand, and hands on what comes back. */
export class LoadConnection {
  /** Messages that were echoed, since the last {@link check}. */
  echoed = 0;
  readonly #socket: Socket;
  readonly #script: Script;
  readonly #replies: Replies;
  #next: number;
  #underWay = 0;
  #traffic: Traffic | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket, script: Script, replies: Replies, first: number) {
    this.#socket = socket;
    this.#script = script;
    this.#replies = replies;
    this.#next = first;
    socket.on('data', (chunk) => this.#read(chunk));
    const gone = (error?: Error): void =>
      this.#fail(error ?? new Error('the server ended the connection'));
    socket.on('error', gone);
    socket.on('close', () => gone());
  }

  /**
   * @param offer - `Sec-WebSocket-Extensions`; empty for none.
   * @param first - The number of the first message.
   * @returns The connection, and the extensions that the server agreed to.
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

  /** Bytes of frames that came in, since the last {@link check}. */
  get bytes(): number {
    return this.#replies.bytes;
  }

  /** Sends and answers, until `traffic` says that it is enough and all is echoed. */
  run(traffic: Traffic): void {
    if (this.#failure !== undefined) {
      traffic.onError(this.#failure);
      return;
    }
    this.#traffic = traffic;
    let first = 0;
    while (first < traffic.depth && traffic.goesOn()) first++;
    this.#send(first);
    if (this.#underWay === 0) this.#done();
  }

  /** Compares what was echoed since the last time with what was sent. */
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
    this.#underWay -= echoed;
    const traffic = this.#traffic;
    if (traffic === undefined || this.#underWay < 0) {
      this.#fail(new Error('more messages came back than were sent'));
      return;
    }
    let more = 0;
    while (more < echoed && traffic.goesOn()) more++;
    this.#send(more);
    if (this.#underWay === 0) this.#done();
  }

  /** The next `n` frames, which lie side by side, in one write. */
  #send(n: number): void {
    const { frames, offsets, count } = this.#script;
    this.#underWay += n;
    // One write where the end of the corpus lies between them, too: a server should find them in one read.
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
