import type { Position } from '@ws/hub';

/** One thing that a client gets: an answer to a join, a message of the room, or the report of a loss. */
export interface Sent {
  /** Of an answer: the last message before the membership; undefined if that is not known. */
  readonly start?: number | undefined;
  /** Of an answer: no message after `start` is missing. */
  readonly complete?: boolean;
  readonly position?: Position | undefined;
  readonly isLost?: boolean;
  /** Messages that were published before may be missing until the next answer. */
  readonly isUnknown?: boolean;
}

/** All that a client has got on one connection. */
export interface Log {
  readonly events: Sent[];
  /** Number of messages that `overflow` has reported. */
  dropped: number;
}

/**
 * A model of a room: its messages in order. A client gets all of them after the start of its membership,
 * in order and once, except the reported losses.
 */
export class RoomModel {
  /** The offsets of all messages. */
  readonly offsets = new Set<number>();

  /** The faults of the logs of a client. The last one has all messages of the others' ends. */
  faultsOf(logs: readonly Log[]): string[] {
    return logs.flatMap((log, i) => this.#faultsOf(log, i === logs.length - 1));
  }

  #faultsOf({ events, dropped }: Log, isLast: boolean): string[] {
    const faults: string[] = [];
    let [last, isTold] = [0, true];
    let [unreported, mayMiss] = [0, dropped];
    const end: Sent = { position: { epoch: '', offset: Math.max(0, ...this.offsets) + 1 } };
    for (const event of isLast ? [...events, end] : events) {
      const { start = 0, complete, position, isLost, isUnknown } = event;
      if (complete !== undefined) {
        last = start;
        isTold = !complete;
        mayMiss = isUnknown ? Infinity : dropped;
      } else if (isLost) isTold = true;
      else if (isUnknown) [last, mayMiss] = [0, Infinity];
      else if (position !== undefined) {
        const { offset } = position;
        if (offset <= last) faults.push(`${offset} after ${last}`);
        for (let missing = last + 1; missing < offset && !isTold; missing++) {
          // Messages that an unknown start leaves out count for no later answer.
          if (!this.offsets.has(missing) || mayMiss === Infinity) continue;
          if (++unreported > mayMiss) faults.push(`no ${missing}`);
        }
        last = offset;
        isTold = false;
      }
    }
    return faults;
  }
}
