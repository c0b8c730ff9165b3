import type { StandardSchema } from '@ws/conn';
import { contract, event } from '@ws/rpc';

/** Lengths of the longest name and message in UTF-16 units, like `maxlength` in the page. */
const MAX_NAME = 32;
const MAX_TEXT = 2_000;

/** A message. Its page knows it by `key`. `at` is the time of its page, in ms since 1970. */
type Said = { key: string; text: string; at: number };

const KEY = /^[\w-]{1,36}$/;

/** What a page publishes: the server cleans it. */
export const said = schema<Said>(`a message has 1 to ${MAX_TEXT} characters`, (value) => {
  const { key, text, at } = Object(value) as Partial<Said>;
  if (typeof key !== 'string' || !KEY.test(key) || typeof at !== 'number') return undefined;
  // The same for each repetition: loops recognize it by its bytes.
  const clean = { key, text: cleanText(text), at };
  return clean.text !== '' && clean.text.length <= MAX_TEXT ? clean : undefined;
});

/** What the page and the server say beside the rooms. */
const named = schema(
  `a name has 1 to ${MAX_NAME} characters`,
  (name) => cleanName(name) || undefined,
);
export const people = contract({ server: { name: event(named) } });

/** A Standard Schema: `clean` returns what it accepts, or undefined. */
function schema<T>(message: string, clean: (value: unknown) => T | undefined): StandardSchema<T> {
  const validate = (given: unknown) => {
    const value = clean(given);
    return value === undefined ? { issues: [{ message }] } : { value };
  };
  return { '~standard': { version: 1, vendor: 'chat', validate } };
}

/** A name on one line, without invisible characters; `''` if nothing is left or it is too long. */
export function cleanName(name: unknown): string {
  const clean = (typeof name === 'string' ? name : '')
    .replace(/(?!\p{Join_Control})[\p{Cc}\p{Cf}\p{Cs}\s]/gu, ' ')
    .replace(/ +/g, ' ')
    .trim();
  return clean.length > MAX_NAME || !/[\p{L}\p{N}\p{P}\p{S}]/u.test(clean) ? '' : clean;
}

/**
 * A text without control characters, except tabs and line ends, and without repeated empty lines. It
 * may be `''`.
 */
export function cleanText(text: unknown): string {
  return (typeof text === 'string' ? text : '')
    .replace(/\r\n?/g, '\n')
    .replace(/(?![\t\n])[\p{Cc}\p{Cs}]/gu, '')
    .replace(/\n{3,}/g, '\n\n')
    .trim();
}
