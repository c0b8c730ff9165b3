import { quote } from './errors.ts';
import { type DialAddress, tcpAddress } from './url.ts';

/** A proxy, read from its URL. */
export interface Proxy {
  readonly protocol: 'http' | 'socks5';
  readonly address: DialAddress;
  /** Whether TLS is spoken with the proxy itself. */
  readonly secure: boolean;
  /** Decoded. One of them may be empty. */
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

const PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  ['socks5', 1080],
  ['socks5h', 1080],
]);

/** RFC 1929, section 2: a byte tells the length. */
const MAX_SOCKS_CREDENTIAL = 255;

/**
 * Reads the URL of a proxy. A path in it means nothing.
 *
 * @param name - Where the URL comes from, for the message. The URL is not shown: a slip may put the password anywhere.
 * @throws SyntaxError
 */
export function parseProxy(url: URL, name: string): Proxy {
  const scheme = url.protocol.slice(0, -1);
  const port = PORTS.get(scheme);
  if (port === undefined) {
    throw malformedProxy(name, `scheme ${quote(scheme)} is none of http, https, socks5, socks5h`);
  }
  // A slip that makes a host of the user and a path of the password.
  if ((url.pathname + url.search + url.hash).includes('@')) {
    const why =
      'an @ stands behind its host; in a user or password / is written %2F, ? %3F and # %23';
    throw malformedProxy(name, why);
  }
  const socks = scheme.startsWith('socks5');
  if (url.port === '0') throw malformedProxy(name, 'port 0 is not between 1 and 65535');
  const address = tcpAddress(hostOf(url, name), url.port === '' ? port : Number(url.port));
  const user = decode(url.username, name);
  const password = decode(url.password, name);
  if (!socks && user.includes(':')) {
    throw malformedProxy(name, 'its user contains a colon, where the password would begin');
  }
  if (socks && [user, password].some((s) => Buffer.byteLength(s) > MAX_SOCKS_CREDENTIAL)) {
    throw malformedProxy(name, `its user or password is longer than ${MAX_SOCKS_CREDENTIAL} bytes`);
  }
  return {
    protocol: socks ? 'socks5' : 'http',
    address,
    secure: scheme === 'https',
    credentials: user === '' && password === '' ? undefined : { user, password },
  };
}

/** The error for what is no proxy. It shows `name`, never the value. */
export function malformedProxy(name: string, why: string): SyntaxError {
  return new SyntaxError(`${name}: ${why}`);
}

/** The URL parser puts the hosts of http URLs in order, and leaves those of others as they are. */
function hostOf(url: URL, name: string): string {
  const text = `http://${url.hostname}/`;
  if (url.hostname === '' || !URL.canParse(text))
    throw malformedProxy(name, 'it has no valid host');
  return new URL(text).hostname.replace(/^\[|\]$/g, '');
}

function decode(encoded: string, name: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Without a cause: it could tell the password.
    throw malformedProxy(name, 'its user or password is not percent-encoded UTF-8');
  }
}
