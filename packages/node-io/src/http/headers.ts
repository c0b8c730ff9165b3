/** One value of a header, or a list that is sent as several lines. */
type HeaderValue = string | readonly string[];

/**
 * Headers that an application gives: a `Headers`, a Map, pairs, or an object. `Skipped` is the type of
 * an object's values that are not sent.
 */
export type HeaderEntries<Skipped = never> =
  | Iterable<readonly [string, HeaderValue]>
  | { readonly [name: string]: HeaderValue | Skipped };

/**
 * Iterates over the names and values of `input`, in order.
 *
 * @throws TypeError for an entry that is not a pair. The flat list of names and values that
 *   node:http accepts would otherwise be read as headers of single letters.
 */
export function* headerEntries(input: object): Generator<readonly [name: string, value: unknown]> {
  const entries = Symbol.iterator in input ? input : Object.entries(input);
  for (const entry of entries as Iterable<unknown>) {
    if (!Array.isArray(entry)) throw new TypeError('headers: expected pairs of name and value');
    yield entry as unknown as readonly [string, unknown];
  }
}
