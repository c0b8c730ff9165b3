import type { StandardSchema } from '@ws/conn';
import { kind } from '@ws/conn/internal';
import { type Contract, contract, type Handlers } from '../contract.ts';
import { type Definitions, type Event, event, type Method, method } from '../definitions.ts';

/** The code of the error with which a server refuses a room. */
export const ROOM_REFUSED = -32_001;

/** The position of a message in the history of its room, as in `@ws/hub`. */
export interface Position {
  /** Id of the history. Changes when the history is lost, for example by a restart. */
  readonly epoch: string;
  /** Number of the message in the history. Numbers grow from message to message, and may have gaps. */
  readonly offset: number;
}

/**
 * The position before all messages. With this `since`, a loop of {@link roomsOf} gets a `gap`, then all
 * messages that the room keeps.
 */
export const START: Position = /* @__PURE__ */ Object.freeze({ epoch: '', offset: 0 });

/** The options of `Rooms.join`. */
export interface JoinOptions {
  /**
   * Position of the last message that you have. The loop begins with the message after that position.
   * Default: none, the loop begins with the next publication.
   */
  readonly since?: Position | undefined;
  /**
   * Number of the room's last messages with which the loop begins, 1 to 1,000. The room may keep
   * fewer. No `gap` precedes these messages. Not with `since`. No effect in a room with a state, and in
   * a room without history.
   */
  readonly last?: number | undefined;
}

/** The result of `room.join`. */
export interface JoinAnswer {
  /** Whether the client got all messages after `since`. */
  readonly complete: boolean;
  /** Number of the missed messages that the server has sent before this answer. */
  readonly missed: number;
  /** Position of the last message before the live ones; undefined in a room without history. */
  readonly position?: Position | undefined;
  /** Whether the server shows the members of the room. Default: false. */
  readonly members?: boolean | undefined;
  /** Whether the room has a state. Default: false. */
  readonly state?: boolean | undefined;
}

/** A message of a room, on the wire. */
export interface WireRoomMessage {
  readonly room: string;
  /** Undefined for a message that the server has published. */
  readonly id?: string | undefined;
  /** The publisher: the result of the server's option `stamp`. */
  readonly from?: unknown;
  readonly position?: Position | undefined;
  readonly data: unknown;
}

/** The state of a room. The server sends it during a join. */
export interface WireState {
  readonly room: string;
  /** The messages after this position follow. */
  readonly position?: Position | undefined;
  readonly data: unknown;
}

/** Reports that messages of a room may be missing. */
export interface WireGap {
  readonly room: string;
  /** Messages after this position may be missing. Undefined: any message. */
  readonly position?: Position | undefined;
  /** Whether the server sends the gap during a join. */
  readonly joining?: boolean | undefined;
}

/** A member of a room, as the option `presence` of the server shows it. */
export interface RoomMember<Info = unknown> {
  /** Id of the member's server. */
  readonly node: string;
  /** Id of the member's session. */
  readonly session: string;
  /** The value that the server shows. */
  readonly info: Info;
}

/** The members of a room: all of them, or the changes; only their number if there are too many. */
export interface WireMembers {
  readonly room: string;
  readonly count: number;
  readonly complete: boolean;
  /** All members. */
  readonly members?: Readonly<Record<string, RoomMember>> | undefined;
  /** Members that have joined or changed. */
  readonly shown?: Readonly<Record<string, RoomMember>> | undefined;
  /** The keys of members that have left. */
  readonly left?: readonly string[] | undefined;
}

type Typed<T> = StandardSchema<T> & {
  readonly '~standard': { readonly types?: { readonly input: T; readonly output: T } | undefined };
};

type Fits = (value: unknown) => boolean;

/**
 * A schema of objects with these fields.
 *
 * @param expected - Describes the objects, for the error.
 */
// oxlint-disable-next-line typescript/no-explicit-any -- `RoomMethods` and `RoomEvents` have its type
function schema(expected: string, fields: Readonly<Record<string, Fits>>): Typed<any> {
  const checks = Object.entries(fields);
  const validate = (value: unknown): { value: unknown } | { issues: { message: string }[] } => {
    const given = Object(value) as Readonly<Record<string, unknown>>;
    for (const [name, fits] of checks) {
      if (!fits(given[name])) return { issues: [{ message: `expected ${expected}` }] };
    }
    return { value };
  };
  return { '~standard': { version: 1, vendor: '@ws/rpc', validate } };
}

const optional =
  (fits: Fits): Fits =>
  (value) =>
    value === undefined || fits(value);
const isText: Fits = (value) => typeof value === 'string';
const isBoolean: Fits = (value) => typeof value === 'boolean';
const isObject: Fits = (value) => typeof value === 'object' && value !== null;
const isDefined: Fits = (value) => value !== undefined;

/**
 * Bound of an epoch, in characters, because a server keeps the epoch of a join until the room's next
 * message.
 */
const MAX_EPOCH = 8_192;

/** Whether `value` is a position. */
export function isPosition(value: unknown): value is Position {
  const { epoch, offset } = Object(value) as Partial<Position>;
  const isEpoch = typeof epoch === 'string' && epoch.length <= MAX_EPOCH;
  return isEpoch && Number.isSafeInteger(offset) && offset! >= 0;
}

