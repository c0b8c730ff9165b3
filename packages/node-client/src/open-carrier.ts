import type { Connector } from './connect.ts';
import type { DialScope } from './dial-scope.ts';
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
