import type { IncomingMessage } from 'node:http';
import { HandshakeError } from '@ws/node-server';
import type { Backend } from '../targets/target.ts';
import type { Offer } from './answer.ts';
import { formatLines, type HeaderLine } from './header-lines.ts';

/** A segment of dots, also percent-encoded, or a backslash, which some servers read as a slash. */
const DOT_SEGMENT = /(?:^|[/\\])(?:\.|%2e){1,2}(?:[/\\;?]|$)/i;
/** Visible ASCII and bytes above it, as node:http allows them: nothing can end the line. */
const LINE_SAFE = /^[!-~\u0080-\u00ff]+$/;

/**
 * Returns the request target for a backend: its path and query, then those of the request.
 *
 * @param path - A path with its query.
 * @throws HandshakeError 400 for a path that would climb out of the backend's path.
 */
export function targetPath(backend: Backend, path: string): string {
  const own = backend.address.path;
  const at = own.indexOf('?');
  const prefix = (at === -1 ? own : own.slice(0, at)).replace(/\/$/, '');
  const ownQuery = at === -1 ? '' : own.slice(at + 1);
  const cut = path.indexOf('?');
  const asked = cut === -1 ? path : path.slice(0, cut);
  const query = [ownQuery, cut === -1 ? '' : path.slice(cut + 1)].filter((part) => part !== '');
  if (!LINE_SAFE.test(path)) throw new HandshakeError(400, 'the request target is malformed');
  if (prefix !== '' && DOT_SEGMENT.test(asked)) {
    throw new HandshakeError(400, 'the path has dot segments');
  }
  const joined = prefix !== '' && asked === '/' ? prefix : prefix + asked;
  return query.length === 0 ? joined : `${joined}?${query.join('&')}`;
}

/** Formats the request of a handshake with a target. */
export function formatHandshake(path: string, offer: Offer, lines: readonly HeaderLine[]): string {
  const { key, subprotocols, extensions } = offer;
  return (
    `GET ${path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n` +
    (subprotocols === '' ? '' : `Sec-WebSocket-Protocol: ${subprotocols}\r\n`) +
    (extensions === '' ? '' : `Sec-WebSocket-Extensions: ${extensions}\r\n`) +
    `${formatLines(lines)}\r\n`
  );
}

/** The value of the client's Host header; the rules have checked that there is one. */
export function hostOf(req: IncomingMessage): string {
  return req.headers.host ?? '';
}
