import { quote } from '@ws/codec/internal';
import { isError } from '@ws/conn/internal';
import { BadHandshakeError } from './errors.ts';
import { makeRequest, type PreparedRequest } from './request.ts';
import { describeStatus, type HttpResponse } from './response.ts';
import { parseTarget, type Target, withPath } from './url.ts';

/**
 * The statuses with a Location to follow. A handshake is a GET, so all mean the same (RFC 9110,
 * section 15.4).
 */
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
const SCHEMES: readonly string[] = ['ws', 'wss', 'http', 'https'];

/**
 * Returns the target of a redirect.
 *
 * @param from - The target that sent the response; a relative Location is resolved against it. The
 *   fragment of a Location is removed.
 * @returns undefined when the response is not a redirect.
 * @throws BadHandshakeError for a redirect from wss to ws, to a Unix socket, or with a Location
 *   that is missing, repeated, malformed or has user info.
 */
export function redirectOf(response: HttpResponse, from: Target): Target | undefined {
  if (!REDIRECTS.has(response.status)) return undefined;
  const locations = response.facts.lines('location');
  const [location] = locations;
  if (location === undefined || location === '') throw redirectError(response, 'has no Location');
  if (locations.length > 1) throw redirectError(response, 'has more than one Location');
  let target: Target;
  try {
    target = resolve(location, from);
  } catch (cause) {
    throw redirectError(response, 'has a Location that cannot be followed', cause);
  }
  if (from.secure && !target.secure) {
    throw redirectError(response, `redirects from wss to ws, to ${String(target.address)}`);
  }
  return target;
}

/**
 * Returns whether two URLs have the same server: the same host and port, or the same Unix socket.
 */
export function sameServer(one: Target, other: Target): boolean {
  return String(one.address) === String(other.address);
}

/** Returns whether two URLs have the same server, or the same host with another port. */
function sameHost(one: Target, other: Target): boolean {
  if (one.address.path !== undefined || other.address.path !== undefined) {
    return sameServer(one, other);
  }
  return one.address.host === other.address.host;
}

/**
 * Returns the request for a redirect's target, with a new key. Only the same server gets the
 * caller's headers, and only the same host the subprotocols of the option: one may be a token.
 */
export function redirected(request: PreparedRequest, next: Target): PreparedRequest {
  const { target, callerHeaders, subprotocolOption, extensions } = request;
  const headers = sameServer(target, next) ? callerHeaders : [];
  const subprotocols = sameHost(target, next) ? subprotocolOption : [];
  return makeRequest(next, headers, subprotocols, extensions);
}

function resolve(location: string, from: Target): Target {
  // RFC 3986, section 2. The URL parser would drop a line end, and node:http reads non-ASCII bytes
  // as Latin-1.
  if (/[^ -~]/.test(location)) {
    throw new SyntaxError('it contains a character that is not allowed in a URL');
  }
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(location)?.[1]?.toLowerCase();
  if (scheme !== undefined) {
    if (SCHEMES.includes(scheme)) return parseTarget(location);
    throw new SyntaxError(`scheme ${quote(scheme)} is not one of ${SCHEMES.join(', ')}`);
  }
  if (location.startsWith('//')) return parseTarget(`${from.secure ? 'wss' : 'ws'}:${location}`);
  // The URL parser reads a backslash as a slash, which could turn a path into another host.
  if (/^[^?#]*\\/.test(location)) throw new SyntaxError('it contains a backslash');
  const { pathname, search } = new URL(location, from.cookieUrl);
  return withPath(from, pathname + search);
}

function redirectError(response: HttpResponse, why: string, cause?: unknown): BadHandshakeError {
  const reason = isError(cause) ? `: ${cause.message}` : '';
  return new BadHandshakeError(
    `the server answered ${describeStatus(response.status)}, not 101; it ${why}${reason}`,
    response,
    { cause },
  );
}
