import { Assembly } from '../assembly.ts';
import { copyOf } from '../copy.ts';
import type { Lease } from '../lease.ts';
import { CORRUPT, DONE, FINAL, type History, type Inflater, type InflateStatus } from './engine.ts';
import { type Engines, type InflaterPool, PrivateEngines, type Seat } from './engines.ts';
import { HistoryRing } from './history.ts';

/** The largest window that DEFLATE has, in bits. */
const MAX_BITS = 15;
/** Compressed bytes that are inflated in one step. */
const STEP_INPUT = 16_384;
/**
 * What a compressed byte costs in plain ones. The text that it gives costs about as much again; but the headers of blocks
 * that give nothing cost forty.
 */
const INPUT_COST = 8;
/** What beginning anew costs: for itself, and for each byte that may be referred back to. */
const RESET_COST = 512;
const PRIME_COST = 1 / 8;
/** Final blocks that a message may have: each costs its sender two bytes, and us a window to begin the next with. */
const MAX_FINALS = 8;

/**
 * The messages of one direction, inflated one after the other and piece by piece (RFC 7692, section 7.2.2). Of its own
 * it has the plain text that the peer may refer back to, and none when the peer compresses each message for itself.
 */
export class Inflation {
  #engines: InflaterPool;
  /** Set as long as the connection is: what is counted of it is counted there. */
  #shared: Engines | undefined;
  readonly #takeover: boolean;
  /** Whether the last step left something to do with the input that is there. */
  more = false;
  /** What the last step cost besides the plain bytes that it gave, as if it were some. */
  cost = 0;
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
    this.#shared = engines;
    this.#takeover = takeover;
    this.#window = 1 << (takeover ? windowBits : MAX_BITS);
  }

  /** Bytes that are held for the message under way: of those that wait until it is complete, and of plain text. */
  get waiting(): number {
    return (this.#collected?.length ?? 0) + (this.#takeover ? 0 : (this.#history?.held ?? 0));
  }

  /** Bytes of memory that are held for the plain text of earlier messages. */
  get held(): number {
    return this.#shared === undefined ? 0 : (this.#history?.held ?? 0);
  }

  /** Whether the next step would take an engine when there are enough in use. */
  get crowded(): boolean {
    return this.#seat === undefined && !this.#engines.mayLeaseInflater;
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
    if (!this.#collecting || (last && this.#collected === undefined)) return;
    this.#collected ??= new Assembly();
    this.#collected.append(bytes, start, end);
    this.#show(NONE, 0, 0, last);
    if (!last) return;
    const { length } = this.#collected;
    this.#collectedLease = this.#collected.complete();
    this.#collected = undefined;
    this.#show(this.#collectedLease?.bytes ?? NONE, 0, length, true);
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
    this.cost = 0;
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
    const end = Math.min(this.#end, this.#at + STEP_INPUT);
    const last = this.#last && end === this.#end;
    for (;;) {
      const status: InflateStatus = engine.write(
        this.#bytes,
        this.#at,
        end,
        last,
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
      this.cost += engine.used * INPUT_COST + engine.again;
      const before = at;
      at += engine.produced;
      const complete = status === DONE && last;
      if (this.#takeover || !complete) this.#remember(output, before, at);
      if (status !== FINAL) {
        this.more = status !== DONE || end < this.#end;
        this.#plain += at;
        return at;
      }
      if (++this.#finals > MAX_FINALS) {
        seat.owner = undefined;
        return -1;
      }
      this.#reset(engine, this.#history);
    }
  }

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
    this.#abandon();
    this.#collected?.drop();
    this.#collected = undefined;
    this.finish();
    this.#history?.release();
  }

  /** The connection is gone, and what has come may never be read: nothing of the process is held for it any more. */
  leave(): void {
    const shared = this.#shared;
    if (shared === undefined) return;
    this.#shared = undefined;
    const own = new PrivateEngines(shared.source);
    this.#engines = own;
    if (this.#seat !== undefined) {
      this.#seat.owner = undefined;
      shared.forgetInflater();
    }
    shared.forget(this.#history?.held ?? 0);
    this.#history?.moveTo(own);
    this.#collected?.leave();
    const lease = this.#collectedLease;
    if (lease === undefined) return;
    this.#collectedLease = undefined;
    const rest = copyOf(this.#bytes, this.#at, this.#end);
    this.#show(rest, 0, rest.length, this.#last);
    lease.release();
  }

  /** The engine has a message that nobody wants: it lets go of it. */
  #abandon(): void {
    const seat = this.#seat;
    if (seat === undefined) return;
    seat.owner = undefined;
    try {
      seat.engine.reset(undefined);
    } catch {
      this.#seat = undefined;
      this.#engines.loseInflater(seat);
    }
  }

  #reset(engine: Inflater, history: History | undefined): void {
    this.cost += RESET_COST + (history?.length ?? 0) * PRIME_COST;
    engine.reset(history);
  }

  #remember(bytes: Uint8Array, start: number, end: number): void {
    this.#history ??= new HistoryRing(this.#engines, this.#window);
    this.#history.append(bytes, start, end);
  }

  #open(): Seat<Inflater> {
    const seat = this.#engines.takeInflater(this);
    this.#seat = seat;
    if (!this.#takeover || seat.owner !== this) {
      this.#reset(seat.engine, this.#takeover ? this.#history : undefined);
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
