import { kind } from '@ws/conn/internal';
import type { DialScope } from '../dial-scope.ts';
import { callFunction } from '../errors.ts';
import { isURL, type Target } from '../url.ts';
import { proxyFromEnvironment } from './environment.ts';
import { type Proxy, parseProxy } from './proxy.ts';

/** The argument of a function given as the option `proxy`. */
export interface ProxyRequest {
  /** A copy of the dialed URL, as ws or wss; after a redirect, the new URL. */
  readonly url: URL;
  /** Aborts when the dial is cancelled or times out. */
  readonly signal: AbortSignal;
}

/**
 * The proxy that a Dialer connects through:
 *
 * - `'env'`: the proxy of the environment at the time of the dial, by the rules of
 *   `proxyFromEnvironment`;
 * - a URL: always this proxy;
 * - a function: the proxy that it returns, `undefined` for a direct connection. It may be async.
 *   The dial rejects with the error that it throws;
 * - `false`: no proxy.
 *
 * Proxies are `http:`, `https:` (TLS to the proxy first), `socks5:`, `socks5h:` and `socks:`
 * (SOCKS 5) URLs. Their default ports are 80, 443 and 1080. User and password in
 * the URL are sent to the proxy only.
 */
export type ProxyOption =
  | 'env'
  | URL
  | false
  | ((request: ProxyRequest) => URL | undefined | PromiseLike<URL | undefined>);

/** A checked {@link ProxyOption}. */
export type ProxyPlan = Exclude<ProxyOption, URL> | Proxy;

/**
 * @throws TypeError for a value of another type, SyntaxError for a URL that is not the URL of a
 *   proxy.
 */
export function checkProxy(option: unknown): ProxyPlan {
  if (option === undefined) return 'env';
  if (option === false || option === 'env') return option;
  if (typeof option === 'function') return option as Extract<ProxyOption, () => unknown>;
  if (isURL(option)) return parseProxy(option, 'proxy');
  const got =
    typeof option === 'string' ? 'a string; a URL is given as new URL(...)' : kind(option);
  throw new TypeError(`proxy: expected 'env', a URL, a function or false, got ${got}`);
}

/**
 * Returns the proxy for one connection; undefined for a direct one. A Unix socket is always reached
 * directly.
 */
export async function chooseProxy(
  option: ProxyPlan,
  target: Target,
  scope: DialScope,
): Promise<Proxy | undefined> {
  if (option === false || target.address.path !== undefined) return undefined;
  if (typeof option === 'object') return option;
  const url = new URL(target.url);
  if (option === 'env') {
    const found = proxyFromEnvironment(url);
    return found && parseProxy(found, 'the environment');
  }
  scope.stage = 'waiting for the proxy function';
  const signal = scope.makeSignal();
  const chosen = await scope.race(callFunction(() => option({ url, signal })));
  scope.stage = 'connecting';
  if (chosen === undefined) return undefined;
  if (!isURL(chosen)) {
    throw new TypeError(
      `proxy: expected a URL or undefined from the function, got ${kind(chosen)}`,
    );
  }
  return parseProxy(chosen, 'proxy');
}
