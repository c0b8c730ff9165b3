import type { Duplex } from 'node:stream';
import { named } from './check-response.ts';
import { BadHandshakeError } from './errors.ts';
import { exchange } from './exchange.ts';
import type { Proxy } from './proxy.ts';
import type { DialAddress } from './url.ts';

/**
 * Asks an HTTP proxy for a tunnel to `address`. When it grants one, the stream is the tunnel from then on, and what came
 * behind the answer is the first that is read from it.
 *
 * The credentials go to the proxy when there are both a user and a password, or a password alone.
 *
 * @throws BadHandshakeError when the proxy refuses, with its status, headers and the first bytes of its body, or when
 *   what it answers is not HTTP or too much; TransportError when the stream ends.
 * @see RFC 9110, section 9.3.6
 */
export async function connectTunnel(
  stream: Duplex,
  proxy: Proxy,
  address: DialAddress,
  signal: AbortSignal,
): Promise<void> {
  const path = address.toString();
  const headers = ['Host', path, ...authorization(proxy)];
  const answer = await exchange(stream, { method: 'CONNECT', path, headers }, signal);
  if (answer.status === 200) return;
  const message = `the proxy ${String(proxy.address)} answered ${named(answer.status)}, not 200`;
  throw new BadHandshakeError(message, answer);
}

/** RFC 7617. */
function authorization({ credentials }: Proxy): string[] {
  if (credentials === undefined || credentials.password === '') return [];
  const { user, password } = credentials;
  return ['Proxy-Authorization', `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`];
}
