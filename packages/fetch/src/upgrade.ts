import { type AuthOf, badType, kind, type optionHint } from '@ws/conn/internal';
import { FetchCall, type Mark, takeMark, type UpgradingCall, type Wrapper } from './fetch-call.ts';
import type { Agreement } from './handshake.ts';
import { negotiate, refuse } from './handshake.ts';
import type { AdmitOrRefuse, Plan, UpgradeHandler, UpgradeOptions } from './options.ts';
import { checkUpgradeOptions } from './options.ts';
import { reportTo } from './reports.ts';
import { isResponse, ownResponse } from './responses.ts';

/** The function `upgrade` of a runtime. */
export type Upgrade = <Result extends AdmitOrRefuse = true>(
  request: Request,
  options: UpgradeOptions<Result>,
  handler: UpgradeHandler<AuthOf<Result>>,
) => Promise<Response>;

/** How a runtime upgrades. */
export interface Runtime {
  /** The longest message that it takes, in bytes, where that is no option of the server. */
  readonly maxMessage: number;
  /** Makes the Response of an accepted handshake. */
  readonly accept: (
    agreement: Agreement,
    handler: UpgradeHandler,
    call: UpgradingCall | undefined,
  ) => Response;
  /** See `checkUpgradeOptions`. */
  readonly hintOf?: typeof optionHint;
  /** The call of a wrapper in which a request is answered. A runtime without it has no wrapper. */
  readonly callOf?: (request: Request) => UpgradingCall | undefined;
  /** See `negotiate`. */
  readonly wireIsChecked?: boolean;
  /** Aborted when the client leaves. A runtime without it does not know that. */
  readonly clientSignal?: (request: Request) => AbortSignal;
}

/** Makes the function `upgrade` of a runtime. */
export function upgradeOn({
  maxMessage,
  accept,
  hintOf,
  callOf,
  clientSignal,
  wireIsChecked,
}: Runtime): Upgrade {
  return async (request, options, handler) => {
    checkRequest(request);
    if (typeof options === 'function') {
      throw new TypeError('upgrade: write upgrade(request, {}, handler)');
    }
    // Now: `fetch` may return before the login is known.
    const call = callOf?.(request);
    if (call) call.upgrades++;
    const most = call?.wrapper.maxMessage ?? maxMessage;
    const plan: Plan = checkUpgradeOptions(options, most, hintOf);
    if (typeof handler !== 'function') {
      throw badType('upgrade: expected a function as the handler', handler);
    }
    const signal = clientSignal?.(request);
    const canExpire = call?.wrapper.canExpire;
    const result = await negotiate(request, plan, signal, wireIsChecked, canExpire);
    return isResponse(result) ? result : accept(result, handler as UpgradeHandler, call);
  };
}

/** A `fetch` of the application, with the runtime's second argument. */
export type FetchHandler<Info = unknown> = (
  request: Request,
  info: Info,
) => Response | PromiseLike<Response>;

/**
 * The `accept` of a runtime with a wrapper. The connection is made after `fetch` has returned, so
 * that its middleware has run.
 *
 * @param wrapper - Its name.
 */
export function marking(wrapper: string): Runtime['accept'] {
  return (agreement, handler, call) => {
    if (call !== undefined) return call.mark(agreement, handler);
    throw new TypeError(`upgrade: this runtime needs the wrapper ${wrapper} around your fetch`);
  };
}

/**
 * Calls the application's `fetch`, and reads its Response. Never throws. An error of `fetch` is
 * reported and answered with 500.
 */
export async function callFetch<Info>(
  fetch: FetchHandler<Info>,
  request: Request,
  info: Info,
  wrapper: Wrapper,
): Promise<Mark | Response> {
  const { headers } = request;
  const isHandshake = headers.has('upgrade') && headers.has('sec-websocket-key');
  const call = isHandshake ? new FetchCall(request, wrapper) : undefined;
  try {
    const response: unknown = await fetch(request, info);
    if (isResponse(response)) return takeMark(call, await ownResponse(response));
    const cure = call?.upgrades ? '; return that of upgrade()' : '';
    throw new TypeError(`fetch: expected a Response, got ${kind(response)}${cure}`);
  } catch (error) {
    // Strangers would fill the log.
    if (!wrapper.hasLeft(request, error))
      reportTo(wrapper.report, error, { where: 'fetch', request });
    return refuse(500, 'Internal Server Error');
  } finally {
    call?.stop();
  }
}

/** @throws TypeError for what other frameworks and node:http call a request. */
function checkRequest(request: unknown): void {
  const { headers, req, socket } = Object(request) as Record<
    string,
    { get?: unknown; raw?: unknown }
  >;
  if (typeof headers?.get === 'function') return;
  if (req?.raw !== undefined) {
    throw new TypeError(
      'upgrade: expected a Request, got the context of Hono; write upgrade(c.req.raw, options, handler)',
    );
  }
  const cure =
    socket === undefined ? '' : '; a request of node:http needs the Upgrader of @ws/node-server';
  throw new TypeError(`upgrade: expected a Request${cure}`);
}
