/**
 * `@ws/fetch` on Bun, and the wrapper for `Bun.serve`.
 *
 * @module
 */
import { checkNames } from '@ws/conn/internal';
import { BunConn, type BunWebSocket } from './bun-conn.ts';
import { BunSocket } from './bun-socket.ts';
import { callOf, type Mark, type Wrapper } from './fetch-call.ts';
import { refuse, refuseBadHost } from './handshake.ts';
import { honoUpgrade, type UpgradeWebSocket } from './hono.ts';
import { checkReadLimit } from './options.ts';
import { reportOnce } from './reports.ts';
import { isResponse } from './responses.ts';
import { run } from './server-conn.ts';
import { lookWithin, turns } from './turns.ts';
import { callFetch, type FetchHandler, type Upgrade, upgradeOn } from './upgrade.ts';

export * from './public.ts';

/** As the default of `readLimit`. */
const MAX_MESSAGE = 2 ** 20;

/** Options of {@link bun} for all connections, as in the `websocket` object of `Bun.serve`. */
export interface BunOptions {
  /**
   * The longest message that Bun takes, in bytes: the most for `readLimit`. Bun holds so much of each
   * unfinished message. Default: 1 MiB.
   */
  readonly maxPayloadLength?: number | undefined;
  /**
   * The silence in seconds after which Bun ends a connection, at most 960; it pings at half of it.
   * Default: 40.
   */
  readonly idleTimeout?: number | undefined;
  /** Whether Bun compresses. Default: `false`. */
  readonly perMessageDeflate?: boolean | undefined;
}

/** The part of a server of Bun that the wrapper uses. */
interface BunServer {
  upgrade(request: Request, options: { headers: Headers; data: Opened }): boolean;
}

/** The `data` of a WebSocket that `upgrade` has made. */
class Opened {
  readonly mark: Mark;
  conn: BunConn | undefined;

  constructor(mark: Mark) {
    this.mark = mark;
  }
}

/** The result of {@link bun}, for `Bun.serve`. */
export interface BunHandlers {
  fetch(request: Request, server: unknown): Promise<Response | undefined>;
  readonly websocket: object;
}

/**
 * See `upgrade` of `@ws/fetch`. When Bun calls your `fetch` itself, without the wrapper {@link bun}, the
 * answer is sent within this call. Middleware that runs later cannot change it.
 */
export const upgrade: Upgrade = /* @__PURE__ */ upgradeOn({
  // An option of the server, which the event `open` knows.
  maxMessage: Infinity,
  callOf,
  // Bun also aborts it when the WebSocket ends. The listener is removed by then.
  clientSignal: ({ signal }) => signal,
  accept(agreement, handler, call) {
    if (call !== undefined) return call.mark(agreement, handler);
    const server = agreement.plan.options.server as BunServer | undefined;
    if (typeof server?.upgrade !== 'function') {
      throw new TypeError(
        'upgrade: this runtime needs the option server, or the wrapper bun of @ws/fetch/bun around your fetch',
      );
    }
    const headers = [...new Headers(agreement.plan.options.headers)];
    return (
      upgradeNow(server, agreement.request, { ...agreement, handler, headers }) ?? alreadyAnswered()
    );
  },
});

/** See `upgradeWebSocket` of `@ws/fetch`. Headers of middleware reach the client by the wrapper {@link bun}. */
export const upgradeWebSocket: UpgradeWebSocket = /* @__PURE__ */ honoUpgrade(upgrade);

/** Bun ignores this Response: the 101 has been sent. */
const alreadyAnswered = (): Response => new Response(null, { status: 204 });

/** @returns The refusal of a request that Bun does not upgrade. */
function upgradeNow(server: BunServer, request: Request, mark: Mark): Response | undefined {
  // Bun 1.3 takes no empty list.
  const headers = new Headers(mark.headers.map(([name, value]): [string, string] => [name, value]));
  // Without a choice of ours, Bun answers with the client's first subprotocol.
  if (mark.subprotocol === '') request.headers.delete('sec-websocket-protocol');
  else headers.set('Sec-WebSocket-Protocol', mark.subprotocol);
  const isUpgraded = server.upgrade(request, { headers, data: new Opened(mark) });
  return isUpgraded ? undefined : refuse(400, 'the request was answered, or its client has left');
}

/** Bun has an event for it. The looks are for the case that it lacks one. */
const bunTurns = /* @__PURE__ */ turns(0, (_ms, look) => lookWithin(1_000, look));

