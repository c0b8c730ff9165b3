import { onRejection } from '@ws/conn/internal';
import { checkText, jsonOf } from '../arguments.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/** Longest data of a question, and longest answer, in bytes of JSON. */
export const MAX_ANSWER_BYTES = 65_536;
/** Sessions that `everywhere.close` closes in one turn of the event loop. */
const CLOSE_BATCH = 64;
/** Longest name of an error's class, in UTF-16 units. */
const MAX_CLASS = 64;

/** The sessions that `everywhere.close` closes. */
export interface CloseTarget {
  readonly room?: string | undefined;
  readonly session?: string | undefined;
}

/** What one node answers to `everywhere.ask`: JSON, or the class of an error. */
export type NodeAnswer = { readonly answer: string } | { readonly failed: string };

/** What `hub.everywhere` does on this node, for itself and for the other nodes. */
export class LocalActs<Data> {
  readonly #hub: Sessions<Data>;

  constructor(hub: Sessions<Data>) {
    this.#hub = hub;
  }

  count(room: string): number {
    return this.#hub.rooms.membersOf(room).size;
  }

  /** The members of a room, and the sessions that it may admit. */
  #sessionsOf(room: string): Set<Session<Data>> {
    const { rooms } = this.#hub;
    const sessions = new Set(rooms.membersOf(room));
    for (const join of rooms.joins.pending) if (join.room === room) sessions.add(join.session);
    return sessions;
  }

  /** Closes the open sessions of the target, a few in each turn. Never rejects. Resolves to their number. */
  async close(
    { room, session }: CloseTarget,
    code: number | undefined,
    reason: string | undefined,
  ): Promise<number> {
    const one = session === undefined ? undefined : this.#hub.byId.get(session);
    const found = room === undefined ? [one] : this.#sessionsOf(room);
    let closed = 0;
    for (const each of found) {
      if (each?.state !== 'open') continue;
      if (!this.#close(each, code, reason)) continue;
      if (++closed % CLOSE_BATCH === 0) {
        await new Promise<void>((next) => this.#hub.platform.yield(next));
      }
    }
    return closed;
  }

  /** Returns false when the connection, which may be no Conn, refuses the code. */
  #close(session: Session<Data>, code: number | undefined, reason: string | undefined): boolean {
    const failed = (error: unknown): void =>
      this.#hub.failedOften('sessions could not be closed', error);
    try {
      onRejection(session.close(code, reason), failed);
      return true;
    } catch (error) {
      failed(error);
      return false;
    }
  }

  /**
   * Calls the listener of a question. Never rejects.
   *
   * @param data - JSON; undefined for none.
   */
  async ask(name: string, data: string | undefined): Promise<NodeAnswer> {
    const listener = this.#hub.askListeners.get(name);
    if (listener === undefined) return { failed: 'no listener' };
    try {
      const answer = await listener(data === undefined ? (undefined as never) : JSON.parse(data));
      const text = jsonOf(answer === undefined ? null : answer);
      checkText('answer of onAsk', text, 1, MAX_ANSWER_BYTES);
      return { answer: text };
    } catch (error) {
      this.#hub.failedOften('calls of listeners of onAsk failed', error);
      return { failed: classOf(error) };
    }
  }
}

/** The class of an error, without a word of its message. */
function classOf(error: unknown): string {
  if (!(error instanceof Error)) return 'Error';
  try {
    const { name } = error.constructor as { readonly name: unknown };
    if (typeof name === 'string' && name !== '' && name.length <= MAX_CLASS) return name;
  } catch {
    // A getter of the application.
  }
  return 'Error';
}
