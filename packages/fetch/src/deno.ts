/**
 * `@ws/fetch` on Deno, and the wrapper for `Deno.serve`.
 *
 * @module
 */
import type { PageSocket } from '@ws/browser/internal';
import { checkNames } from '@ws/conn/internal';
import { callOf } from './fetch-call.ts';
import { refuse, refuseBadHost } from './handshake.ts';
import { honoUpgrade, type UpgradeWebSocket } from './hono.ts';
import { isResponse } from './responses.ts';
import { run, SocketConn, type SocketRuntime } from './server-conn.ts';
import { lookWithin, turns } from './turns.ts';
import { callFetch, type FetchHandler, marking, type Upgrade, upgradeOn } from './upgrade.ts';

export * from './public.ts';

/** The longest message that Deno takes, in bytes. */
const MAX_MESSAGE = 64 * 2 ** 20;

declare const setImmediate: (call: () => void) => void;

const RUNTIME: SocketRuntime = {
  maxMessage: MAX_MESSAGE,
  // A timer of 0 ms takes 2 ms there.
  turns: /* @__PURE__ */ turns(64, (ms, look) => (ms ? lookWithin(ms, look) : setImmediate(look))),
};

/** Options of {@link deno}. */
export interface DenoOptions {
  /** The silence in seconds after which Deno ends a connection; it pings at half of it. Default: 40. */
  readonly idleTimeout?: number | undefined;
}

declare const Deno: {
  upgradeWebSocket(
    request: Request,
    options: { idleTimeout: number },
  ): { socket: PageSocket; response: Response };
};

/** See `upgrade` of `@ws/fetch`. It needs the wrapper {@link deno}. */
export const upgrade: Upgrade = /* @__PURE__ */ upgradeOn({
  maxMessage: MAX_MESSAGE,
  callOf,
  accept: marking('deno of @ws/fetch/deno'),
});

/** See `upgradeWebSocket` of `@ws/fetch`. It needs the wrapper {@link deno}. */
export const upgradeWebSocket: UpgradeWebSocket = /* @__PURE__ */ honoUpgrade(upgrade);

/** Whether a body failed with `error` because its client has left. The signal is always aborted then. */
function hasLeft({ bodyUsed }: Request, error: unknown): boolean {
  return bodyUsed && ['BadResource', 'Http'].includes(Object(error).name);
}

/**
 * Wraps a `fetch` for `Deno.serve`: the upgrade is made after your `fetch` has returned. Without
 * it, Deno closes its whole server when `fetch` returns another Response after the upgrade.
 *
 * @throws TypeError that names an unknown option.
 *
 * @example
 * ```ts no-run
 * import { upgrade } from '@ws/fetch';
 * import { deno } from '@ws/fetch/deno';
 *
 * declare const Deno: { serve(handler: unknown): unknown };
 * Deno.serve(deno((request) => upgrade(request, {}, (conn) => conn.receive((m) => conn.send(m)))));
 * ```
 */
export function deno(
  fetch: FetchHandler<never>,
  options: DenoOptions = {},
): (
  request: Request,
  info: { readonly remoteAddr: { readonly hostname?: string } },
) => Promise<Response> {
  checkNames('deno', options, ['idleTimeout'], 'reject');
  const { idleTimeout = 40 } = options;
  const wrapper = { maxMessage: MAX_MESSAGE, reportedTo: new WeakSet(), hasLeft };
  // Two parameters: Deno.serve passes nothing to a function of length 0.
  return async (request, info) => {
    const refusal = refuseBadHost(request);
    if (refusal) return refusal;
    // It throws after the upgrade.
    const address = info.remoteAddr.hostname;
    const mark = await callFetch(fetch as FetchHandler, request, info, wrapper);
    if (isResponse(mark)) {
      // Deno would close its whole server for a locked body, in the answer to a request to upgrade.
      const isFatal = request.headers.has('upgrade') && mark.body?.locked;
      return isFatal ? refuse(500, 'Internal Server Error') : mark;
    }
    const { subprotocol } = mark;
    // The last step: after it, a throw or another Response would close the whole server.
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout });
    // The option `protocol` throws for an offer without a space after each comma.
    if (subprotocol !== '') response.headers.set('Sec-WebSocket-Protocol', subprotocol);
    for (const [name, value] of mark.headers) response.headers.append(name, value);
    // Deno has `''` there.
    Object.defineProperty(socket, 'protocol', { value: subprotocol });
    socket.addEventListener(
      'open',
      () => void run(new SocketConn(socket, mark.plan, RUNTIME, address), mark),
    );
    return response;
  };
}
