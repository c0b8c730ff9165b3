import type { Connector } from './connect.ts';
import { DialScope } from './dial-scope.ts';
import { carrierOf } from './http2/on-demand.ts';
import type { Carrier, OpenWith } from './http2/session-pool.ts';
import type { DialerPlan } from './options.ts';
import { chooseProxy } from './proxy/choose-proxy.ts';
import type { Target } from './url.ts';

/**
 * Opens a stream to a server, perhaps through a proxy, or finds a session of HTTP/2 with it that has
 * room for one more stream.
 *
 * @param isNamedServer - Whether the caller named this server, rather than a redirect.
 * @param http1 - The server wants this request over HTTP/1.1.
 * @throws as {@link Connector.open}; BadHandshakeError when HTTP/2 is required and the server has no
 *   WebSockets over it.
 */
export function openCarrier(
  connector: Connector,
  { proxy, http2 }: Pick<DialerPlan, 'proxy' | 'http2'>,
  target: Target,
  isNamedServer: boolean,
  scope: DialScope,
  http1: boolean,
): Carrier | Promise<Carrier> {
  const open: OpenWith = async (protocols) => {
    const through = await chooseProxy(proxy, target, scope);
    return connector.open(target, through, isNamedServer, scope, protocols);
  };
  if (http2 === false || http1) return open();
  return carrierOf(connector, { proxy, http2 }, target, isNamedServer, scope, open);
}

/**
 * As {@link openCarrier}, for a reverse proxy: within `timeout` ms, and until `signal` aborts.
 *
 * @throws the reason of `signal`; TimeoutError.
 */
export async function openWithin(
  connector: Connector,
  plan: Pick<DialerPlan, 'proxy' | 'http2'>,
  target: Target,
  http1: boolean,
  timeout: number,
  signal: AbortSignal,
): Promise<Carrier> {
  const scope = new DialScope(timeout, signal);
  scope.peer = String(target.address);
  try {
    return await openCarrier(connector, plan, target, true, scope, http1);
  } finally {
    scope.stop();
  }
}
