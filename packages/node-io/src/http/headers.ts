/** One value of a header, or a list that is sent as several lines. */
export type HeaderValue = string | readonly string[];

/**
 * Headers that an application gives: a `Headers`, a Map, pairs, or an object. `Value` is the type
 * of an object's values.
 */
export type HeaderEntries<Value> =
  | Iterable<readonly [string, HeaderValue]>
  | { readonly [name: string]: Value };

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

/**
 * Returns the value of every line of one header. node:http's `headers` joins some repeated lines
 * and drops others.
 *
 * @param rawHeaders - Names and values in turn.
 * @param name - In lower case.
 */
export function rawHeaderValues(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === name);
}
