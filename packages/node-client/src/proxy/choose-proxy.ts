import type { Bounds } from './bounds.ts';
import { type Proxy, parseProxy } from './proxy.ts';
import { proxyFromEnvironment } from './proxy-environment.ts';
import type { Target } from './url.ts';

/** What a function given as `proxy` is asked about. */
export interface ProxyRequest {
  /** The URL that is dialed, as ws or wss; after a redirect, the new one. A copy. */
  readonly url: URL;
  /** Aborts when the dial is given up. */
  readonly signal: AbortSignal;
}

/**
 * Through which proxy a Dialer connects:
 *
 * - `'env'`: the one that the environment names at the time of the dial, by the rules of `proxyFromEnvironment`;
 * - a URL: always this one;
 * - a function: the one it returns, `undefined` for a direct connection. It may be async; what it throws is what the
 *   dial rejects with;
 * - `false`: none.
 *
 * Proxies are `http:`, `https:` (TLS to the proxy first), `socks5:` and `socks5h:` URLs, whose ports are 80, 443 and
 * 1080 by default. User and password in the URL are for the proxy alone.
 */
export type ProxyOption =
  | 'env'
  | URL
  | false
  | ((request: ProxyRequest) => URL | undefined | PromiseLike<URL | undefined>);

/** A {@link ProxyOption}, checked. */
export type ProxyPlan = Exclude<ProxyOption, URL> | Proxy;

/** @throws TypeError for what is no such option, SyntaxError for the URL of no proxy. */
export function checkProxy(option: unknown): ProxyPlan {
  if (option === undefined) return false;
  if (option === false || option === 'env') return option;
  if (typeof option === 'function') return option as Extract<ProxyOption, () => unknown>;
  if (option instanceof URL) return parseProxy(option, 'proxy');
  const got =
    typeof option === 'string' ? 'a string; a URL is given as new URL(...)' : typeName(option);
  throw new TypeError(`proxy: expected 'env', a URL, a function or false, got ${got}`);
}

/** The proxy for one connection. A Unix socket is never reached through one. */
export async function chooseProxy(
  option: ProxyPlan,
  target: Target,
  bounds: Bounds,
): Promise<Proxy | undefined> {
  if (option === false || target.address.path !== undefined) return undefined;
  if (typeof option === 'object') return option;
  const url = new URL(target.url);
  if (option === 'env') {
    const found = proxyFromEnvironment(url);
    return found && parseProxy(found, 'the environment');
  }
  bounds.stage = 'waiting for the proxy function';
  const { signal } = bounds;
  const chosen = await bounds.race(Promise.resolve().then(() => option({ url, signal })));
  bounds.stage = 'connecting';
  if (chosen === undefined) return undefined;
  if (!(chosen instanceof URL)) {
    throw new TypeError(
      `proxy: expected a URL or undefined from the function, got ${typeName(chosen)}`,
    );
  }
  return parseProxy(chosen, 'proxy');
}

function typeName(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
