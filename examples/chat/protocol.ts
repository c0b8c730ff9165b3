/** Lengths of the longest name and message in UTF-16 units, like `maxlength` in the page. */
export const MAX_NAME = 32;
export const MAX_TEXT = 2_000;
/** Bytes of the longest request: the longest text with every character escaped. */
export const MAX_REQUEST = 16 * 1024;

/** The room of a page whose address names none. */
export const DEFAULT_ROOM = 'lobby';

/** A request of a page. The first one is a `name`, which enters the room; later ones rename. */
export type ChatRequest =
  | { readonly t: 'name'; readonly name: string; readonly room?: string | undefined }
  /** `key` identifies the message to the page that sent it. */
  | { readonly t: 'say'; readonly key: string; readonly text: string }
  /** The answer is a `pong`. Browsers cannot send a ping of RFC 6455. */
  | { readonly t: 'ping'; readonly n: number };

/** A message in the room. `at` is in ms since 1970. */
export interface Said {
  readonly t: 'said';
  readonly key: string;
  readonly name: string;
  readonly text: string;
  readonly at: number;
}

export interface Person {
  readonly id: number;
  readonly name: string;
}

/** An event for a page. */
export type ChatEvent =
  | Said
  | {
      readonly t: 'welcome';
      /** Id of the receiving member. */
      readonly you: number;
      readonly room: string;
      /** Id of the server's node. */
      readonly node: string;
      /** The members of this node. */
      readonly people: readonly Person[];
      /** The latest messages, oldest first. */
      readonly history: readonly Said[];
    }
  | { readonly t: 'joined'; readonly person: Person }
  | { readonly t: 'renamed'; readonly person: Person }
  | { readonly t: 'left'; readonly id: number }
  | { readonly t: 'pong'; readonly n: number }
  /** Messages of other nodes may be missing. */
  | { readonly t: 'gap' }
  /** A name or a message was refused. `key` is that of the message. */
  | { readonly t: 'refused'; readonly key?: string; readonly reason: string };

/** A request that our page never sends. The message fits the reason of a close frame. */
export class BadRequest extends Error {
  override name = 'BadRequest';
}

const KEY = /^[\w-]{1,36}$/;
/** A room name from a client is untrusted: it becomes part of names in the hub and in Redis. */
const ROOM = /^[\p{L}\p{N}_-]{1,32}$/u;

/**
 * Parses one request. It checks the form only, not the length or content of names and texts.
 *
 * @throws BadRequest
 */
export function parseRequest(json: string): ChatRequest {
  const { t, name, room = DEFAULT_ROOM, key, text, n } = parseObject(json);
  if (t === 'name' && typeof name === 'string' && typeof room === 'string' && ROOM.test(room)) {
    return { t, name, room };
  }
  if (t === 'say' && typeof key === 'string' && KEY.test(key) && typeof text === 'string') {
    return { t, key, text };
  }
  if (t === 'ping' && typeof n === 'number') return { t, n };
  throw new BadRequest('not a request of the chat');
}

/** Parses a message of the history; undefined for other data, which a foreign program has written. */
export function parseSaid(json: string): Said | undefined {
  try {
    const { t, key, name, text, at } = parseObject(json);
    const texts = [key, name, text].every((value) => typeof value === 'string');
    return t === 'said' && texts && typeof at === 'number'
      ? ({ t, key, name, text, at } as Said)
      : undefined;
  } catch {
    return undefined;
  }
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Reported below.
  }
  throw new BadRequest('not a JSON object');
}

/** A name on one line, without invisible characters; `''` if nothing is left or it is too long. */
export function cleanName(name: string): string {
  const clean = name
    .replace(/(?!\p{Join_Control})[\p{Cc}\p{Cf}\p{Cs}\s]/gu, ' ')
    .replace(/ +/g, ' ')
    .trim();
  return clean.length > MAX_NAME || !/[\p{L}\p{N}\p{P}\p{S}]/u.test(clean) ? '' : clean;
}

/**
 * A text without control characters, except tabs and line ends, and without repeated empty lines. It
 * may be `''`.
 */
export function cleanText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\t\n])[\p{Cc}\p{Cs}]/gu, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}
