import type { Connector, StreamOpeners } from './connect.ts';
import type { DialScope } from './dial-scope.ts';
import type { GuardedStream } from './guarded-stream.ts';
import { acquireCarrier, type Carrier, poolKey } from './http2/session-pool.ts';
import type { Http2Mode } from './options.ts';
import { chooseProxy } from './proxy/choose-proxy.ts';
import type { Target } from './url.ts';

/**
 * Opens a stream to a server, perhaps through a proxy, or finds a session of HTTP/2 with it.
 *
 * @param plan - Its options are those of `connector`, except `proxy` and `http2`.
 * @param isNamedServer - Whether the caller named this server, rather than a redirect.
 * @param http1 - The server wants this request over HTTP/1.1.
 * @throws as {@link Connector.open}; BadHandshakeError when HTTP/2 is required and the server has no
 *   WebSockets over it.
 */
export async function openCarrier(
  connector: Connector,
  plan: StreamOpeners & { readonly http2: Http2Mode },
  target: Target,
  isNamedServer: boolean,
  scope: DialScope,
  http1: boolean,
): Promise<Carrier> {
  const open = async (protocols?: readonly string[]): Promise<GuardedStream> => {
    const proxy = await chooseProxy(plan.proxy, target, scope);
    return connector.open(target, proxy, isNamedServer, scope, protocols);
  };
  if (plan.http2 === false) return open();
  if (http1) return open(['http/1.1']);
  const key = poolKey(plan, target, isNamedServer);
  return acquireCarrier(plan.http2, target, key, scope, open);
}
