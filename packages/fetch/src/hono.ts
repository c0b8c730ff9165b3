import { TextMessage, WebSocketError } from '@ws/conn';
import { badType } from '@ws/conn/internal';
import { callOf } from './fetch-call.ts';
import type {
  AdmitOrRefuse,
  FetchReport,
  ServerConn,
  UpgradeHandler,
  UpgradeOptions,
} from './options.ts';
import { reportOnce } from './reports.ts';
import type { Upgrade } from './upgrade.ts';

/** The part of a Context of Hono that {@link UpgradeWebSocket} uses. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
  /** On Bun, the server: the option `server`. */
  readonly env: unknown;
  // oxlint-disable-next-line typescript/no-explicit-any -- fits each version of Hono's types
  newResponse(body: any, init: any): Response;
}

/** The second argument of {@link HonoEvents}, of the shape of Hono's WSContext. */
export interface HonoSocket {
  /** The connection. */
  readonly raw: ServerConn;
  /** As of a WebSocket: 1 is open, 2 closing, 3 closed. */
  readonly readyState: 1 | 2 | 3;
  readonly url: URL;
  /** The subprotocol, `''` for none. */
  readonly protocol: string;
  readonly binaryType: 'arraybuffer';
  /** As `send` of the connection. Await it, so that a slow client is waited for. */
  send(
    data: string | ArrayBuffer | Uint8Array,
    options?: { readonly compress?: boolean },
  ): Promise<void>;
  /** As `close` of the connection, without its promise. */
  close(code?: number, reason?: string): void;
}

/**
 * The events of a connection, of the shape of Hono's WSEvents. The next message waits for the promise of
 * `onMessage`. When one of them throws, the connection closes with 1011 and `report` gets the error.
 */
export interface HonoEvents {
  onOpen?(event: Event, socket: HonoSocket): unknown;
  /** `data` is a string or an ArrayBuffer, on each runtime. */
  onMessage?(event: Event & { readonly data: string | ArrayBuffer }, socket: HonoSocket): unknown;
  /** Called once, last. */
  onClose?(
    event: Event & { readonly code: number; readonly reason: string; readonly wasClean: boolean },
    socket: HonoSocket,
  ): unknown;
  /** Called before `onClose` when a fault has ended the connection. */
  onError?(event: Event & { readonly error: Error }, socket: HonoSocket): unknown;
}

/** The function `upgradeWebSocket`, of the shape of Hono's. */
export interface UpgradeWebSocket {
  /**
   * Makes a middleware. It answers requests to upgrade, and leaves others to the next handler.
   *
   * @param createEvents - Called for each request to upgrade, before the checks of `upgrade`.
   */
  // oxlint-disable-next-line typescript/no-explicit-any -- without the types of Hono there is no Context
  <Context extends HonoContext = any, Result extends AdmitOrRefuse = true>(
    createEvents: (context: Context) => HonoEvents | PromiseLike<HonoEvents>,
    options?: UpgradeOptions<Result>,
  ): (context: Context, next: () => Promise<void>) => Promise<Response | undefined>;
  /** Answers the request of `context`. */
  <Result extends AdmitOrRefuse = true>(
    context: HonoContext,
    events: HonoEvents,
    options?: UpgradeOptions<Result>,
  ): Promise<Response>;
}

/**
 * Makes the function `upgradeWebSocket` of a runtime from its `upgrade`.
 *
 * @param keep - Keeps the events of the end going, on a runtime that would drop them.
 */
export function honoUpgrade(
  upgrade: Upgrade,
  keep: (ended: Promise<unknown>) => void = () => {},
): UpgradeWebSocket {
  const answer = async (
    context: HonoContext,
    events: HonoEvents,
    options: UpgradeOptions<AdmitOrRefuse> = {},
    middleware: object = options.report ?? honoUpgrade,
  ): Promise<Response> => {
    const { req, env } = context;
    checkEvents(events, req.raw, options.report, middleware);
    const response = await upgrade(req.raw, { server: env, ...options }, handlerOf(events, keep));
    // Hono adds headers that middleware has set before `next()` only to its own Responses.
    if (response.status !== 101) return context.newResponse(response.body, response);
    // The constructor takes no 101, which is the answer on Workers.
    for (const [name, value] of context.newResponse(null, undefined).headers) {
      response.headers.append(name, value);
    }
    return response;
  };
  const middlewareOf =
    (createEvents: CreateEvents, options: UpgradeOptions<AdmitOrRefuse> | undefined) =>
    async (context: HonoContext, next: () => Promise<void>): Promise<Response | undefined> => {
      const upgradeField = context.req.raw.headers.get('upgrade');
      if (upgradeField?.toLowerCase() === 'websocket') {
        return answer(context, await createEvents(context), options, createEvents);
      }
      await next();
      return undefined;
    };
  return ((first: CreateEvents | HonoContext, second: never, options: never) => {
    if (typeof first === 'function') return middlewareOf(first, second);
    if (first?.req?.raw) return answer(first, second, options);
    throw badType('upgradeWebSocket: expected a function that returns the events', first);
  }) as UpgradeWebSocket;
}

