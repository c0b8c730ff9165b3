/**
 * `@ws/fetch` on Bun, and the wrapper for `Bun.serve`.
 *
 * @module
 */
import { checkNames } from '@ws/browser/internal';
import { BunConn, type BunWebSocket } from './bun-conn.ts';
import { BunSocket } from './bun-socket.ts';
import { refuse } from './handshake.ts';
import { honoUpgrade, type UpgradeWebSocket } from './hono.ts';
import { type Mark, markedResponse } from './mark.ts';
import { isResponse } from './responses.ts';
import { run } from './server-conn.ts';
import { callFetch, type FetchHandler, type Upgrade, upgradeOn } from './upgrade.ts';

export * from './public.ts';

/** Options of {@link bun}: those of the `websocket` object of `Bun.serve`, for all connections. */
export interface BunOptions {
  /** The longest message that Bun takes, in bytes: the most for `readLimit`. Default: 16 MiB. */
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
  upgrade(
    request: Request,
    options: { headers: [string, string][]; data: { mark: Mark } },
  ): boolean;
}

interface Opened {
  readonly mark: Mark;
  conn?: BunConn;
}

/** The result of {@link bun}, for `Bun.serve`. */
export interface BunHandlers {
  fetch(request: Request, server: unknown): Promise<Response | undefined>;
  readonly websocket: object;
}

/** Of the last wrapper: it is an option of the server. */
let maxMessage = 16 * 2 ** 20;
let isWrapped = false;
/** The servers whose `fetch` is wrapped. */
const wrapped = /* @__PURE__ */ new WeakSet<object>();

/**
 * See `upgrade` of `@ws/fetch`. When Bun calls your `fetch` itself, without the wrapper {@link bun}, the
 * answer is sent within this call: middleware that runs later cannot change it.
 */
export const upgrade: Upgrade = /* @__PURE__ */ upgradeOn({
  maxMessage: () => maxMessage,
  // Bun also aborts it when the WebSocket ends. The listener is removed by then.
  clientSignal: ({ signal }) => signal,
  accept(agreement, handler) {
    const server = agreement.plan.options.server as BunServer | undefined;
    const isBun = typeof server?.upgrade === 'function';
    if (isWrapped && (!isBun || wrapped.has(server))) return markedResponse(agreement, handler);
    if (!isBun) {
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
  const headers = mark.headers.map(([name, value]): [string, string] => [name, value]);
  // Without a choice of ours, Bun answers with the client's first subprotocol.
  if (mark.subprotocol === '') request.headers.delete('sec-websocket-protocol');
  else headers.push(['Sec-WebSocket-Protocol', mark.subprotocol]);
  const isUpgraded = server.upgrade(request, { headers, data: { mark } });
  return isUpgraded ? undefined : refuse(400, 'the request was answered, or its client has left');
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
  checkNames('bun', options, ['maxPayloadLength', 'idleTimeout', 'perMessageDeflate']);
  const { maxPayloadLength = 16 * 2 ** 20, idleTimeout = 40, perMessageDeflate = false } = options;
  maxMessage = maxPayloadLength;
  isWrapped ||= fetch !== undefined;
  return {
    async fetch(request, server) {
      wrapped.add(server as object);
      const mark = await callFetch(fetch as FetchHandler, request, server);
      return isResponse(mark) ? mark : upgradeNow(server as BunServer, request, mark);
    },
    websocket: {
      maxPayloadLength,
      idleTimeout,
      perMessageDeflate,
      // Ours is `maxBufferedAmount`. Above its own bound, Bun drops messages without a word.
      backpressureLimit: 2 ** 31 - 1,
      open(ws: BunWebSocket<Opened>) {
        const { mark } = ws.data;
        const socket = new BunSocket(ws, mark.subprotocol);
        const conn = new BunConn(socket, mark.plan, maxPayloadLength, ws.remoteAddress);
        ws.data.conn = conn;
        void run(conn, mark);
      },
      message(ws: BunWebSocket<Opened>, data: string | Uint8Array) {
        ws.data.conn?.socket.received(data);
      },
      drain(ws: BunWebSocket<Opened>) {
        ws.data.conn?.socket.drained();
      },
      close(ws: BunWebSocket<Opened>, code: number, reason: string) {
        ws.data.conn?.socket.closed(code, reason);
      },
      ping(ws: BunWebSocket<Opened>, data: Uint8Array) {
        ws.data.conn?.pinged(new Uint8Array(data));
      },
      pong(ws: BunWebSocket<Opened>, data: Uint8Array) {
        ws.data.conn?.ponged(new Uint8Array(data));
      },
    },
  };
}
