import { type IncomingMessage, ServerResponse } from 'node:http';
import { NO_BYTES } from '@ws/codec/internal';
import { type Conn, WebSocketError } from '@ws/conn';
import { Admission, kind } from '@ws/conn/internal';
import type { AdmitOrRefuse, AuthenticateContext, Refusal, UpgraderOptions } from '@ws/node-server';
import { checkUpgraderOptions, pickUpgraderOptions, upgradeOfNode } from '@ws/node-server/internal';
import type { Mark, Wrapper } from '../fetch-call.ts';
import type { FetchReport, FetchReportContext, Plan } from '../options.ts';
import { reportTo } from '../reports.ts';
import { isResponse } from '../responses.ts';
import { callFetch, type FetchHandler } from '../upgrade.ts';
import { requestOf } from './request.ts';
import { dropResponse, sendResponse } from './response.ts';

/** The second argument of a `fetch` on Node. */
export interface NodeInfo {
  /** The address of the client; see `trustProxy`. */
  readonly address: string | undefined;
  /** The request of node:http. */
  readonly req: IncomingMessage;
}

/** Options of an Upgrader that `upgrade` does not have. They hold for all connections. */
export type NodeOptions = Omit<
  UpgraderOptions<AdmitOrRefuse>,
  | 'authenticate'
  | 'allowedOrigins'
  | 'checkOrigin'
  | 'headers'
  | 'sameHost'
  | 'subprotocols'
  | 'unmatched'
>;

type Upgrading = UpgraderOptions<AdmitOrRefuse>;
type CheckedOptions = ReturnType<typeof checkUpgraderOptions>;

/** Options of `serve` that `upgrade` decides for each request. Here they would have no effect. */
const OPTIONS_OF_UPGRADE = [
  'authenticate',
  'allowedOrigins',
  'headers',
  'sameHost',
  'subprotocols',
];

/** @throws TypeError that says where an option belongs. */
function checkNodeOptions(options: object): void {
  if (typeof options !== 'object' || options === null) {
    const write = typeof options === 'number' ? `; write { port: ${String(options)} }` : '';
    throw new TypeError(`fetch: expected an object of options, got ${kind(options)}${write}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (OPTIONS_OF_UPGRADE.includes(name)) {
      throw new TypeError(`${name}: it is an option of upgrade(), for each request`);
    }
    if (name === 'checkOrigin' || name === 'unmatched' || name === 'request') {
      throw new TypeError(
        `${name}: your fetch decides this; use allowedOrigins of upgrade() for origins`,
      );
    }
    if (name === 'http2' && value !== false) {
      throw new TypeError('http2: a fetch is served over HTTP/1.1; use serve of @ws/node-server');
    }
  }
}

/** Plans that are kept. An application has a few kinds of connections. */
const MAX_PLANS = 32;

/** The options of an Upgrader that asks a `fetch` about each upgrade, and runs the handlers of its marks. */
export class FetchUpgrades implements Wrapper {
  readonly maxMessage: number = Infinity;
  readonly reportedTo: WeakSet<object> = new WeakSet();
  readonly hasLeft = ({ signal }: Request, error: unknown): boolean =>
    signal.aborted && error === signal.reason;
  readonly canExpire = true;
  readonly options: Upgrading;
  readonly report: FetchReport | undefined;
  readonly #fetch: FetchHandler<NodeInfo>;
  readonly #plans = new Map<string, CheckedOptions>();
  /** Checked when a plain request needs it. */
  #plan: CheckedOptions | undefined;

  constructor(fetch: FetchHandler<NodeInfo>, options: NodeOptions) {
    if (typeof fetch !== 'function') {
      const hasFetch = typeof (fetch as { fetch?: unknown } | null)?.fetch === 'function';
      const cure = hasFetch ? '; write serveFetch(app.fetch, { port })' : '';
      throw new TypeError(`fetch: expected a function, got ${typeof fetch}${cure}`);
    }
    checkNodeOptions(options);
    this.#fetch = fetch;
    this.report = options.report as FetchReport | undefined;
    this.options = {
      ...options,
      // `upgrade` checks the origin.
      checkOrigin: () => true,
      authenticate: (req, context) => this.#authenticate(req, context),
      headers: (_req, { auth }) => (auth as Mark).headers,
    };
  }

  /** The client's address of a plain request. */
  addressOf(req: IncomingMessage): string | undefined {
    const { trustProxy, clientAddress } = this.options;
    if (!trustProxy && !clientAddress) return req.socket.remoteAddress;
    this.#plan ??= checkUpgraderOptions(pickUpgraderOptions(this.options));
    const upgrade = upgradeOfNode(this.#plan, req, req.socket, NO_BYTES);
    return this.#plan.findAddress(upgrade);
  }

  /** Calls the application's `fetch`. */
  ask(request: Request, info: NodeInfo): Promise<Mark | Response> {
    return callFetch(this.#fetch, request, info, this);
  }

  async #authenticate(
    req: IncomingMessage,
    { signal, address }: AuthenticateContext,
  ): Promise<AdmitOrRefuse> {
    const request = requestOf(req, signal);
    if (request === undefined) return { refuse: 400, body: 'the target is no URL\n' };
    const mark = await this.ask(request, { address, req });
    if (isResponse(mark)) return answer(req, mark, signal, this.report);
    return new Admission(mark, mark.expires, this.#planOf(mark));
  }

  /** The options of one connection. */
  #planOf({ plan, subprotocol }: Mark): CheckedOptions {
    const { bounds, options } = plan;
    const { report } = options;
    const make = (): CheckedOptions =>
      checkUpgraderOptions({
        ...pickUpgraderOptions(this.options),
        ...connOptions(bounds),
        subprotocols: subprotocol === '' ? undefined : [subprotocol],
        // Each error once: of a handler that returns the promise of `receive`, too.
        ...(report !== undefined && {
          report: (error: unknown, context: FetchReportContext) => reportTo(report, error, context),
        }),
      } as never);
    if (report !== undefined) return make();
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
  if (report === undefined) return handler(conn, context, context);
  return (async () => handler(conn, context, context))().catch((error: unknown) => {
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
 * statistics of the server. An answered request gets no other answer.
 */
async function answer(
  req: IncomingMessage,
  response: Response,
  signal: AbortSignal,
  report: FetchReport | undefined,
): Promise<Refusal> {
  const { status } = response;
  const { socket } = req;
  if (signal.aborted || socket.destroyed) dropResponse(response);
  else {
    const res = new ServerResponse(req);
    res.shouldKeepAlive = false;
    res.assignSocket(socket);
    res.on('error', () => {});
    // At an upgrade http.Server removes its listener for 'drain' from the socket, which passes the
    // event to the response.
    socket.on('drain', () => {
      if (res.writableNeedDrain) res.emit('drain');
    });
    // The server looks whether the head is sent.
    await sendResponse(res, response, (error) => reportTo(report, error, { where: 'fetch' }));
  }
  return { refuse: status >= 300 ? status : 400 };
}
