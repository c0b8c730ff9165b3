import type { MessageData, PreparedMessage } from '@ws/conn';
import { isThenable, kind, onRejection } from '@ws/conn/internal';
import { checkFunction, checkKeyedOptions, prepare } from '../arguments.ts';
import { Session } from '../sessions/session.ts';

/** The receivers of a message. */
export interface PublishOptions<Data = unknown> {
  /** Sessions that do not get the message, usually the sender. */
  readonly except?: Session<Data> | Iterable<Session<Data>> | undefined;
  /**
   * The message goes only to sessions of this node for which the function returns true. Called for each
   * session before `publish` returns. The history does not get the message. Not allowed with
   * `through`.
   */
  readonly filter?: ((session: Session<Data>) => boolean) | undefined;
  /**
   * With the policy `latest`, the message replaces a waiting message of this key. Without effect for a
   * message that a history has.
   */
  readonly key?: string | undefined;
  /** Whether only sessions of this node get the message. Default: false. */
  readonly local?: boolean | undefined;
}

/** The names of the options of `broadcast`, and of `publish`. */
export const BROADCAST_NAMES: readonly (keyof PublishOptions)[] = ['except', 'filter', 'local'];
export const PUBLISH_NAMES: readonly (keyof PublishOptions)[] = [...BROADCAST_NAMES, 'key'];

/**
 * Checks the arguments of a publication.
 *
 * @returns `except`: the option as a Set, or undefined without it.
 * @throws TypeError for invalid data; TypeError or RangeError that names the option.
 */
export function publicationOf<Data>(
  owner: string,
  data: MessageData | PreparedMessage,
  options: PublishOptions<Data>,
  names: readonly string[],
  takesKey: boolean,
): { message: PreparedMessage; except: ReadonlySet<Session<Data>> | undefined } {
  checkKeyedOptions(owner, options, names, takesKey);
  const { filter, except } = options;
  checkFunction('filter', filter);
  return {
    message: prepare(data, owner),
    except:
      except === undefined
        ? undefined
        : sessionsOf('except', except instanceof Session ? [except] : except),
  };
}

/** @throws TypeError unless `sessions` is an iterable of sessions. */
export function sessionsOf<Data>(
  name: string,
  sessions: Iterable<Session<Data>>,
): Set<Session<Data>> {
  if (typeof sessions !== 'object' || sessions === null || !(Symbol.iterator in sessions)) {
    throw new TypeError(`${name}: expected a Session or several, got ${kind(sessions)}`);
  }
  const set = new Set(sessions);
  for (const session of set) {
    if (session instanceof Session) continue;
    throw new TypeError(`${name}: expected sessions, got ${kind(session)}`);
  }
  return set;
}

/** The sessions for which `filter` returns true; undefined without a filter. */
export function chosen<Data>(
  sessions: Iterable<Session<Data>>,
  filter: PublishOptions<Data>['filter'],
): ReadonlySet<Session<Data>> | undefined {
  if (filter === undefined) return undefined;
  const passed = new Set<Session<Data>>();
  for (const session of sessions) if (passes(filter, session)) passed.add(session);
  return passed;
}

/** @throws TypeError if `filter` returns a promise, which would select every session. */
function passes<Data>(
  filter: (session: Session<Data>) => boolean,
  session: Session<Data>,
): boolean {
  const result: unknown = filter(session);
  if (!isThenable(result)) return Boolean(result);
  onRejection(result, () => {});
  throw new TypeError(
    'filter: expected true or false, got a promise; the function must be synchronous',
  );
}
