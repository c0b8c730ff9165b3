import { checkClose, MAX_ROOM_NAME } from '../arguments.ts';
import type { JSONValue } from '../presence/room-presence.ts';

/**
 * Words, by name: messages between nodes that no client gets. A word is JSON in UTF-8, in the payload
 * of a digest, where nodes of an older version ignore it. A word is about its sender only. The
 * envelope has the name of the sender.
 *
 * On the channel of broadcasts: `start`, `beat` and `end`; `need` and `have`; `question` and `answer`.
 * On the channel of a room: `change`, `state` and `version`.
 */
interface Words {
  readonly start: Version;
  /** The node lives. */
  readonly beat: Version;
  readonly end: object;
  /** The node asks for the versions of rooms and, with `full`, for their members. */
  readonly need: {
    /** The name of the node that is asked. Default: all nodes. */
    readonly of?: string | undefined;
    readonly full: boolean;
    readonly rooms: readonly string[];
  };
  /** The versions of rooms, 0 for a room without members. */
  readonly have: {
    /** The name of the node that has asked. */
    readonly to: string;
    /** The sender's last version in any room. */
    readonly at: number;
    /** Whether the members of the rooms follow. */
    readonly full: boolean;
    readonly rooms: readonly (readonly [room: string, version: number])[];
  };
  /** Members that have joined the room or changed (`on`), and the ids of members that have left. */
  readonly change: {
    /** The version before the change, 0 for a room without members. */
    readonly from: number;
    readonly version: number;
    readonly on: readonly Shown[];
    readonly off: readonly string[];
    /** Number of the sender's members, after all changes of its turn of the event loop. */
    readonly size: number;
  };
  /** A part of the sender's members in the room: `part` counts from 0, `parts` is the number of parts. */
  readonly state: {
    readonly version: number;
    readonly part: number;
    readonly parts: number;
    readonly on: readonly Shown[];
  };
  /** The sender's last version of the room. */
  readonly version: {
    readonly version: number;
    /** Number of the sender's members. */
    readonly size: number;
  };
  /** A question to all other nodes. Later questions have higher ids. */
  readonly question: { readonly id: number; readonly question: Question };
  /** The answer to a question: a number of sessions, JSON, or the class of an error. */
  readonly answer: {
    /** The name of the node that has asked. */
    readonly to: string;
    readonly id: number;
    readonly value: number | { readonly answer: string } | { readonly failed: string };
  };
}

/** The version of the contract of a node, if it has one. */
interface Version {
  readonly version?: number | undefined;
}

export type Word<Name extends keyof Words = keyof Words> = {
  [N in Name]: { readonly word: N } & Words[N];
}[Name];

/** A member and its `info` in JSON. */
export type Shown = readonly [session: string, info: string];

/** The room or the id of the sessions that `everywhere.close` closes. */
export interface CloseTarget {
  readonly room?: string | undefined;
  readonly session?: string | undefined;
}

/** A call of `hub.everywhere`, as the other nodes get it. */
export type Question =
  | { readonly act: 'count'; readonly room: string }
  | ({ readonly act: 'close'; readonly code: number; readonly reason: string } & CloseTarget)
  | Ask;

/** A call of `everywhere.ask`. */
export type Ask = {
  readonly act: 'ask';
  readonly name: string;
  /** JSON; undefined for none. */
  readonly data?: string | undefined;
  readonly timeout: number;
};

/** Largest word, in bytes. Nodes of this version send smaller words. */
const MAX_WORD_BYTES = 262_144;
/** Longest name, id, `info` as JSON, or class of an error, in UTF-16 units. */
const MAX_TEXT = 1_024;
/** Longest JSON of a question or an answer, in UTF-16 units. */
const MAX_JSON = 65_536;
/** Most rooms that a node asks for in one word. */
export const MAX_ROOMS = 1_000;
/** Most sessions that a node may count. */
const MAX_COUNT = 1e9;

const encoder = /* @__PURE__ */ new TextEncoder();
const decoder = /* @__PURE__ */ new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function encodeWord(word: Word): Uint8Array {
  return encoder.encode(JSON.stringify(word));
}