type CreateEvents = (context: HonoContext) => HonoEvents | PromiseLike<HonoEvents>;

const EVENTS = ['onOpen', 'onMessage', 'onClose', 'onError'];
/** Middleware with a mistake that was reported. */
const reported = /* @__PURE__ */ new WeakSet<object>();

/**
 * Reports names of a WebSocket, such as `onmessage`, and an object without an event.
 *
 * @param middleware - Identifies a middleware: only its first mistake is reported.
 * @throws TypeError for no object.
 */
function checkEvents(
  events: HonoEvents,
  request: Request,
  report: FetchReport | undefined,
  middleware: object,
): void {
  if (typeof events !== 'object' || events === null) {
    throw badType('upgradeWebSocket: expected an object with events', events);
  }
  const lower = EVENTS.map((name) => name.toLowerCase()).filter((name) => name in events);
  const hasNone = !EVENTS.some((name) => name in events);
  if (lower.length === 0 && !hasNone) return;
  const names = (lower.length > 0 ? lower : Object.keys(events)).join(', ');
  const error = new TypeError(
    `upgradeWebSocket: ${names || 'an object without events'} is never called; the events are ${EVENTS.join(', ')}`,
  );
  const common = callOf(request)?.wrapper.report;
  const context = { where: 'upgradeWebSocket', request };
  reportOnce(reported, middleware, report ?? common, error, context);
}

function handlerOf(events: HonoEvents, keep: (ended: Promise<unknown>) => void): UpgradeHandler {
  return async (conn, { request }) => {
    const socket = socketOf(conn, request);
    const work = readAll(conn, events, socket);
    const nothing = (): void => {};
    const ended = work
      .catch(nothing)
      .then(() => conn.closed)
      .then(() => callEndEvents(conn, events, socket));
    keep(ended.catch(nothing));
    // Now: the server reports it, and closes with 1011.
    await work;
    await ended;
  };
}

/** Settles when no further message is read. The end of the connection is no failure of the events. */
async function readAll(conn: ServerConn, events: HonoEvents, socket: HonoSocket): Promise<void> {
  try {
    await events.onOpen?.(new Event('open'), socket);
    await conn.receive((message) => {
      const data =
        message.type === TextMessage ? message.text() : new Uint8Array(message.data).buffer;
      return events.onMessage?.(eventOf('message', { data }), socket) as void;
    });
  } catch (error) {
    if (conn.state === 'open' || !(error instanceof WebSocketError)) throw error;
  }
}

async function callEndEvents(
  conn: ServerConn,
  events: HonoEvents,
  socket: HonoSocket,
): Promise<void> {
  const { code, reason, wasClean, error } = await conn.closed;
  if (error !== undefined) await events.onError?.(eventOf('error', { error }), socket);
  await events.onClose?.(eventOf('close', { code, reason, wasClean }), socket);
}

/** Node 20 has no CloseEvent, and no runtime's Event has an `error`. */
function eventOf<Fields extends object>(type: string, fields: Fields): Event & Fields {
  return Object.assign(new Event(type), fields);
}

function socketOf(conn: ServerConn, request: Request): HonoSocket {
  const url = new URL(request.url);
  url.protocol = url.protocol.replace('http', 'ws');
  return {
    raw: conn,
    get readyState() {
      if (conn.state === 'open') return 1;
      return conn.state === 'closing' ? 2 : 3;
    },
    url,
    protocol: conn.subprotocol,
    binaryType: 'arraybuffer',
    send: (data, options) => conn.send(data, options),
    close: (code, reason) => void conn.close(code, reason),
  };
}
