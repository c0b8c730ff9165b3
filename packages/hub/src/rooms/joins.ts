import { isThenable, kind } from '@ws/conn/internal';
import { RoomRefusedError } from '../errors.ts';
import type { Session } from '../sessions/session.ts';
import type { Sessions } from '../sessions/sessions.ts';

/**
 * Asks the option `mayJoin`. Returns a promise when it does.
 *
 * @throws (also rejects) {@link RoomRefusedError}
 */
export function admit<Data>(
  hub: Sessions<Data>,
  session: Session<Data>,
  room: string,
): Promise<void> | undefined {
  const { mayJoin } = hub.settings;
  if (mayJoin === undefined) return undefined;
  let answer: unknown;
  let isPromise: boolean;
  try {
    answer = mayJoin(session, room);
    isPromise = isThenable(answer);
  } catch (cause) {
    const refusal = new RoomRefusedError(room, 'mayJoin threw', { cause });
    hub.joinFailed(session, refusal, cause);
    throw refusal;
  }
  if (!isPromise) {
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
