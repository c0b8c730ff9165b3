import type { Duplex } from 'node:stream';
import type { Attempt } from '../model/attempt.ts';
import { TimedOut, Violation } from '../model/verdicts.ts';
import { ByteQueue, cut } from './bytes.ts';
import { type Head, parseHead } from './head.ts';

/** The way in which the target stopped sending. */
export type End = 'fin' | 'reset';

/** A socket, or a stream of HTTP/2. */
export interface PeerSocket extends Duplex {
  setNoDelay(enable: boolean): unknown;
}

/** What a peer resets. */
export interface Resettable {
  resetAndDestroy(): unknown;
}

/** Maximum size of a header, in bytes. */
const MAX_HEAD = 64 * 1024;

/** Maximum number of unread bytes: four times the largest message of the suite. */
const MAX_BUFFERED = 64 * 1024 * 1024;

/**
 * One end of a TCP or TLS connection, or of a stream. It sends any bytes in any pieces; every wait has a timeout.
 */
export class RawPeer {
  readonly attempt: Attempt;
  /** Number of this connection within its case. */
  readonly connection: number;
  /** Set when the target has stopped sending. */
  ended: End | undefined;
  /** Received bytes that were not read yet. */
  protected readonly queue: ByteQueue = new ByteQueue();
  readonly #socket: PeerSocket;
  readonly #tcp: Resettable;
  #wake: (() => void) | undefined;
  #received = 0;

