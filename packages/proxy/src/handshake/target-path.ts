import { HandshakeError } from '@ws/node-server';
import type { Backend } from '../targets/target.ts';

/**
 * A segment of dots. Dots and slashes may be percent-encoded, and some servers read a backslash as a
 * slash.
 */
const DOT_SEGMENT = /(?:^|[/\\]|%2f|%5c)(?:\.|%2e){1,2}(?:[/\\;?]|%2f|%5c|$)/i;
/** Visible ASCII and bytes above it, as node:http allows them: nothing can end the line. */
const LINE_SAFE = /^[!-~\u0080-\u00ff]+$/;

/**
 * Returns the request target for a backend: its path and query, then those of the request.
 *
 * @param asked - A path with its query.
 * @throws HandshakeError 400 for a path that would climb out of the backend's path.
 */
export function targetPath({ address }: Backend, asked: string): string {
  if (!LINE_SAFE.test(asked)) throw new HandshakeError(400, 'the request target is malformed');
  if (address.path === '/') return asked;
  const [own, ownQuery] = cut(address.path);
  const [path, query] = cut(asked);
  const prefix = own.replace(/\/$/, '');
  if (prefix !== '' && DOT_SEGMENT.test(path)) {
    throw new HandshakeError(400, 'the path has dot segments');
  }
  const joined = prefix !== '' && path === '/' ? prefix : prefix + path;
  const queries = [ownQuery, query].filter((each) => each !== '');
  return queries.length === 0 ? joined : `${joined}?${queries.join('&')}`;
}

function cut(target: string): [path: string, query: string] {
  const at = target.indexOf('?');
  return at === -1 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}
