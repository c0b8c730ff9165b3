import { Assembly } from '../assembly.ts';
import type { Lease } from '../lease.ts';
import { CORRUPT, DONE, FINAL, type Inflater, type InflateStatus } from './engine.ts';
import type { Engines, Seat } from './engines.ts';
import { HistoryRing } from './history.ts';

/** The largest window that DEFLATE has, in bits. */
const MAX_BITS = 15;
/** Final blocks that a message may have: each costs its sender two bytes, and us a window to begin the next with. */
const MAX_FINALS = 8;

/**
 * The messages of one direction, inflated one after the other and piece by piece (RFC 7692, section 7.2.2). Of its own
 * it has the plain text that the peer may refer back to, and none when the peer compresses each message for itself.
 */
export class Inflation {
  readonly #engines: Engines;
  readonly #takeover: boolean;
  readonly #window: number;
  #history: HistoryRing | undefined;
  /** The engine, while a message is under way. */
  #seat: Seat<Inflater> | undefined;
  /** Input that is not used up: `#bytes[#at, #end)`. */
  #bytes: Uint8Array = NONE;
  #at = 0;
  #end = 0;
  #last = false;
  #finals = 0;
  /** Plain bytes of the message so far. */
  #plain = 0;
  /** Collects the message when there is no engine to inflate it with as it comes. */
  #collecting = false;
  #collected: Assembly | undefined;
  #collectedLease: Lease | undefined;

  /**
   * @param takeover - Whether the peer may refer back to earlier messages.
   * @param windowBits - How far back at most, as a power of two.
   */
  constructor(engines: Engines, takeover: boolean, windowBits: number) {
    this.#engines = engines;
    this.#takeover = takeover;
    this.#window = 1 << (takeover ? windowBits : MAX_BITS);
  }

  /** Bytes of a message that wait to be inflated when it is complete. */
  get waiting(): number {
    return this.#collected?.length ?? 0;
  }

  /** Bytes of memory that are held for the plain text of earlier messages. */
  get held(): number {
    return this.#history?.held ?? 0;
  }

  /** Bytes of input that are not inflated yet. */
  get left(): number {
    return this.#end - this.#at;
  }

  /** Whether the message ends with the input that was fed last. */
  get last(): boolean {
    return this.#last;
  }

  /** A message begins. */
  begin(): void {
    this.#finals = 0;
    this.#plain = 0;
    this.#collecting = !this.#engines.mayLeaseInflater;
  }

  /** Gives the next compressed bytes, which stay where they are until {@link step} has used them up. */
  feed(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#show(bytes, start, end, last);
    if (!this.#collecting || (last && this.waiting === 0)) return;
    this.#collected ??= new Assembly();
    this.#collected.append(bytes, start, end);
    this.#show(NONE, 0, 0, last);
    if (!last) return;
    const { length } = this.#collected;
    this.#collectedLease = this.#collected.complete();
    this.#show(this.#collectedLease!.bytes, 0, length, true);
  }

  /**
   * Inflates on, into `output[0, room)`.
   *
   * @param limit - The most plain bytes that the rest of the message may have.
   * @returns How many bytes that gave: more than `limit` stand for too many. -1: it is no DEFLATE. `more` tells whether
   *   to call again.
   * @throws what the platform throws, when it has no memory for example.
   */
  step(output: Uint8Array, room: number, limit: number): number {
    this.more = false;
    if (this.#collecting && !this.#last) return 0;
    try {
      this.#seat ??= this.#open();
      return this.#run(this.#seat, output, room, limit);
    } catch (error) {
      if (this.#seat !== undefined) this.#engines.loseInflater(this.#seat);
      this.#seat = undefined;
      throw error;
    }
  }

  #run(seat: Seat<Inflater>, output: Uint8Array, room: number, limit: number): number {
    const { engine } = seat;
    engine.limit = this.#plain + limit;
    let at = 0;
    for (;;) {
      const status: InflateStatus = engine.write(
        this.#bytes,
        this.#at,
        this.#end,
        this.#last,
        output,
        at,
        room,
      );
      if (status < 0) {
        // It has seen what nobody can go on from.
        seat.owner = undefined;
        return status === CORRUPT ? -1 : limit + 1;
      }
      this.#at += engine.used;
      const before = at;
      at += engine.produced;
      const complete = status === DONE && this.#last;
      if (this.#takeover || !complete) this.#remember(output, before, at);
      if (status !== FINAL) {
        this.more = status !== DONE;
        this.#plain += at;
        return at;
      }
      if (++this.#finals > MAX_FINALS) {
        seat.owner = undefined;
        return -1;
      }
      engine.reset(this.#history);
    }
  }

  /** Whether the last step left something to do with the input that is there. */
  more = false;

  /** The message is complete: nothing is held for it any more. */
  finish(): void {
    this.#show(NONE, 0, 0, false);
    this.#collectedLease?.release();
    this.#collectedLease = undefined;
    if (!this.#takeover) this.#history?.release();
    const seat = this.#seat;
    if (seat === undefined) return;
    this.#seat = undefined;
    this.#engines.giveInflater(seat);
  }

  /** The connection is gone, or drops what comes. */
  destroy(): void {
    if (this.#seat !== undefined) this.#seat.owner = undefined;
    this.#collected?.drop();
    this.finish();
    this.#history?.release();
  }

  #remember(bytes: Uint8Array, start: number, end: number): void {
    this.#history ??= new HistoryRing(this.#engines, this.#window);
    this.#history.append(bytes, start, end);
  }

  #open(): Seat<Inflater> {
    const seat = this.#engines.takeInflater(this);
    this.#seat = seat;
    if (!this.#takeover || seat.owner !== this) {
      seat.engine.reset(this.#takeover ? this.#history : undefined);
    }
    seat.owner = this.#takeover ? this : undefined;
    return seat;
  }

  #show(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#last = last;
  }
}

const NONE = /* @__PURE__ */ new Uint8Array(0);
