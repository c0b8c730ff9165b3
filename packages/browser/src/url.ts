import { badType } from '@ws/conn/internal';
import { LOGINS } from './errors.ts';

/**
 * Returns the URL of a dial. `url` may be relative to the page, as in a link; http and https become
 * ws and wss. A fragment is removed.
 *
 * @throws SyntaxError for a URL that cannot be dialed, TypeError for a value of another type.
 */
export function targetOf(url: unknown): URL {
  if (typeof url !== 'string' && !(url instanceof URL)) {
    throw badType('url: expected a string or a URL', url);
  }
  let cure = 'start it with ws:// or wss://';
  try {
    const target = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
    target.protocol = target.protocol.replace('http', 'ws');
    target.hash = '';
    if (target.username || target.password) cure = `browsers send no user info; ${LOGINS}`;
    else if (/^wss?:$/.test(target.protocol)) return target;
  } catch {
    // The error of the class URL is not shown: it contains the whole URL.
  }
  throw new SyntaxError(`websocket: malformed URL: ${cure}`);
}
