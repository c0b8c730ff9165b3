import type { StandardSchema } from '@ws/conn';
import { checkOptionNames, kind, nearName } from '@ws/conn/internal';
import { checkIsSchema } from '@ws/rpc/internal';
import { checkFunction } from '../arguments.ts';
import { byPattern, type RoomOptions } from '../options.ts';
import type { Session } from '../sessions/session.ts';

/** Which sessions may: all, none, or those for which the function returns or resolves to `true`. */
export type May<Data> =
  | boolean
  | ((session: Session<Data>, room: string) => boolean | PromiseLike<boolean>);

/** The rights of clients in the rooms of one key, and the options of these rooms. */
export interface RoomRules<Data = unknown, Info = unknown> {
  /** A Standard Schema (zod, valibot, ...) of the messages of clients. Default: any JSON. */
  readonly schema?: StandardSchema | undefined;
  /**
   * Returns the state of a room, or a promise of the state: JSON of at most 1 MiB, within 10 s. Loops
   * of clients begin with the state, and get it in place of a gap. Joins of one room share a call, so
   * return only what all members may see. `signal` aborts when no client waits any more. Store each
   * change before you publish it. If the function throws an RpcError, the loops of clients throw that
   * error; after another error, the clients ask again. Needs `history`. Default: none.
   */
  readonly state?: ((room: string, run: { readonly signal: AbortSignal }) => unknown) | undefined;
  /**
   * Identifies the publisher: members get the result as `from` beside `data`. Called for each message
   * that a client publishes. Synchronous; JSON of at most 1 KiB. If it fails, the message is not
   * published, and the publisher gets the code -32603. Set it only when all nodes know this option: an
   * older node has a gap for such a message. Default: none.
   */
  readonly stamp?: ((session: Session<Data>) => unknown) | undefined;
  /** Keeps the last messages, for clients that return: as in the option `rooms` of a Hub. Default: false. */
  readonly history?: RoomOptions['history'];
  /** Who may join. Required: `true` for everyone. */
  readonly mayJoin: May<Data>;
  /** Which members may publish. The server itself may always publish. Default: false. */
  readonly mayPublish?: May<Data> | undefined;
  /**
   * Returns the `info` that members of all nodes see of a session, as in the option `rooms` of a
   * Hub.
   */
  readonly presence?: RoomOptions<Data, Info>['presence'];
  /** Whether clients get the members, as `presence` shows them. Default: false. */
  readonly members?: boolean | undefined;
}

/**
 * The rooms that clients may join, by name or by a prefix with one `*` at its end.
 *
 * @typeParam Infos - The results of `presence`, by key.
 */
export type RoomTable<Data = unknown, Infos = Record<string, unknown>> = Readonly<
  Record<string, RoomRules<Data>>
> & { readonly [Key in keyof Infos]: RoomRules<Data, Infos[Key]> };

const NAMES: readonly (keyof RoomRules)[] = [
  'schema',
  'history',
  'mayJoin',
  'mayPublish',
  'presence',
  'members',
  'state',
  'stamp',
];

/** The rules of one key of the table. */
export interface KeyRules<Data> extends RoomRules<Data> {
  readonly key: string;
}

/**
 * Returns the rules of a name: of its own key, else of the longest prefix.
 *
 * @throws TypeError that names the key and the option.
 */
export function rulesByName<Data>(
  table: RoomTable<Data>,
): (name: string) => KeyRules<Data> | undefined {
  if (typeof table !== 'object' || table === null) {
    throw new TypeError(`serveRooms: expected an object of rooms, got ${kind(table)}`);
  }
  const { rooms } = table as { rooms?: object };
  if (Array.isArray(table) || (rooms !== undefined && !('mayJoin' in Object(rooms)))) {
    throw new TypeError(
      "serveRooms: the first argument is the table itself; write serveRooms({ 'chat/*': { mayJoin: true } })",
    );
  }
  return byPattern(
    Object.entries(table).map(([key, given]) => {
      checkRules(`rooms[${JSON.stringify(key)}]`, given);
      return [key, { ...given, key }];
    }),
  );
}

/** Names that belong elsewhere, or that others have. */
const RULE_HINTS: Readonly<Record<string, string>> = {
  from: 'use stamp, which says who publishes',
  last: 'it is an option of join, rooms.join(room, { last })',
  replay: 'it is an option of join, rooms.join(room, { last })',
  size: 'use history: { size }',
  ttl: 'use history: { ttl }',
  user: 'use stamp, which says who publishes',
  validate: 'use schema',
};

function ruleHint(name: string, known: readonly string[]): string | undefined {
  return Object.hasOwn(RULE_HINTS, name) ? RULE_HINTS[name] : nearName(name, known);
}

function checkRules<Data>(owner: string, rules: RoomRules<Data>): void {
  checkOptionNames(owner, rules, NAMES, 'ignore', ruleHint);
  const { schema, mayJoin, mayPublish, members = false, presence } = rules;
  if (schema !== undefined) checkIsSchema(`${owner}.schema`, schema);
  if (mayJoin === undefined) {
    throw new TypeError(`${owner}: say who may join; mayJoin: true lets everyone`);
  }
  if (typeof members !== 'boolean') {
    throw new TypeError(`${owner}.members: expected a boolean, got ${kind(members)}`);
  }
  if (members && presence === undefined) {
    throw new TypeError(
      `${owner}.members: needs presence, which says what clients see of a member`,
    );
  }
  checkFunction(`${owner}.state`, rules.state);
  checkFunction(`${owner}.stamp`, rules.stamp);
  for (const [name, may] of Object.entries({ mayJoin, mayPublish })) {
    if (may === undefined || typeof may === 'boolean' || typeof may === 'function') continue;
    throw new TypeError(`${owner}.${name}: expected a boolean or a function, got ${kind(may)}`);
  }
}
