import { checked, rejected } from '@ws/conn/internal';
import type { Found } from '../backplane/history-reads.ts';
import {
  checkQuery,
  type HistoryPart,
  type HistoryQuery,
  type Kept,
} from '../history/room-history.ts';
import type { Position } from '../position.ts';
import type { Sessions } from '../sessions/sessions.ts';
import { Room } from './room.ts';
import type { Rooms } from './rooms.ts';

/** Bound of the rooms in {@link RoomReads.unkept}. */
const MAX_UNKEPT = 10_000;

/** Reads the histories of rooms. Without a backplane this node keeps them, with one the engine. */
export class RoomReads<Data> {
  readonly #hub: Sessions<Data>;
  readonly #rooms: Rooms<Data>;
  /** Whether a read of a room without history was reported. */
  #missingReported = false;
  /**
   * The rooms in which another node has published without history, although they have one on this node:
   * its table is older. The value is the end of the time in which the history counts as incomplete.
   */
  readonly #unkept = new Map<string, number>();
  #unkeptReported = false;

  constructor(hub: Sessions<Data>, rooms: Rooms<Data>) {
    this.#hub = hub;
    this.#rooms = rooms;
  }

  /** See `Room.history`. */
  history(name: string, query: HistoryQuery): Promise<{ messages: Kept[]; complete: boolean }> {
    return this.#history(name, query).catch((error: unknown) => rejected(error, this));
  }

  async #history(
    name: string,
    query: HistoryQuery,
  ): Promise<{ messages: Kept[]; complete: boolean }> {
    const copy = checked(() => checkQuery(query), Room.prototype, 'history');
    const bounds = this.#hub.settings.room(name).history;
    if (bounds === undefined) {
      this.#reportMissing(name);
      return { messages: [], complete: false };
    }
    const { since, limit = bounds.size } = copy;
    const part = await this.#read(name, since, limit);
    const messages = part.messages.flatMap(({ message, position }) =>
      message === undefined ? [] : [{ position, message: this.#rooms.toMessage(message) }],
    );
    const complete = part.complete && !this.lacksUnkept(name);
    return { messages, complete: complete && messages.length === part.messages.length };
  }

  /** A message of another node has arrived that the history of the room lacks. */
  unkept(name: string, node: string, ttl: number): void {
    if (!this.#unkeptReported) {
      this.#unkeptReported = true;
      const room = JSON.stringify(name);
      const cure = 'give all nodes the same options of rooms';
      this.#hub.failed(
        undefined,
        new TypeError(`the node ${node} publishes to room ${room} without history; ${cure}`),
      );
    }
    // The room moves to the end.
    this.#unkept.delete(name);
    this.#unkept.set(name, this.#hub.platform.now() + ttl);
    if (this.#unkept.size <= MAX_UNKEPT) return;
    const [oldest] = this.#unkept.keys();
    this.#unkept.delete(oldest!);
  }

  /** Whether the history of a room may lack messages of another node, see {@link unkept}. */
  lacksUnkept(name: string): boolean {
    const end = this.#unkept.get(name);
    if (end === undefined) return false;
    if (this.#hub.platform.now() < end) return true;
    this.#unkept.delete(name);
    return false;
  }

  /** Reads the first `limit` messages after `since`; without `since`, the last `limit` messages. */
  async #read(name: string, since: Position | undefined, limit: number): Promise<HistoryPart> {
    const here = this.readHere(name, since, limit);
    if (here !== undefined) return here;
    const found = await this.#hub.withLink((link) => link.reads.read(name, since, limit));
    return partOf(found!, since, false);
  }

  /**
   * As {@link #read}, from the engine. The engine may return only the first of the messages.
   *
   * @param begins - Called when the read begins. The result may lack messages that arrive after this.
   * @throws (rejects) {@link BackplaneError}
   */
  async readPart(
    name: string,
    since: Position | undefined,
    limit: number,
    begins: () => void,
  ): Promise<HistoryPart> {
    const part = await this.#hub.withLink((link) =>
      link.reads.readPart(name, since, limit, begins),
    );
    const { arrivals, complete, follows, more } = part!;
    const hasMore = !complete && (more || (arrivals.length > 0 && arrivals.length >= limit));
    return { ...partOf(part!, since, hasMore), follows };
  }

  /** The position of the last message that members have got; undefined if this node must read it. */
  knownPosition(name: string): Position | undefined {
    return this.#hub.link?.positionOf(name);
  }

  /** Reads the position of the last message of a room. */
  async position(name: string): Promise<Position> {
    return (await this.#read(name, undefined, 1)).position;
  }

  /** Number of the messages after a position in the history on this node; 0 if the engine has it. */
  countAfter(name: string, { offset }: Position): number {
    return Math.max((this.#rooms.historyOf(name)?.last ?? 0) - offset, 0);
  }

  /** Reads the history on this node. Undefined with a backplane: the engine has the history. */
  readHere(name: string, since: Position | undefined, limit: number): HistoryPart | undefined {
    if (this.#rooms.crosses) return undefined;
    const history = this.#rooms.historyOf(name);
    if (history === undefined) {
      const complete = since === undefined;
      const position = { epoch: '', offset: 0 };
      return { messages: [], complete, follows: complete, position, more: false };
    }
    return history.read(since, limit);
  }

  /** Reports once that a room has no history. */
  #reportMissing(name: string): void {
    if (this.#missingReported) return;
    this.#missingReported = true;
    const { settings } = this.#hub;
    const text = `history: the room ${JSON.stringify(name)} has none`;
    this.#hub.failed(undefined, new TypeError(`${text}; ${settings.historyAdvice(name)}`));
  }
}

/** The result of a read of the engine. */
function partOf(
  { arrivals, complete, epoch = '', last: end = 0 }: Found,
  since: Position | undefined,
  more: boolean,
): HistoryPart {
  const last = arrivals.at(-1)?.position ?? (complete ? since : undefined);
  return {
    messages: arrivals.map(({ envelope, position }) => ({
      message: envelope?.message,
      position: position!,
    })),
    complete,
    follows: complete,
    position: last ?? { epoch, offset: end },
    more,
  };
}