/**
 * @returns Undefined for a word of a newer version.
 * @throws TypeError, RangeError, SyntaxError for bytes that no hub has sent.
 */
export function decodeWord(bytes: Uint8Array): Word | undefined {
  if (bytes.length > MAX_WORD_BYTES) throw new RangeError(`a word of ${bytes.length} bytes`);
  const word = JSON.parse(decoder.decode(bytes)) as Word;
  check(typeof word === 'object' && word !== null && typeof word.word === 'string');
  if (!Object.hasOwn(CHECKS, word.word)) return undefined;
  (CHECKS as Record<string, (word: Word) => void>)[word.word]!(word);
  return word;
}

/** Splits the items of a word into parts. A part is full at `most` items, or at a length of `maxLength`. */
export function inParts<T>(
  all: Iterable<T>,
  lengthOf: (each: T) => number,
  maxLength: number,
  most: number = Infinity,
): T[][] {
  const parts: T[][] = [];
  let part: T[] = [];
  let length = maxLength;
  for (const each of all) {
    if (length >= maxLength || part.length === most) {
      parts.push((part = []));
      length = 0;
    }
    part.push(each);
    length += lengthOf(each);
  }
  return parts;
}

/** The value of JSON in a word. @throws SyntaxError */
export function parseInfo(text: string): JSONValue {
  return JSON.parse(text) as JSONValue;
}

const CHECKS: { readonly [Name in keyof Words]: (word: Words[Name]) => void } = {
  start: () => {},
  beat: () => {},
  end: () => {},
  need({ of, full, rooms }) {
    check((of === undefined || isText(of)) && typeof full === 'boolean' && Array.isArray(rooms));
    check(rooms.length <= MAX_ROOMS && rooms.every(isName));
  },
  have({ to, at, full, rooms }) {
    check(isText(to) && isWhole(at) && typeof full === 'boolean' && Array.isArray(rooms));
    for (const [room, version] of rooms) check(isName(room) && isWhole(version) && version <= at);
  },
  change({ from, version, on, off, size }) {
    check(isWhole(from) && isWhole(version) && from < version && isWhole(size));
    check(Array.isArray(off) && off.every(isText));
    checkShown(on);
  },
  state({ version, part, parts, on }) {
    check(isWhole(version) && isWhole(part) && isWhole(parts) && part < parts);
    checkShown(on);
  },
  version({ version, size }) {
    check(isWhole(version) && isWhole(size));
  },
  question({ id, question }) {
    check(isWhole(id) && typeof question === 'object' && question !== null);
    checkQuestion(question);
  },
  answer({ to, id, value }) {
    check(isText(to) && isWhole(id));
    if (typeof value === 'number') return check(isWhole(value) && value <= MAX_COUNT);
    check(typeof value === 'object' && value !== null);
    if ('failed' in value) return check(isText(value.failed));
    check(isJSON(value.answer));
  },
};

function checkShown(on: readonly Shown[]): void {
  check(Array.isArray(on));
  for (const [session, info] of on) {
    check(isText(session) && isText(info));
    parseInfo(info);
  }
}

function checkQuestion(question: Question): void {
  switch (question.act) {
    case 'count':
      return check(isName(question.room));
    case 'close': {
      const { room, session, code, reason } = question;
      check(room === undefined ? isText(session) : isName(room) && session === undefined);
      checkClose('word', code, reason);
      return;
    }
    case 'ask': {
      const { name, data, timeout } = question;
      return check(isText(name) && (data === undefined || isJSON(data)) && isWhole(timeout));
    }
    default:
      check(false);
  }
}

export function isText(value: unknown): boolean {
  return typeof value === 'string' && value.length <= MAX_TEXT;
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value.length <= MAX_ROOM_NAME;
}

/** @throws SyntaxError for a text that is no JSON. */
function isJSON(value: unknown): boolean {
  if (typeof value !== 'string' || value.length > MAX_JSON) return false;
  JSON.parse(value);
  return true;
}

export function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function check(isRight: boolean): void {
  if (!isRight) throw new TypeError('not a word of a hub');
}
