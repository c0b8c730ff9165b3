import { badType } from '@ws/browser/internal';
import { kind } from '@ws/conn/parts';
import type { Agreement } from './handshake.ts';
import { negotiate, refuse } from './handshake.ts';
import { type Mark, markedResponse, takeMark } from './mark.ts';
import type { AuthOf, Plan, UpgradeHandler, UpgradeOptions } from './options.ts';
import { checkUpgradeOptions } from './options.ts';
import { reportTo } from './reports.ts';
import { isResponse, ownResponse } from './responses.ts';

/** The function `upgrade` of a runtime. */
export type Upgrade = <Result = true>(
  request: Request,
  options: UpgradeOptions<Result>,
  handler: UpgradeHandler<AuthOf<Result>>,
) => Promise<Response>;

/** How a runtime upgrades. */
export interface Runtime {
  /** The longest message that it takes, in bytes. */
  readonly maxMessage: () => number;
  /** Makes the Response of an accepted handshake. */
  readonly accept: (agreement: Agreement, handler: UpgradeHandler) => Response;
  /** Aborted when the client leaves. A runtime without it does not know that. */
  readonly clientSignal?: (request: Request) => AbortSignal;
}

/** Makes the function `upgrade` of a runtime. */
export function upgradeOn({ maxMessage, accept, clientSignal }: Runtime): Upgrade {
  return async (request, options, handler) => {
    const plan: Plan = checkUpgradeOptions(options, maxMessage());
    if (typeof handler !== 'function') {
      throw badType('upgrade: expected a function as the handler', handler);
    }
    const result = await negotiate(request, plan, clientSignal?.(request));
    return isResponse(result) ? result : accept(result, handler as UpgradeHandler);
  };
}

/** A `fetch` of the application, with the runtime's second argument. */
export type FetchHandler<Info = unknown> = (
  request: Request,
  info: Info,
) => Response | PromiseLike<Response>;

/**
 * The `accept` of a runtime whose wrapper calls `fetch`: the connection is made after `fetch` has
 * returned, so that its middleware has run.
 *
 * @param isWrapped - Whether a wrapper exists.
 * @param wrapper - Its name.
 */
export function marking(isWrapped: () => boolean, wrapper: string): Runtime['accept'] {
  return (agreement, handler) => {
    if (isWrapped()) return markedResponse(agreement, handler);
    throw new TypeError(`upgrade: this runtime needs the wrapper ${wrapper} around your fetch`);
  };
}

/**
 * Calls the application's `fetch`, and reads its Response. Never throws: an error of `fetch` is
 * reported and answered with 500.
 */
export async function callFetch<Info>(
  fetch: FetchHandler<Info>,
  request: Request,
  info: Info,
): Promise<Mark | Response> {
  try {
    const response: unknown = await fetch(request, info);
    if (isResponse(response)) return takeMark(request, await ownResponse(response));
    throw new TypeError(`fetch: expected a Response, got ${kind(response)}`);
  } catch (error) {
    reportTo(undefined, error, { where: 'fetch', request });
    return refuse(500, 'Internal Server Error');
  }
}