  /**
   * @param socket - A connected socket, created with `allowHalfOpen`.
   * @param tcp - The TCP socket, which can be reset: below a TLS socket, or the same as `socket`.
   */
  constructor(socket: PeerSocket, attempt: Attempt, connection: number, tcp: Resettable) {
    this.#socket = socket;
    this.#tcp = tcp;
    this.attempt = attempt;
    this.connection = connection;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.length;
      attempt.progressed();
      this.queue.push(chunk);
      this.received(chunk);
      if (this.queue.length > MAX_BUFFERED) {
        attempt.transcript.event(
          connection,
          'the target sent too many bytes; we drop the connection',
        );
        socket.destroy();
      }
      this.#notify();
    });
    // A tunnel has paused it.
    socket.resume();
    socket.on('end', () => this.#end('fin'));
    socket.on('error', () => this.#end('reset'));
    socket.on('close', () => this.#end('reset'));
    attempt.onDispose(() => socket.destroy());
  }

  /** Total number of received bytes. */
  get receivedBytes(): number {
    return this.#received;
  }

  /** Number of received bytes that were not read yet. */
  get bufferedBytes(): number {
    return this.queue.length;
  }

  /**
   * Sends bytes unchanged. Resolves when the kernel has them, the connection ends or time is out.
   */
  async send(bytes: Uint8Array, label = 'raw bytes'): Promise<void> {
    this.attempt.transcript.bytes(this.connection, 'sent', bytes, label);
    await this.#write(bytes);
  }

  /**
   * Sends bytes in pieces: one write each, with a pause after each, so that most pieces arrive as
   * separate segments. Stops when the target ends, and with `untilAnswered` when it sends
   * something.
   */
  async sendPieces(
    pieces: readonly Uint8Array[],
    {
      label = 'raw bytes',
      untilAnswered = false,
    }: { label?: string; untilAnswered?: boolean } = {},
  ): Promise<void> {
    const text = `${label}, in ${pieces.length} pieces`;
    this.attempt.transcript.bytes(this.connection, 'sent', Buffer.concat(pieces), text);
    for (const piece of pieces) {
      if (this.ended !== undefined || (untilAnswered && this.hasAnswer())) return;
      await this.#write(piece);
      await pauseAfterPiece(pieces.length, this.attempt.link.roundTrip);
    }
  }

  /** Like {@link sendPieces} with pieces of `size` bytes. */
  async sendCut(
    bytes: Uint8Array,
    size: number,
    options?: { label?: string; untilAnswered?: boolean },
  ): Promise<void> {
    await this.sendPieces(cut(bytes, size), options);
  }

  /** Tests whether the target has sent something. */
  protected hasAnswer(): boolean {
    return this.queue.length > 0;
  }

  /** Ends our half of the connection with FIN, after all sent bytes. */
  endWrites(): void {
    this.attempt.transcript.event(this.connection, 'we end our half of the connection (FIN)');
    this.#socket.end();
  }

  /** Resets the connection with RST. */
  reset(): void {
    this.attempt.transcript.event(this.connection, 'we reset the connection (RST)');
    this.#tcp.resetAndDestroy();
  }

  /** Stops reading from the socket, which causes backpressure for the target. */
  pauseReading(): void {
    this.#socket.pause();
  }

  /** Reads from the socket again. */
  resumeReading(): void {
    this.#socket.resume();
  }

  /**
   * Reads the header of an HTTP message.
   *
   * @returns The header, or undefined when the target stops sending before its end.
   * @throws Violation after a timeout, and for a header that is too long or malformed.
   */
  async readHead(awaited: string): Promise<Head | undefined> {
    for (;;) {
      const seen = this.queue.peek(MAX_HEAD);
      const end = seen.indexOf('\r\n\r\n');
      if (end !== -1) {
        this.attempt.stepped();
        return parseHead(this.queue.take(end + 4).toString('latin1'));
      }
      if (seen.length >= MAX_HEAD) throw new Violation(`${awaited} is longer than 64 KiB`);
      if (this.ended !== undefined) return undefined;
      if (!(await this.waitForProgress())) throw this.timeoutViolation(awaited);
    }
  }

  /** Discards bytes until the target stops sending. @returns False after a timeout of `ms`. */
  async waitForEnd(ms: number = this.attempt.timeout): Promise<boolean> {
    const until = performance.now() + ms;
    for (;;) {
      this.queue.take(this.queue.length);
      if (this.ended !== undefined) return true;
      const left = until - performance.now();
      if (left <= 0 || !(await this.waitForProgress(left))) return false;
    }
  }

  /**
   * Waits for bytes or an end. All cases share one event loop, and its busy time is not the target's,
   * nor is the time in which other programs have the processor: it extends the wait, at most to double.
   *
   * @returns False after a timeout of `ms`.
   */
  protected async waitForProgress(ms: number = this.attempt.timeout): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const loop = performance.eventLoopUtilization();
    const { lateness } = this.attempt;
    const lateBefore = lateness.total;
    const latest = performance.now() + 2 * ms;
    const arrived = await new Promise<boolean>((done) => {
      this.#wake = () => done(true);
      const expire = (): void => {
        const { idle } = performance.eventLoopUtilization(loop);
        const waited = idle - (lateness.total - lateBefore);
        const left = Math.min(ms - waited, latest - performance.now());
        // Node runs timers before it reads sockets: data that arrived in time gets one more turn.
        if (left < 1) setImmediate(done, false);
        else timer = setTimeout(expire, left);
      };
      timer = setTimeout(expire, ms);
    });
    clearTimeout(timer);
    this.#wake = undefined;
    return arrived;
  }

  /** Creates the error for a timeout. */
  timeoutViolation(awaited: string): Violation {
    this.attempt.transcript.event(this.connection, `no data for ${this.attempt.timeout} ms`);
    return new TimedOut(`timeout after ${this.attempt.timeout} ms, waiting for ${awaited}`);
  }

  /** Adds received bytes to the transcript. */
  protected received(chunk: Buffer): void {
    this.attempt.transcript.bytes(this.connection, 'received', chunk, 'bytes');
  }

  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((done) => {
      if (this.#socket.destroyed || !this.#socket.writable) return done();
      // A target that does not read must not block the case, so a write has a timeout too.
      const over = (): void => {
        clearTimeout(timer);
        this.#socket.off('close', over);
        done();
      };
      const timer = setTimeout(over, this.attempt.timeout);
      this.#socket.once('close', over);
      this.#socket.write(bytes, () => {
        this.attempt.stepped();
        over();
      });
    });
  }

  #notify(): void {
    this.#wake?.();
  }

  #end(how: End): void {
    if (this.ended !== undefined) return;
    this.ended = how;
    this.attempt.transcript.event(
      this.connection,
      how === 'fin'
        ? 'the target ended its half of the connection (FIN)'
        : 'the connection was reset or closed',
    );
    this.#notify();
  }
}

/** Up to this number of pieces, each gets a pause of 1 ms. */
const MAX_TIMED_PIECES = 64;

/** Segments that TCP sends before the first acknowledgement (RFC 6928). More wait, and merge. */
const INITIAL_WINDOW = 10;

/**
 * Waits 1 ms, longer on a slow link, or one turn of the event loop for many pieces. No event reports
 * a read by the target.
 */
function pauseAfterPiece(pieces: number, roundTrip: number): Promise<void> {
  return new Promise((done) => {
    if (pieces <= MAX_TIMED_PIECES) setTimeout(done, 1 + roundTrip / INITIAL_WINDOW);
    else setImmediate(done);
  });
}
