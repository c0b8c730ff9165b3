const ABSOLUTE = /^(?:https?|wss?):\/\/([^/?#]*)/i;

/**
 * Removes scheme and authority of an absolute URI. The result starts with a slash.
 *
 * @param target - A path or an absolute URI.
 * @see RFC 9112, sections 3.2.1 and 3.2.2
 */
export function pathForm(target: string): string {
  if (target.startsWith('/')) return target;
  const rest = target.replace(ABSOLUTE, '');
  return rest.startsWith('/') ? rest : `/${rest}`;
}

/** Returns the path of a request target, as sent, without the query. */
export function rawPath(target: string): string {
  const path = pathForm(target);
  const query = path.indexOf('?');
  return query === -1 ? path : path.slice(0, query);
}

/** Returns the query of a request target. */
export function queryOf(target: string): URLSearchParams {
  const at = target.indexOf('?');
  return new URLSearchParams(at === -1 ? '' : target.slice(at + 1));
}

/**
 * Percent-decodes each segment of a path once. A segment that is not percent-encoded UTF-8 stays as
 * sent. `%2F` stays too: the result has the segments of `path`.
 */
export function decodePath(path: string): string {
  if (!path.includes('%')) return path;
  return path.split('/').map(decodeSegment).join('/');
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment).replaceAll('/', '%2F');
  } catch {
    return segment;
  }
}
