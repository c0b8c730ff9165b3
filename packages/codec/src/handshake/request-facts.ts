/**
 * What the rules of a server need to know about a request. {@link RequestHead} implements it. Wrap
 * the request of another HTTP parser to use the same rules.
 *
 * Names of fields ignore case. For HTTP/2, the fields include `:protocol`, `:scheme` and `:authority`,
 * and a request without `Host` has its `:authority` as `host`.
 */
export interface RequestFacts {
  /** The method, in its original case. */
  readonly method: string;
  /** The request target, as sent; the `:path` of HTTP/2. */
  readonly target: string;
  /** `'1.1'` also for later minor versions of HTTP/1; `'2'` for a stream of HTTP/2 (RFC 8441). */
  readonly version: '1.0' | '1.1' | '2';
  /** Address of the client, if the owner of the stream knows it. */
  readonly remoteAddress: string | undefined;
  /** Whether the field occurs. */
  has(name: string): boolean;
  /** The value of a field that occurs exactly once, otherwise undefined. */
  once(name: string): string | undefined;
  /** The value of every line of the field, in order. */
  lines(name: string): readonly string[];
  /** The field as one list over all its lines, joined with `', '`; `''` when it is missing. */
  list(name: string): string;
}
