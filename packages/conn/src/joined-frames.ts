import { FrameHeader } from '@ws/codec';
import { type Host, viewOf } from './host.ts';

/** Memory that runs begin in. One that a slow transport still reads keeps all of it alive, so it is no larger. */
const ROOM = 16_384;
/** With less than this left, a turn begins in fresh memory: a run that has no room to grow is copied. */
const LEAST = 4_096;
/** A turn that goes on and on begins anew after so many bytes: what its frames were is not remembered any longer. */
const REMEMBERED = 262_144;
const LONGEST_HEADER = 10;

/** Whoever sends a run at the end of the turn. */
export interface Sharer {
  /** Hands the run over, if it is still there. */
  flushRun(): void;
}

/** Memory that is only appended to: transports may read what stands there long after. The garbage collector's in the end. */
class Room {
  readonly bytes: Uint8Array;
  used = 0;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }
}

/**
 * Whole frames, unmasked and in a row: what one turn has for everybody who sends just these. A run never changes; with one
 * frame more it is another run, the same for all who ask for it.
 */
export class Run {
  readonly room: Room;
  readonly start: number;
  readonly end: number;
  /** The run that was asked for last with one frame more, and that frame's payload. */
  nextPayload: Uint8Array | undefined;
  next: Run | undefined;
  /** All of them by payload, once there are two: receivers of several kinds, or in several rooms. */
  others: Map<Uint8Array, Run> | undefined;
  #view: Uint8Array | undefined;

  constructor(room: Room, start: number, end: number) {
    this.room = room;
    this.start = start;
    this.end = end;
  }

  /** How many bytes it has. */
  get size(): number {
    return this.end - this.start;
  }

  /** The same view for all who send it. Never changed, and nobody's to change. */
  view(host: Host): Uint8Array {
    this.#view ??= viewOf(host, this.room.bytes, this.start, this.end);
    return this.#view;
  }
}

const header = /* @__PURE__ */ new FrameHeader();

/**
 * The frames that several connections send in one turn, serialized once for all of them. Each begins with no run and asks
 * for {@link extend} at every frame; at the end of the turn all are flushed, and those that were sent the same hand the
 * same bytes to their transports.
 */
export class JoinedFrames {
  readonly #host: Host;
  #room: Room;
  /** The empty run, with which the runs of this turn begin. */
  #empty: Run | undefined;
  /** Bytes that were serialized since then. */
  #serialized = 0;
  #sharers: Sharer[] = [];

  constructor(host: Host) {
    this.#host = host;
    this.#room = new Room(ROOM);
  }

  /**
   * `run`, or no run, and behind it a frame with this payload.
   *
   * @param b0 - The frame's first byte: FIN, RSV bits and opcode.
   * @param payload - Not to be changed, and always of the same `b0`: the frame is known by it until the turn ends.
   */
  extend(run: Run | undefined, b0: number, payload: Uint8Array): Run {
    this.#empty ??= this.#begin();
    const from = run ?? this.#empty;
    const found = from.nextPayload === payload ? from.next : from.others?.get(payload);
    return found ?? this.#append(from, b0, payload);
  }

  /** Has `sharer` flush its run at the end of the turn. */
  flushLater(sharer: Sharer): void {
    if (this.#sharers.push(sharer) === 1) this.#host.defer(this.#flush);
  }

  readonly #flush = (): void => {
    const sharers = this.#sharers;
    this.#sharers = [];
    this.#empty = undefined;
    if (last === this) lastHost = last = undefined;
    for (let i = 0; i < sharers.length; i++) sharers[i]!.flushRun();
  };

  #begin(): Run {
    this.#serialized = 0;
    if (this.#room.bytes.length - this.#room.used < LEAST) this.#room = new Room(ROOM);
    return new Run(this.#room, 0, 0);
  }

  #append(before: Run, b0: number, payload: Uint8Array): Run {
    const { size } = before;
    let from = before;
    if (size === 0 && this.#serialized > REMEMBERED) {
      this.#empty = this.#begin();
      from = this.#empty;
    }
    const most = size + LONGEST_HEADER + payload.length;
    let { room, start } = from;
    if (size === 0) {
      if (this.#room.bytes.length - this.#room.used < most) {
        this.#room = new Room(Math.max(ROOM, most));
      }
      room = this.#room;
      start = room.used;
    } else if (from.end !== room.used || start + most > room.bytes.length) {
      // Others stand behind it, or nothing fits there: it moves, to where it can double.
      room = new Room(2 * most);
      room.bytes.set(from.view(this.#host));
      start = 0;
    }
    header.fin = true;
    header.rsv = b0 & 0x70;
    header.opcode = b0 & 0x0f;
    header.length = payload.length;
    const at = start + size + header.write(room.bytes, start + size);
    room.bytes.set(payload, at);
    room.used = at + payload.length;
    this.#serialized += payload.length;
    const run = new Run(room, start, room.used);
    remember(from, payload, run);
    return run;
  }
}

function remember(from: Run, payload: Uint8Array, run: Run): void {
  if (from.next !== undefined) {
    from.others ??= new Map([[from.nextPayload!, from.next]]);
    from.others.set(payload, run);
  }
  from.nextPayload = payload;
  from.next = run;
}

const joined = /* @__PURE__ */ new WeakMap<Host, JoinedFrames>();
/** Until the turn ends: a host may be a server's own, and is not to outlive it. */
let lastHost: Host | undefined;
let last: JoinedFrames | undefined;

/** The frames of this turn that connections with `host` share. */
export function joinedFrames(host: Host): JoinedFrames {
  // A process has one, as a rule, and everybody asks at every frame.
  if (host === lastHost) return last!;
  let frames = joined.get(host);
  if (frames === undefined) {
    frames = new JoinedFrames(host);
    joined.set(host, frames);
  }
  lastHost = host;
  last = frames;
  return frames;
}
