import type { Deferred } from '@ws/conn/internal';
import { isThenable, kind } from '@ws/conn/internal';
import { RoomRefusedError } from './errors.ts';
import type { HubOptions } from './options.ts';
import type { Position } from './position.ts';
import type { Room, Session } from './session.ts';

/** The result of `Session.join`. */
export interface Joined<Data = unknown> {
  /** The session is a member of this room. */
  readonly room: Room<Data>;
  /** No missed message is missing. Always true: a join reads no history. */
  readonly complete: boolean;
  /** Number of missed messages that the session got first. Always 0. */
  readonly missed: number;
  /** Position of the last of them in the room's history. Always undefined. */
  readonly position: Position | undefined;
}

/** The joins of a session that wait for a promise of `mayJoin`, by room. */
export type Joining<Data> = Map<string, Deferred<Joined<Data>>>;

/** The part of a hub that decides joins. */
export interface JoinsOwner<Data> {
  readonly settings: { readonly mayJoin: HubOptions<Data>['mayJoin'] };
  /** See `Sessions.joinFailed`. */
  joinFailed(session: Session<Data>, error: unknown, fault?: unknown): void;
}

/**
 * Asks the option `mayJoin`. Returns a promise when it does.
 *
 * @throws (also rejects) {@link RoomRefusedError}
 */
export function admit<Data>(
  hub: JoinsOwner<Data>,
  session: Session<Data>,
  room: string,
): Promise<void> | undefined {
  const { mayJoin } = hub.settings;
  if (mayJoin === undefined) return undefined;
  let answer: unknown;
  try {
    answer = mayJoin(session, room);
  } catch (cause) {
    const refusal = new RoomRefusedError(room, 'mayJoin threw', { cause });
    hub.joinFailed(session, refusal, cause);
    throw refusal;
  }
  if (!isThenable(answer)) {
    checkAdmits(room, answer);
    return undefined;
  }
  return Promise.resolve(answer).then(
    (value) => checkAdmits(room, value),
    (cause) => {
      throw new RoomRefusedError(room, 'mayJoin rejected', { cause });
    },
  );
}

/** @throws {@link RoomRefusedError} unless the answer is `true`. */
function checkAdmits(room: string, answer: unknown): void {
  if (answer === true) return;
  const text = typeof answer === 'boolean' ? String(answer) : kind(answer);
  throw new RoomRefusedError(room, `mayJoin returned ${text}, not true`);
}
