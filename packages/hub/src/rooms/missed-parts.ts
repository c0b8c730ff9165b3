import type { PreparedMessage } from '@ws/conn';
import { markHandled } from '@ws/conn/internal';
import type { HistoryPart } from '../history/room-history.ts';
import type { Position } from '../position.ts';
import type { Rooms } from './rooms.ts';

/** Most messages of a part, and the bytes, as members get them, after which it ends. */
const PART_SIZE = 100;
const PART_BYTES = 262_144;

/** Missed messages of a room in a row, in the form that members get. */
export interface MissedPart {
  readonly messages: readonly PreparedMessage[];
  /** No message is missing after the position that was asked for, up to the last of these. */
  readonly isWhole: boolean;
  /** The room may have later messages. */
  readonly hasMore: boolean;
  readonly firstOffset: number | undefined;
  /** Of the last message. */
  readonly position: Position;
  /** Offsets of the messages for which `form` has failed. */
  readonly leftOut: readonly number[];
}

/** A part that resumes share. */
export interface SharedPart {
  readonly key: string;
  /** Number of resumes that hold it. */
  users: number;
  part: Promise<MissedPart>;
}

/**
 * Parts of the missed messages of sessions, after `form`. Resumes of one room at one position share a
 * part while one of them holds it. Parts end at the same offsets, so that resumes from different
 * positions share the later ones.
 */
export class MissedParts<Data> {
  readonly #rooms: Rooms<Data>;
  readonly #held = new Map<string, SharedPart>();
  /** Parts that the engine is reading. */
  readonly #begun = new Map<string, SharedPart>();

  constructor(rooms: Rooms<Data>) {
    this.#rooms = rooms;
  }

  /**
   * Reads a part after `since`, or the first part of the last `limit` messages without it. Call
   * {@link release} for the result.
   */
  acquire(name: string, since: Position | undefined, limit: number): SharedPart {
    const size = since === undefined ? limit : Math.min(limit, sizeAfter(since));
    const here = this.#rooms.reads.readHere(name, since, size);
    const { messages: _, ...state } = here ?? {};
    const key = JSON.stringify([name, since, size, state]);
    const found = this.#held.get(key);
    if (found !== undefined) {
      found.users++;
      return found;
    }
    const held: SharedPart = { key, users: 1, part: undefined! };
    const begun = this.#begun.get(key);
    if (begun !== undefined) {
      held.part = markHandled(this.#share(begun, name, since, limit));
      return held;
    }
    this.#held.set(key, held);
    held.part =
      here === undefined
        ? markHandled(this.#read(held, name, since, size))
        : Promise.resolve(this.#formed(name, here));
    return held;
  }

  /** A later resume may have missed more messages. It can share only a part that is full. */
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

  release(held: SharedPart): void {
    held.users--;
    if (held.users === 0) this.#forget(held);
  }

  /** No later resume shares it. */
  #forget(held: SharedPart): void {
    if (this.#held.get(held.key) === held) this.#held.delete(held.key);
  }

  async #read(
    held: SharedPart,
    name: string,
    since: Position | undefined,
    size: number,
  ): Promise<MissedPart> {
    const begins = (): void => {
      this.#forget(held);
      // Otherwise a client that joins and leaves in a loop delays the reads of others.
      if (held.users === 0) throw new Error('all its sessions have left');
      this.#begun.set(held.key, held);
    };
    try {
      const found = await this.#rooms.reads.readPart(name, since, size, begins);
      const turn = this.#rooms.sends.turn();
      if (turn !== undefined) await turn;
      const part = this.#formed(name, found);
      if (part.hasMore && held.users > 0 && !this.#held.has(held.key)) {
        this.#held.set(held.key, held);
      }
      return part;
    } catch (error) {
      this.#forget(held);
      throw error;
    } finally {
      if (this.#begun.get(held.key) === held) this.#begun.delete(held.key);
    }
  }

  #formed(name: string, found: HistoryPart): MissedPart {
    const messages: PreparedMessage[] = [];
    const leftOut: number[] = [];
    let [count, bytes, unreadable] = [0, 0, 0];
    for (const { message, position } of found.messages) {
      if (count === PART_SIZE || bytes >= PART_BYTES) break;
      count++;
      const formed = message && this.#rooms.form(name, message, position);
      bytes += (formed ?? message)?.bytes.length ?? 0;
      if (formed !== undefined) messages.push(formed);
      else if (message === undefined) unreadable++;
      else leftOut.push(position.offset);
    }
    const isCut = count < found.messages.length;
    const { complete, follows } = found;
    const hasMore = isCut || found.more;
    return {
      messages,
      isWhole: follows && unreadable === 0 && (hasMore || complete),
      hasMore,
      firstOffset: found.messages[0]?.position.offset,
      position: isCut ? found.messages[count - 1]!.position : found.position,
      leftOut,
    };
  }
}

/** Number of messages after a position until the end of a part. */
function sizeAfter({ offset }: Position): number {
  return PART_SIZE - (offset % PART_SIZE);
}

/** Whether a part begins after a position, in its history. It may still lack messages of other nodes. */
export function isNext(
  { firstOffset, position }: MissedPart,
  { epoch, offset }: Position,
): boolean {
  return position.epoch === epoch && (firstOffset ?? position.offset + 1) === offset + 1;
}
