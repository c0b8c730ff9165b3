import { quote } from '@ws/codec/internal';
import { type DialAddress, tcpAddress } from '../url.ts';

/** A proxy, read from its URL. */
export interface Proxy {
  readonly protocol: 'http' | 'socks5';
  readonly address: DialAddress;
  /** Whether the connection to the proxy uses TLS. */
  readonly secure: boolean;
  /** Percent-decoded. One of them may be empty. */
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

const PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['https', 443],
  // GNOME writes `socks:` for SOCKS 5.
  ['socks', 1080],
  ['socks5', 1080],
  ['socks5h', 1080],
]);

/** Bytes. RFC 1929, section 2: the length field is one byte. */
const MAX_SOCKS_CREDENTIAL = 255;

/**
 * Reads the URL of a proxy. Its path is ignored.
 *
 * @param name - The source of the URL, for messages. They never show the URL: a typing error may
 *   put the password anywhere.
 * @throws SyntaxError for a URL that is not the URL of a proxy.
 */
export function parseProxy(url: URL, name: string): Proxy {
  const scheme = url.protocol.slice(0, -1);
  const port = PORTS.get(scheme);
  if (port === undefined) {
    throw malformedProxy(
      name,
      `scheme ${quote(scheme)} is not one of http, https, socks5, socks5h, socks`,
    );
  }
  // An unescaped slash in the credentials makes the user the host and the password a path.
  if ((url.pathname + url.search + url.hash).includes('@')) {
    const why =
      'it has an @ after its host; in a user or password write / as %2F, ? as %3F and # as %23';
    throw malformedProxy(name, why);
  }
  const socks = scheme.startsWith('socks');
  if (url.port === '0') throw malformedProxy(name, 'port 0 is not between 1 and 65535');
  const address = tcpAddress(hostOfProxy(url, name), url.port === '' ? port : Number(url.port));
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

/** Makes the error for an invalid proxy URL. It shows `name`, never the value. */
export function malformedProxy(name: string, why: string): SyntaxError {
  return new SyntaxError(`${name}: ${why}`);
}

/** Normalizes the host. The URL parser normalizes hosts of http URLs only. */
function hostOfProxy(url: URL, name: string): string {
  const text = `http://${url.hostname}/`;
  if (url.hostname === '' || !URL.canParse(text)) {
    throw malformedProxy(name, 'it has no valid host');
  }
  return new URL(text).hostname.replace(/^\[|\]$/g, '');
}

function decode(encoded: string, name: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Without a cause: it could contain the password.
    throw malformedProxy(name, 'its user or password is not percent-encoded UTF-8');
  }
}
