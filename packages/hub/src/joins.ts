import { handled, isThenable, kind } from '@ws/conn/internal';
import { RoomRefusedError } from './errors.ts';
import type { HubEvents } from './events.ts';
import type { HubOptions } from './options.ts';
import type { Session } from './session.ts';

/** The part of a hub that decides and announces joins. */
export interface JoinsOwner<Data> {
  readonly settings: { readonly mayJoin: HubOptions<Data>['mayJoin'] };
  readonly listeners: { of(event: 'join'): readonly HubEvents<Data>['join'][] };
  failed(session: Session<Data>, error: unknown): void;
  /** A listener threw or rejected: its session closes. */
  listenerFailed(session: Session<Data>, error: unknown): void;
}

/** See `RoomsOwner.admit`. */
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
  } catch (error) {
    hub.failed(session, error);
    throw new RoomRefusedError(room, 'mayJoin threw', { cause: error });
  }
  if (!isThenable(answer)) {
    checkAdmits(room, answer);
    return undefined;
  }
  return Promise.resolve(answer).then(
    (value) => checkAdmits(room, value),
    (error) => {
      throw new RoomRefusedError(room, 'mayJoin rejected', { cause: error });
    },
  );
}

/** @throws {@link RoomRefusedError} unless the answer is `true`. */
function checkAdmits(room: string, answer: unknown): void {
  if (answer === true) return;
  throw new RoomRefusedError(room, `mayJoin returned ${textOf(answer)}, not true`);
}

/** See `RoomsOwner.announceJoin`. All listeners are called. */
export function announceJoin<Data>(
  hub: JoinsOwner<Data>,
  session: Session<Data>,
  room: string,
): Promise<void> | undefined {
  const failed = (error: unknown): never => {
    hub.listenerFailed(session, error);
    throw new RoomRefusedError(room, 'a join listener threw or rejected', { cause: error });
  };
  const pending: Promise<void>[] = [];
  let refusal: unknown;
  for (const listener of hub.listeners.of('join')) {
    try {
      const result = called(listener, session, room, failed);
      if (isThenable(result)) {
        const silent = Promise.resolve(result).then((value) => checkSilent(room, value), failed);
        pending.push(handled(silent));
      } else checkSilent(room, result);
    } catch (error) {
      refusal ??= error;
    }
  }
  if (refusal !== undefined) throw refusal;
  return pending.length === 0 ? undefined : handled(Promise.all(pending).then(() => {}));
}

function called<Data>(
  listener: HubEvents<Data>['join'],
  session: Session<Data>,
  room: string,
  failed: (error: unknown) => never,
): unknown {
  try {
    return listener(session, room);
  } catch (error) {
    return failed(error);
  }
}

/** @throws {@link RoomRefusedError} for a listener that returns a value: it is meant as a rule. */
function checkSilent(room: string, result: unknown): void {
  if (result === undefined) return;
  throw new RoomRefusedError(
    room,
    `a join listener returned ${textOf(result)}; the option mayJoin decides who may join, and a listener returns nothing`,
  );
}

function textOf(value: unknown): string {
  return typeof value === 'boolean' ? String(value) : kind(value);
}