/** Whether the body of a request failed with `error` because its client has left. */
function hasLeft({ signal }: Request, error: unknown): boolean {
  return signal.aborted && Object(error).name === 'AbortError';
}

/** Runs a connection. */
function opened(ws: BunWebSocket<Opened>, maxMessage: number): void {
  const { mark } = ws.data;
  const { plan } = mark;
  const readLimit = Math.min(plan.bounds.readLimit, maxMessage);
  const within = { ...plan, bounds: { ...plan.bounds, readLimit } };
  const socket = new BunSocket(ws, mark.subprotocol);
  const conn = new BunConn(socket, within, { maxMessage, turns: bunTurns }, ws.remoteAddress);
  ws.data.conn = conn;
  try {
    // Without the wrapper, `upgrade` did not know the bound.
    checkReadLimit(
      'readLimit',
      plan.options.readLimit === undefined ? 0 : plan.bounds.readLimit,
      maxMessage,
    );
    void run(conn, mark);
  } catch (error) {
    conn.failed(error, 'upgrade');
  }
}

/** Closes a WebSocket that the application has upgraded itself, and reports the first one. */
function refuseForeign(ws: BunWebSocket<unknown>, { reportedTo }: Wrapper): void {
  // Its data may look like ours in the later events.
  ws.data = undefined;
  ws.close(1011);
  const error = new TypeError(
    'a WebSocket was opened without upgrade(): Bun has one object `websocket` for a server, and this one is that of bun(); call upgrade() of @ws/fetch instead of server.upgrade()',
  );
  reportOnce(reportedTo, refuseForeign, undefined, error, { where: 'upgrade' });
}

/**
 * Wraps a `fetch` for `Bun.serve`: the upgrade is made after your `fetch` has returned.
 *
 * @param fetch - Undefined for the `websocket` object alone: then your own `fetch` passes the option
 *   `server` to `upgrade`.
 * @throws TypeError that names an unknown option.
 *
 * @example
 * ```ts no-run
 * import { upgrade } from '@ws/fetch';
 * import { bun } from '@ws/fetch/bun';
 *
 * declare const Bun: { serve(options: object): unknown };
 * Bun.serve({ port: 3000, ...bun((request) => upgrade(request, {}, (conn) => conn.receive((m) => conn.send(m)))) });
 * ```
 */
export function bun(fetch?: FetchHandler<never>, options: BunOptions = {}): BunHandlers {
  const names = ['maxPayloadLength', 'idleTimeout', 'perMessageDeflate'];
  checkNames('bun', options, names, 'reject');
  const { maxPayloadLength = MAX_MESSAGE, idleTimeout = 40, perMessageDeflate = false } = options;
  const wrapper = { maxMessage: maxPayloadLength, reportedTo: new WeakSet(), hasLeft };
  return {
    async fetch(request, server) {
      const refusal = refuseBadHost(request);
      if (refusal) return refusal;
      const mark = await callFetch(fetch as FetchHandler, request, server, wrapper);
      return isResponse(mark) ? mark : upgradeNow(server as BunServer, request, mark);
    },
    websocket: {
      maxPayloadLength,
      idleTimeout,
      perMessageDeflate,
      // Ours is `maxBufferedAmount`. Above its own bound, Bun drops messages without a word.
      backpressureLimit: 2 ** 31 - 1,
      open(ws: BunWebSocket<unknown>) {
        if (!(ws.data instanceof Opened)) return refuseForeign(ws, wrapper);
        opened(ws as BunWebSocket<Opened>, maxPayloadLength);
      },
      message(ws: BunWebSocket<Partial<Opened>>, data: string | Uint8Array) {
        ws.data?.conn?.socket.received(data);
      },
      drain(ws: BunWebSocket<Partial<Opened>>) {
        ws.data?.conn?.socket.drained();
      },
      close(ws: BunWebSocket<Partial<Opened>>, code: number, reason: string) {
        ws.data?.conn?.socket.closed(code, reason);
      },
      ping(ws: BunWebSocket<Partial<Opened>>, data: Uint8Array) {
        ws.data?.conn?.pinged(new Uint8Array(data));
      },
      pong(ws: BunWebSocket<Partial<Opened>>, data: Uint8Array) {
        ws.data?.conn?.ponged(new Uint8Array(data));
      },
    },
  };
}
