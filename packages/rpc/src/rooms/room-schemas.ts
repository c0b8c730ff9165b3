import type { SchemaOutput, StandardSchema } from '@ws/conn';
import { checkOptionNames } from '@ws/conn/internal';
import { checkIsSchema, checkNow } from '../schema.ts';
import type { RoomMember, WireMembers } from './room-contract.ts';

/** The schemas of the rooms that one key of {@link RoomSchemas} covers. */
export interface KeySchemas {
  /** The schema of messages. */
  readonly message?: StandardSchema | undefined;
  /** The schema of the state. */
  readonly state?: StandardSchema | undefined;
  /** The schema of the `info` of members. It is synchronous. */
  readonly info?: StandardSchema | undefined;
}

/**
 * The schemas of rooms. A key is a name, or a prefix with one `*` at its end. A value that is
 * one schema applies to messages.
 */
export type RoomSchemas = Readonly<Record<string, StandardSchema | KeySchemas>>;

/** The key of `T` that covers the room `Name`. */
type KeyOf<T, Name extends string> = Name extends keyof T
  ? Name
  : {
      [K in keyof T]: K extends `${infer Prefix}*`
        ? Name extends `${Prefix}${string}`
          ? K
          : never
        : never;
    }[keyof T];

/** The schemas of the room `Name`. */
type SchemasOf<T extends RoomSchemas, Name extends string> = [KeyOf<T, Name>] extends [never]
  ? KeySchemas
  : T[KeyOf<T, Name>];

/** The schema of messages of the room; any schema if none is given. */
export type MessageOf<T extends RoomSchemas, Name extends string> =
  SchemasOf<T, Name> extends infer S
    ? S extends StandardSchema
      ? S
      : S extends { readonly message: infer M extends StandardSchema }
        ? M
        : StandardSchema
    : never;

/** The state of the room. */
export type StateOf<T extends RoomSchemas, Name extends string> =
  SchemasOf<T, Name> extends { readonly state: infer S extends StandardSchema }
    ? SchemaOutput<S>
    : unknown;

/** The `info` that the server shows of its members. */
export type InfoOf<T extends RoomSchemas, Name extends string> =
  SchemasOf<T, Name> extends { readonly info: infer I extends StandardSchema }
    ? SchemaOutput<I>
    : unknown;

/** @throws TypeError for a value that is neither a schema nor an object of schemas. */
export function checkSchemas(owner: string, given: StandardSchema | KeySchemas): void {
  if ('~standard' in Object(given)) return checkIsSchema(owner, given);
  checkOptionNames(owner, given, ['message', 'state', 'info'], 'ignore');
  for (const [name, schema] of Object.entries(given)) {
    if (schema !== undefined) checkIsSchema(`${owner}: ${name}`, schema);
  }
}

/** The schemas of the exact name, else of the longest prefix. */
export function schemasOf(schemas: RoomSchemas, name: string): KeySchemas {
  let longest = Object.hasOwn(schemas, name) ? name : '';
  for (const key of longest === name ? [] : Object.keys(schemas)) {
    const covers = key.endsWith('*') && name.startsWith(key.slice(0, -1));
    if (covers && key.length > longest.length) longest = key;
  }
  const found = schemas[longest] ?? {};
  return '~standard' in found ? { message: found } : found;
}

/**
 * The event without the members whose `info` does not fit the schema. They are in `left` instead.
 *
 * @param misfit - Called with the error of each such member.
 */
export function fitting(
  schemas: RoomSchemas,
  event: WireMembers,
  misfit: (error: unknown) => void,
): WireMembers {
  const { info } = schemasOf(schemas, event.room);
  if (info === undefined) return event;
  const left = [...(event.left ?? [])];
  const fit = (members: WireMembers['members']): typeof members => {
    const fits: Record<string, RoomMember> = Object.create(null);
    for (const [key, member] of Object.entries(members ?? {})) {
      try {
        fits[key] = { ...member, info: checkNow(info, member.info, 'info') };
      } catch (error) {
        left.push(key);
        misfit(error);
      }
    }
    return members && fits;
  };
  return { ...event, members: fit(event.members), shown: fit(event.shown), left };
}
