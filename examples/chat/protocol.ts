/** The longest name and the longest message, in UTF-16 units, as `maxlength` in the page counts. */
export const MAX_NAME = 32;
export const MAX_TEXT = 2_000;
/** The longest request as it comes, in bytes: a text of the greatest length, all of it escaped. */
export const MAX_REQUEST = 16 * 1024;

/** What a page asks for. The first request is a `name`: it enters the room. */
export type ChatRequest =
  | { readonly t: 'name'; readonly name: string }
  /** `key` is the page's own mark of the message, by which it knows it again. */
  | { readonly t: 'say'; readonly key: string; readonly text: string }
  /** Answered by a `pong`: browsers cannot send the ping of RFC 6455. */
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

/** What a page is told. */
export type ChatEvent =
  | Said
  | {
      readonly t: 'welcome';
      /** The id of the one who is told. */
      readonly you: number;
      readonly people: readonly Person[];
      /** The latest messages, oldest first. */
      readonly history: readonly Said[];
    }
  | { readonly t: 'joined'; readonly person: Person }
  | { readonly t: 'renamed'; readonly person: Person }
  | { readonly t: 'left'; readonly id: number }
  | { readonly t: 'pong'; readonly n: number }
  /** A name or a message (then with its key) that reached nobody, and why. */
  | { readonly t: 'refused'; readonly key?: string; readonly reason: string };

/** A request that no page of ours sends. The message is fit for a close frame's reason. */
export class BadRequest extends Error {
  override name = 'BadRequest';
}

const KEY = /^[\w-]{1,36}$/;

/**
 * Reads one request. Only its form is judged; names and texts may be of any length and say anything.
 *
 * @throws BadRequest
 */
export function parseRequest(json: string): ChatRequest {
  const { t, name, key, text, n } = parseObject(json);
  if (t === 'name' && typeof name === 'string') return { t, name };
  if (t === 'say' && typeof key === 'string' && KEY.test(key) && typeof text === 'string') {
    return { t, key, text };
  }
  if (t === 'ping' && typeof n === 'number') return { t, n };
  throw new BadRequest('not a request of the chat');
}

function parseObject(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new BadRequest('not a JSON object');
}

/** A name on one line, of what can be seen; `''` when nothing is left or it is too long. */
export function cleanName(name: string): string {
  const clean = name
    .replace(/(?!\p{Join_Control})[\p{Cc}\p{Cf}\p{Cs}\s]/gu, ' ')
    .replace(/ +/g, ' ')
    .trim();
  return clean.length > MAX_NAME || !/[\p{L}\p{N}\p{P}\p{S}]/u.test(clean) ? '' : clean;
}

/** A text without control characters, save tabs and line ends, and without heaps of empty lines; may be `''`. */
export function cleanText(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\t\n])[\p{Cc}\p{Cs}]/gu, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}
