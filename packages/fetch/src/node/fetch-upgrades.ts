import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Conn } from '@ws/conn';
import { WebSocketError } from '@ws/conn/parts';
import type { AuthenticateContext, Refusal, UpgraderOptions } from '@ws/node-server';
import {
  admissionOf,
  admitWithPlan,
  checkUpgraderOptions,
  pickUpgraderOptions,
  type UpgraderPlan,
} from '@ws/node-server/internal';
import type { Mark } from '../mark.ts';
import { wrappers } from '../node-wrappers.ts';
import type { Plan } from '../options.ts';
import { reportTo } from '../reports.ts';
import { isResponse } from '../responses.ts';
import { callFetch, type FetchHandler } from '../upgrade.ts';
import { requestOf } from './request.ts';
import { writeBody, writeHead } from './response.ts';

/** The second argument of a `fetch` on Node. */
export interface NodeInfo {
  /** The address of the client; see `trustProxy`. */
  readonly address: string | undefined;
  /** The request of node:http. */
  readonly req: IncomingMessage;
}

/** Options of an Upgrader that `upgrade` does not have. They hold for all connections. */
export type NodeOptions = Omit<
  UpgraderOptions<unknown>,
  | 'authenticate'
  | 'autoResponse'
  | 'allowedOrigins'
  | 'checkOrigin'
  | 'headers'
  | 'sameHost'
  | 'subprotocols'
  | 'unmatched'
>;

type Upgrading = UpgraderOptions<unknown>;

/** When the logins of requests expire, from `authenticate` of `upgrade` to that of the Upgrader. */
const expiries = /* @__PURE__ */ new WeakMap<Request, Date | number | undefined>();

function authOf(request: Request, result: unknown): unknown {
  const admission = admissionOf(result);
  if (admission === undefined) return result;
  expiries.set(request, admission.expires);
  return admission.auth;
}

/** Plans that are kept. An application has a few kinds of connections. */
const MAX_PLANS = 32;

/** The options of an Upgrader that asks a `fetch` about each upgrade, and runs the handlers of its marks. */
export class FetchUpgrades {
  readonly options: Upgrading;
  readonly #fetch: FetchHandler<NodeInfo>;
  readonly #plans = new Map<string, UpgraderPlan>();

  constructor(fetch: FetchHandler<NodeInfo>, options: NodeOptions) {
    wrappers.isWrapped = true;
    wrappers.authOf = authOf;
    if (typeof fetch !== 'function') {
      throw new TypeError(`fetch: expected a function, got ${typeof fetch}`);
    }
    this.#fetch = fetch;
    this.options = {
      ...options,
      // `upgrade` checks the origin.
      checkOrigin: () => true,
      authenticate: (req, context) => this.#authenticate(req, context),
      headers: (_req, { auth }) => (auth as Mark).headers,
    };
  }

  async #authenticate(
    req: IncomingMessage,
    { signal, address }: AuthenticateContext,
  ): Promise<unknown> {
    const request = requestOf(req, signal);
    const mark = await callFetch(this.#fetch, request, { address, req });
    if (isResponse(mark)) return answer(req, mark, signal);
    return admitWithPlan(mark, this.#planOf(mark), expiries.get(mark.request));
  }

  /** The options of one connection. */
  #planOf({ plan, subprotocol }: Mark): UpgraderPlan {
    const { bounds, options } = plan;
    const { autoResponse, report } = options;
    const make = (): UpgraderPlan =>
      checkUpgraderOptions({
        ...pickUpgraderOptions(this.options),
        ...connOptions(bounds),
        autoResponse,
        subprotocols: subprotocol === '' ? undefined : [subprotocol],
        ...(report !== undefined && { report }),
      } as never);
    if (autoResponse !== undefined || report !== undefined) return make();
    const key = JSON.stringify([bounds, subprotocol]);
    const known = this.#plans.get(key) ?? make();
    if (this.#plans.size < MAX_PLANS) this.#plans.set(key, known);
    return known;
  }

  /** Runs the handler of a mark. */
  readonly handler = (conn: Conn, _req: unknown, { auth }: { readonly auth: unknown }): unknown =>
    runMark(conn, auth as Mark);
}

/** Runs the handler of a mark over a Conn. Errors without an option `report` are the server's. */
function runMark(conn: Conn, { auth, handler, request, plan }: Mark): unknown {
  const { report } = plan.options;
  conn.data = auth;
  const context = { auth, request };
  if (report === undefined) return handler(conn, context);
  return (async () => handler(conn, context))().catch((error: unknown) => {
    if (conn.state !== 'open' && error instanceof WebSocketError) return;
    reportTo(report, error, { where: 'handler', conn });
    void conn.close(1011);
  });
}

function connOptions({ readLimit, highWaterMark, maxBufferedAmount }: Plan['bounds']): object {
  const bound = (bytes: number): number | false => (bytes === Infinity ? false : bytes);
  return {
    readLimit: bound(readLimit),
    highWaterMark,
    maxBufferedAmount: bound(maxBufferedAmount),
  };
}

/**
 * Sends a Response that is no upgrade on the socket of an 'upgrade', and returns the refusal for the
 * statistics of the server: an answered request gets no other answer.
 */
function answer(req: IncomingMessage, response: Response, signal: AbortSignal): Refusal {
  const { status } = response;
  const { socket } = req;
  if (!signal.aborted && !socket.destroyed) {
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    res.on('error', () => {});
    writeHead(res, response);
    res.flushHeaders();
    writeBody(res, response).catch((error: unknown) =>
      reportTo(undefined, error, { where: 'fetch' }),
    );
  }
  return { refuse: status >= 300 ? status : 400 };
}
