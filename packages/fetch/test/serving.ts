import { type NodeInfo, type ServeFetchOptions, serveFetch } from '@ws/fetch/node';
import { type BadHandshakeError, type DialOptions, dial } from '@ws/node-client';
import { expect, onTestFinished } from 'vitest';
import type { FetchHandler } from '../src/upgrade.ts';

/** Serves on a free port until the test ends; returns the URL without a slash at its end. */
export async function serve(
  fetch: FetchHandler<NodeInfo>,
  options: ServeFetchOptions = {},
): Promise<string> {
  const server = await serveFetch(fetch, { port: 0, host: '127.0.0.1', ...options });
  onTestFinished(() => server.close({ timeout: 100 }).then(() => {}));
  return server.url.replace(/\/$/, '');
}

/** The refusal of a handshake. */
export const refusal = (url: string, options: DialOptions = {}): Promise<BadHandshakeError> =>
  dial(url, options).then(
    () => expect.unreachable('it was upgraded'),
    (error: BadHandshakeError) => error,
  );

/** The fields of a valid handshake. */
export const FIELDS = {
  Host: 'example.org',
  Connection: 'Upgrade',
  Upgrade: 'websocket',
  'Sec-WebSocket-Version': '13',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
};
