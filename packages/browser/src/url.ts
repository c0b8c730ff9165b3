import { kind } from '@ws/conn/parts';

/**
 * Returns the URL of a dial. As a link, it may be relative to the page; http and https become ws
 * and wss. A fragment is removed.
 *
 * @throws SyntaxError for a URL that cannot be dialed, TypeError for a value of another type.
 */
export function targetOf(url: unknown): URL {
  if (typeof url !== 'string' && !(url instanceof URL)) {
    throw new TypeError(`url: expected a string or a URL, got ${kind(url)}`);
  }
  const { location } = globalThis as { location?: { readonly href: string } };
  let target: URL;
  try {
    target = new URL(url, location?.href);
  } catch (cause) {
    throw malformed('start it with ws:// or wss://', cause);
  }
  if (target.username || target.password) {
    throw malformed('browsers send no user info; use ?token=, a subprotocol or a cookie');
  }
  target.protocol = target.protocol.replace('http', 'ws');
  if (!/^wss?:$/.test(target.protocol)) throw malformed('start it with ws:// or wss://');
  target.hash = '';
  return target;
}

function malformed(cure: string, cause?: unknown): SyntaxError {
  return new SyntaxError(`websocket: malformed URL: ${cure}`, { cause });
}
