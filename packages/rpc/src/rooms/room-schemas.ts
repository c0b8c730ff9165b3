import type { SchemaOutput, StandardSchema } from '@ws/conn';
import { checkOptionNames, hasOwn } from '@ws/conn/internal';
import { check, checkIsSchema, checkNow, valueOf } from '../schema.ts';
import type { RoomMember, WireMembers } from './room-contract.ts';

/** The schemas of all rooms of one key of {@link RoomSchemas}. */
export interface KeySchemas {
  /** The schema of messages. */
  readonly message?: StandardSchema | undefined;
  /** The schema of the state. */
  readonly state?: StandardSchema | undefined;
  /** The schema of the `info` of members. It must be synchronous. */
  readonly info?: StandardSchema | undefined;
}

/**
 * The schemas of rooms. A key is the name of a room, or a prefix with one `*` at its end. A single
 * schema as value is the schema of messages.
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

/** The schema of messages of the room; `StandardSchema` if none is given. */
export type MessageOf<T extends RoomSchemas, Name extends string> =
  SchemasOf<T, Name> extends infer S
    ? S extends StandardSchema
      ? S
      : S extends { readonly message: infer M extends StandardSchema }
        ? M
        : StandardSchema
    : never;

/** The type of the state of the room. */
export type StateOf<T extends RoomSchemas, Name extends string> =
  SchemasOf<T, Name> extends { readonly state: infer S extends StandardSchema }
    ? SchemaOutput<S>
    : unknown;

/** The type of the `info` of the members of the room. */
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

/** The key `name`, or the key of the longest prefix of `name`; empty if there is none. */
export function keyOf(schemas: RoomSchemas, name: string): string {
  let best = hasOwn(schemas, name) ? name : '';
  for (const key of best === name ? [] : Object.keys(schemas)) {
    const covers = key.endsWith('*') && name.startsWith(key.slice(0, -1));
    if (covers && key.length > best.length) best = key;
  }
  return best;
}

/** The schemas of {@link keyOf}. */
export function schemasOf(schemas: RoomSchemas, name: string): KeySchemas {
  const found = schemas[keyOf(schemas, name)] ?? {};
  return '~standard' in found ? { message: found } : found;
}

/**
 * Checks the `info` of the members of an event. A member with an invalid `info` moves to `left`.
 *
 * @param reportInvalid - Called with the error of each such member.
 */
export function checkInfos(
  schemas: RoomSchemas,
  event: WireMembers,
  reportInvalid: (error: unknown) => void,
): WireMembers {
  const { info } = schemasOf(schemas, event.room);
  if (info === undefined) return event;
  const left = [...(event.left ?? [])];
  const onlyValid = (members: WireMembers['members']): typeof members => {
    const valid: Record<string, RoomMember> = Object.create(null);
    for (const [key, member] of Object.entries(members ?? {})) {
      try {
        valid[key] = { ...member, info: checkNow(info, member.info, 'info') };
      } catch (error) {
        left.push(key);
        reportInvalid(error);
      }
    }
    return members && valid;
  };
  return { ...event, members: onlyValid(event.members), shown: onlyValid(event.shown), left };
}

/** @throws (rejects) JSONError for a value that does not fit `schema`. */
export async function checkedValue(
  schema: StandardSchema | undefined,
  given: unknown,
  what: string,
): Promise<unknown> {
  return schema === undefined ? given : valueOf(await check(schema, given), what);
}
