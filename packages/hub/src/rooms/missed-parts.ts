import type { PreparedMessage } from '@ws/conn';
import { markHandled } from '@ws/conn/internal';
import type { HistoryPart } from '../history/room-history.ts';
import type { Position } from '../position.ts';
import type { Rooms } from './rooms.ts';

/** Bounds of a part: number of messages, and their bytes after `form`. The last may exceed the bytes. */
const PART_SIZE = 100;
const PART_BYTES = 262_144;

/** Consecutive missed messages of a room, in the form that members get. */
export interface MissedPart {
  readonly entries: readonly MissedEntry[];
  /** Whether no message is missing between `since` and the last of these messages. */
  readonly isWhole: boolean;
  /** Whether the room may have later messages. */
  readonly hasMore: boolean;
  /** Position of the last message. */
  readonly position: Position;
}

/** A message that `form` has refused, or that cannot be read, is lost. */
interface MissedEntry {
  readonly position: Position;
  /** Offset of the message before it, if known. */
  readonly previous: number | undefined;
  readonly message: PreparedMessage | undefined;
  readonly isLost: boolean;
}

/** A part that resumes share. */
export interface SharedPart {
  readonly key: string;
  /** Number of resumes that have acquired this part. */
  users: number;
  part: Promise<MissedPart>;
}

/**
 * Reads missed messages in parts, and applies `form`. Resumes of one room from one position share a part
 * until all of them have released it. Parts end at multiples of `PART_SIZE`, so that resumes from
 * different positions share the later parts.
 */
export class MissedParts<Data> {
  readonly #rooms: Rooms<Data>;
  /** The parts that a later resume may share. */
  readonly #parts = new Map<string, SharedPart>();
  /** The parts that the engine is reading. */
  readonly #begun = new Map<string, SharedPart>();

  constructor(rooms: Rooms<Data>) {
    this.#rooms = rooms;
  }

  /**
   * Reads a part after `since`; without `since`, the first part of the last `limit` messages. Call
   * {@link release} with the result.
   */
  acquire(name: string, since: Position | undefined, limit: number): SharedPart {
    const size = since === undefined ? limit : Math.min(limit, sizeAfter(since));
    const here = this.#rooms.reads.readHere(name, since, size);
    const { messages: _, ...version } = here ?? {};
    const key = JSON.stringify([name, since, size, version]);
    const found = this.#parts.get(key);
    if (found !== undefined) {
      found.users++;
      return found;
    }
    const shared: SharedPart = { key, users: 1, part: undefined! };
    const begun = this.#begun.get(key);
    if (begun !== undefined) {
      shared.part = markHandled(this.#share(begun, name, since, limit));
      return shared;
    }
    this.#parts.set(key, shared);
    shared.part =
      here === undefined
        ? markHandled(this.#read(shared, name, since, size))
        : Promise.resolve(this.#formed(name, since, here));
    return shared;
  }

  /**
   * Shares a read that has begun before. If its part is not full, reads again: the part may lack
   * messages that a later resume has missed.
   */
  async #share(
    begun: SharedPart,
    name: string,
    since: Position | undefined,
    limit: number,
  ): Promise<MissedPart> {
    const part = await begun.part;
    if (part.hasMore) return part;
    const next = this.acquire(name, since, limit);
    try {
      return await next.part;
    } finally {
      this.release(next);
    }
  }

  release(shared: SharedPart): void {
    shared.users--;
    if (shared.users === 0) this.#unshare(shared);
  }

  /** Makes later resumes read another part. */
  #unshare(shared: SharedPart): void {
    if (this.#parts.get(shared.key) === shared) this.#parts.delete(shared.key);
  }

  async #read(
    shared: SharedPart,
    name: string,
    since: Position | undefined,
    size: number,
  ): Promise<MissedPart> {
    const begins = (): void => {
      this.#unshare(shared);
      // A client that joins and leaves in a loop must not delay the reads of others.
      if (shared.users === 0) throw new Error('all its sessions have left');
      this.#begun.set(shared.key, shared);
    };
    try {
      const found = await this.#rooms.reads.readPart(name, since, size, begins);
      const turn = this.#rooms.sends.turn();
      if (turn !== undefined) await turn;
      const part = this.#formed(name, since, found);
      if (part.hasMore && shared.users > 0 && !this.#parts.has(shared.key)) {
        this.#parts.set(shared.key, shared);
      }
      return part;
    } catch (error) {
      this.#unshare(shared);
      throw error;
    } finally {
      if (this.#begun.get(shared.key) === shared) this.#begun.delete(shared.key);
    }
  }

  #formed(name: string, since: Position | undefined, found: HistoryPart): MissedPart {
    const entries: MissedEntry[] = [];
    let bytes = 0;
    let previous = found.follows ? since?.offset : undefined;
    for (const { message, position } of found.messages) {
      if (entries.length === PART_SIZE || bytes >= PART_BYTES) break;
      const formed = message && this.#rooms.form(name, message, position);
      bytes += (formed ?? message)?.bytes.length ?? 0;
      entries.push({ position, previous, message: formed, isLost: formed === undefined });
      previous = position.offset;
    }
    const isCut = entries.length < found.messages.length;
    const hasMore = isCut || found.more;
    return {
      entries,
      isWhole: found.follows && (hasMore || found.complete),
      hasMore,
      position: isCut ? entries.at(-1)!.position : found.position,
    };
  }
}

/** Number of messages after a position until the end of a part. */
function sizeAfter({ offset }: Position): number {
  return PART_SIZE - (offset % PART_SIZE);
}
