import type { Socket } from 'node:net';
import type { Attempt } from '../model/attempt.ts';
import { Violation } from '../model/verdicts.ts';
import { ByteQueue, cut } from './bytes.ts';
import { type Head, parseHead } from './head.ts';

/** How the other end stopped sending. */
export type End = 'fin' | 'reset';

/** Longest header of a request or an answer that is read. */
const MAX_HEAD = 64 * 1024;

/** Bytes that may wait to be taken: four times the largest message that the suite asks for. */
const MAX_WAITING = 64 * 1024 * 1024;

/** One end of a TCP or TLS connection: sends any bytes in any pieces, and waits, but never for long. */
export class RawPeer {
  readonly attempt: Attempt;
  /** The number of this connection in its case. */
  readonly connection: number;
  /** Set when the other end has stopped sending. */
  ended: End | undefined;
  /** What has arrived and was not taken. */
  protected readonly queue: ByteQueue = new ByteQueue();
  readonly #socket: Socket;
  readonly #tcp: Socket;
  #wake: (() => void) | undefined;
  #received = 0;
  #answered = false;

  /**
   * @param socket - Made with `allowHalfOpen`, and connected.
   * @param tcp - What a TLS socket stands on, which alone can be reset; else the same.
   */
  constructor(socket: Socket, attempt: Attempt, connection: number, tcp: Socket) {
    this.#socket = socket;
    this.#tcp = tcp;
    this.attempt = attempt;
    this.connection = connection;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.length;
      this.#answered = true;
      this.queue.push(chunk);
      this.received(chunk);
      if (this.queue.length > MAX_WAITING) {
        attempt.transcript.event(connection, 'more came than anybody asked for, and we end it');
        socket.destroy();
      }
      this.#progress();
    });
    socket.on('end', () => this.#end('fin'));
    socket.on('error', () => this.#end('reset'));
    socket.on('close', () => this.#end('reset'));
    attempt.onDispose(() => socket.destroy());
  }

  /** Bytes that have arrived so far, taken or not. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** Bytes that have arrived and were not taken. */
  get waiting(): number {
    return this.queue.length;
  }

  /** Sends bytes as they are; resolves when the operating system has them, or the connection is gone. */
  async send(bytes: Uint8Array, says = 'raw bytes'): Promise<void> {
    this.attempt.transcript.bytes(this.connection, 'sent', bytes, says);
    await this.#write(bytes);
  }

  /**
   * Sends bytes in pieces, each by a write of its own, with a rest after each, so that most arrive as segments of their
   * own. Stops when the other end answers, if `untilAnswered` says so, or ends.
   */
  async sendPieces(
    pieces: readonly Uint8Array[],
    { says = 'raw bytes', untilAnswered = false }: { says?: string; untilAnswered?: boolean } = {},
  ): Promise<void> {
    const words = `${says}, in ${pieces.length} pieces`;
    this.attempt.transcript.bytes(this.connection, 'sent', Buffer.concat(pieces), words);
    this.#answered = false;
    for (const piece of pieces) {
      if (this.ended !== undefined || (untilAnswered && this.#answered)) return;
      await this.#write(piece);
      await rest(pieces.length);
    }
  }

  /** {@link sendPieces} of `size` bytes each. */
  async sendCut(
    bytes: Uint8Array,
    size: number,
    options?: { says?: string; untilAnswered?: boolean },
  ): Promise<void> {
    await this.sendPieces(cut(bytes, size), options);
  }

  /** Ends our half of the connection: what was sent is followed by FIN. */
  endWrites(): void {
    this.attempt.transcript.event(this.connection, 'we end our half of the connection (FIN)');
    this.#socket.end();
  }

  /** Drops the connection with RST. */
  reset(): void {
    this.attempt.transcript.event(this.connection, 'we reset the connection (RST)');
    this.#tcp.resetAndDestroy();
  }

  /** Stops taking bytes from the operating system, so that the other end feels backpressure. */
  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  /**
   * Reads the header of an HTTP message.
   *
   * @returns Undefined when the other end stopped before its end.
   * @throws Violation when it does not come in time, is too long, or is no HTTP.
   */
  async readHead(awaited: string): Promise<Head | undefined> {
    for (;;) {
      const seen = this.queue.peek(MAX_HEAD);
      const end = seen.indexOf('\r\n\r\n');
      if (end !== -1) return parseHead(this.queue.take(end + 4).toString('latin1'));
      if (seen.length >= MAX_HEAD) throw new Violation(`${awaited} is longer than 64 KiB`);
      if (this.ended !== undefined) return undefined;
      if (!(await this.progress())) throw this.silence(awaited);
    }
  }

  /** Waits for the other end to stop sending, and drops what it still sends; false when it does not in time. */
  async drained(ms: number = this.attempt.timeout): Promise<boolean> {
    const until = performance.now() + ms;
    for (;;) {
      this.queue.take(this.queue.length);
      if (this.ended !== undefined) return true;
      const left = until - performance.now();
      if (left <= 0 || !(await this.progress(left))) return false;
    }
  }

  /** Waits until bytes or an end have arrived; false when neither does in time. */
  protected async progress(ms: number = this.attempt.timeout): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const came = await new Promise<boolean>((done) => {
      this.#wake = () => done(true);
      timer = setTimeout(() => done(false), ms);
    });
    clearTimeout(timer);
    this.#wake = undefined;
    return came;
  }

  /** What to throw when nothing came. */
  protected silence(awaited: string): Violation {
    this.attempt.transcript.event(this.connection, `nothing came for ${this.attempt.timeout} ms`);
    return new Violation(
      `nothing came within ${this.attempt.timeout} ms, where ${awaited} was due`,
    );
  }

  /** Writes bytes that came to the transcript. */
  protected received(chunk: Buffer): void {
    this.attempt.transcript.bytes(this.connection, 'received', chunk, 'bytes');
  }

  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((done) => {
      if (this.#socket.destroyed || !this.#socket.writable) return done();
      // A peer that reads nothing must not hold the case: its wait for an answer is bounded, this one is too.
      const over = (): void => {
        clearTimeout(timer);
        this.#socket.off('close', over);
        done();
      };
      const timer = setTimeout(over, this.attempt.timeout);
      this.#socket.once('close', over);
      this.#socket.write(bytes, over);
    });
  }

  #progress(): void {
    this.#wake?.();
  }

  #end(how: End): void {
    if (this.ended !== undefined) return;
    this.ended = how;
    this.attempt.transcript.event(
      this.connection,
      how === 'fin'
        ? 'the target ended its half of the connection (FIN)'
        : 'the connection is gone',
    );
    this.#progress();
  }
}

/** Up to so many pieces there is time for each to be read by itself. */
const FEW = 64;

/** A millisecond, or a turn of the event loop: nothing tells when the other end has read a piece. */
function rest(pieces: number): Promise<void> {
  return new Promise((done) => {
    if (pieces <= FEW) setTimeout(done, 1);
    else setImmediate(done);
  });
}
