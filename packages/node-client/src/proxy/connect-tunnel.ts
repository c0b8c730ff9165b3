import type { Duplex } from 'node:stream';
import type { DialScope } from '../dial-scope.ts';
import { BadHandshakeError } from '../errors.ts';
import { isSuccess } from '../exchange.ts';
import { headerLine } from '../request.ts';
import { askForResponse, describeStatus } from '../response.ts';
import type { DialAddress } from '../url.ts';
import type { Proxy } from './proxy.ts';

/**
 * Asks an HTTP proxy for a tunnel to `address`. After that the stream is the tunnel: bytes that
 * follow the response are the first to be read from it.
 *
 * Credentials are sent when the proxy's URL has a user or a password. An empty password is sent
 * too: some proxies take a key as the user.
 *
 * @throws BadHandshakeError when the proxy refuses (with its status, headers and the first bytes of
 *   its body), or when its response is not HTTP or is too large; TransportError when the stream
 *   ends.
 * @see RFC 9110, section 9.3.6
 */
export async function connectTunnel(
  stream: Duplex,
  proxy: Proxy,
  address: DialAddress,
  scope: DialScope,
): Promise<void> {
  const path = address.toString();
  const lines = `Host: ${path}\r\n${authorization(proxy)}Connection: close\r\n`;
  const text = `CONNECT ${path} HTTP/1.1\r\n${lines}\r\n`;
  const response = await askForResponse(stream, { method: 'CONNECT', text }, proxy.secure, scope);
  if (isSuccess(response.status)) return;
  const message = `the proxy ${String(proxy.address)} answered ${describeStatus(response.status)}, not 2xx`;
  throw new BadHandshakeError(message, response);
}

/** RFC 7617, section 2. */
function authorization({ credentials }: Proxy): string {
  if (credentials === undefined) return '';
  const { user, password } = credentials;
  const encoded = Buffer.from(`${user}:${password}`).toString('base64');
  return headerLine('Proxy-Authorization', `Basic ${encoded}`);
}