/** Largest option `last`. */
const MAX_LAST = 1_000;

/** Whether `value` is a number of messages for the option `last`. */
export function isLast(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_LAST;
}

/** The id of a publication: at least 128 bits in base64url or hexadecimal, with hyphens or without. */
const ID = /^[\w-]{22,36}$/;

/** Whether `value` is the id of a publication. */
export const isId: Fits = (value) => isText(value) && ID.test(value as string);

const nothing: Typed<undefined | null> = /* @__PURE__ */ schema('nothing', {});

/** The methods of a server of rooms. */
export type RoomMethods = {
  readonly 'room.join': Method<
    Typed<{
      readonly room: string;
      readonly since?: Position | undefined;
      /** Without `since`: the number of kept messages to send first. Default: 0. */
      readonly last?: number | undefined;
    }>,
    Typed<JoinAnswer>
  >;
  readonly 'room.leave': Method<Typed<{ readonly room: string }>, Typed<undefined | null>>;
  readonly 'room.publish': Method<
    Typed<{ readonly room: string; readonly id: string; readonly data: unknown }>,
    Typed<undefined | null>
  >;
};

const SERVER: RoomMethods = /* @__PURE__ */ Object.freeze({
  'room.join': onArrival(
    method(
      schema('{ room: string, since?: { epoch: string, offset: number }, last?: 1 to 1000 }', {
        room: isText,
        since: optional(isPosition),
        last: optional(isLast),
      }),
      schema(
        '{ complete: boolean, missed: number, position?: { epoch, offset }, members?: boolean }',
        { complete: isBoolean, position: optional(isPosition) },
      ),
    ),
  ),
  'room.leave': onArrival(method(schema('{ room: string }', { room: isText }), nothing)),
  'room.publish': onArrival(
    method(
      schema('{ room: string, id: string, data }, with an id of 22 to 36 random A-Z a-z 0-9 _ -', {
        room: isText,
        id: isId,
        data: isDefined,
      }),
      nothing,
    ),
  ),
});

/** The events of a client of rooms. */
export type RoomEvents = {
  readonly 'room.message': Event<Typed<WireRoomMessage>>;
  readonly 'room.state': Event<Typed<WireState>>;
  readonly 'room.gap': Event<Typed<WireGap>>;
  readonly 'room.members': Event<Typed<WireMembers>>;
};

/** The fields of a room and of a position in its history. */
const PLACE = { room: isText, position: optional(isPosition) };

const CLIENT: RoomEvents = /* @__PURE__ */ Object.freeze({
  'room.message': onArrival(
    event(
      schema('{ room: string, position?, id?: string, data }', {
        ...PLACE,
        id: optional(isText),
        data: isDefined,
      }),
    ),
  ),
  'room.state': onArrival(
    event(schema('{ room: string, position?, data }', { ...PLACE, data: isDefined })),
  ),
  'room.gap': onArrival(event(schema('{ room: string, position?, joining?: boolean }', PLACE))),
  'room.members': onArrival(
    event(
      schema(
        '{ room: string, count: number, complete: boolean, members?, shown?, left?: string[] }',
        {
          room: isText,
          count: Number.isSafeInteger,
          members: optional(isObject),
          shown: optional(isObject),
          left: optional(Array.isArray),
        },
      ),
    ),
  ),
});

/** Makes the handler of a definition run on arrival, ahead of waiting requests. */
function onArrival<D extends Method | Event>(definition: D): D {
  return { ...definition, onArrival: true };
}

/**
 * Adds the methods and events of rooms to a contract.
 *
 * @param owner - The function that gets the contract, for the error.
 * @throws TypeError for a name that begins with `room.`.
 */
export function withRooms<S extends Definitions, C extends Definitions>(
  owner: string,
  other: Contract<S, C>,
): Contract<RoomMethods & S, RoomEvents & C> {
  for (const name of [...Object.keys(other.server), ...Object.keys(other.client)]) {
    if (name.startsWith('room.')) {
      throw new TypeError(
        `${owner}: the contract has ${name}; names that begin with room. are taken`,
      );
    }
  }
  return contract({ server: SERVER, client: CLIENT }, other);
}

/**
 * Adds the handlers of rooms, `ofRooms`, to the handlers of a contract.
 *
 * @param names - The definitions of the contract, by name.
 * @throws TypeError if `handlers` is no object, or has a handler of rooms.
 */
export function withRoomHandlers(
  owner: string,
  handlers: object,
  names: object,
  ofRooms: object,
): Handlers<Definitions, never> {
  if (typeof handlers !== 'object' || handlers === null) {
    throw new TypeError(`${owner}: expected an object of handlers, got ${kind(handlers)}`);
  }
  const all: Record<string, unknown> = { ...handlers, ...ofRooms };
  for (const name of Object.keys(handlers)) {
    if (name in ofRooms) throw new TypeError(`${owner}: rooms have a handler of ${name}`);
  }
  // The methods of a class are in its prototype.
  for (const name of Object.keys(names)) {
    const handler: unknown = Reflect.get(handlers, name);
    all[name] = typeof handler === 'function' ? handler.bind(handlers) : handler;
  }
  return all as Handlers<Definitions, never>;
}
