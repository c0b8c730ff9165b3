import { named } from './check-response.ts';
import { BadHandshakeError, quote } from './errors.ts';
import type { Answer } from './exchange.ts';
import { valuesOf } from './raw-headers.ts';
import { parseTarget, type Target, withPath } from './url.ts';

/** The statuses whose Location says where to ask instead; a handshake is a GET, so they all mean the same. */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const SCHEMES: readonly string[] = ['ws', 'wss', 'http', 'https'];

/**
 * Where an answer redirects to.
 *
 * @param from - Where it came from: a relative Location is resolved against it. The fragment of a Location is removed.
 * @returns undefined when it is no redirect.
 * @throws BadHandshakeError for a redirect that is not to be followed: from wss to ws, to a Unix socket, to a URL that is
 *   malformed or has user info, or to none.
 */
export function redirectOf(answer: Answer, from: Target): Target | undefined {
  if (!REDIRECTS.has(answer.status)) return undefined;
  const locations = valuesOf(answer.rawHeaders, 'location');
  const [location] = locations;
  if (location === undefined || location === '') throw refused(answer, 'has no Location');
  if (locations.length > 1) throw refused(answer, 'has more than one Location');
  let target: Target;
  try {
    target = resolve(location, from);
  } catch (cause) {
    throw refused(answer, 'has a Location that cannot be followed', cause);
  }
  if (from.secure && !target.secure) {
    throw refused(answer, `redirects from wss to ws, to ${String(target.address)}`);
  }
  return target;
}

/** Whether two URLs are of one server: the same host and port, or the same Unix socket. */
export function sameServer(one: Target, other: Target): boolean {
  return String(one.address) === String(other.address);
}

function resolve(location: string, from: Target): Target {
  // RFC 3986, section 2. The parser would drop a line end, and node:http reads other bytes as Latin-1.
  if (/[^ -~]/.test(location)) throw new SyntaxError('it contains a character that no URL has');
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(location)?.[1]?.toLowerCase();
  if (scheme !== undefined) {
    if (SCHEMES.includes(scheme)) return parseTarget(location);
    throw new SyntaxError(`scheme ${quote(scheme)} is none of ${SCHEMES.join(', ')}`);
  }
  if (location.startsWith('//')) return parseTarget(`${from.secure ? 'wss' : 'ws'}:${location}`);
  // The parser takes it for a slash, and would make another server of a path.
  if (/^[^?#]*\\/.test(location)) throw new SyntaxError('it contains a backslash');
  const { pathname, search } = new URL(location, from.cookieUrl);
  return withPath(from, pathname + search);
}

function refused(answer: Answer, why: string, cause?: unknown): BadHandshakeError {
  const reason = cause instanceof Error ? `: ${cause.message}` : '';
  return new BadHandshakeError(
    `the server answered ${named(answer.status)}, not 101; it ${why}${reason}`,
    answer,
    { cause },
  );
}
