/**
 * `@ws/fetch` on Cloudflare Workers, and Durable Objects that hibernate.
 *
 * @module
 */
import { waitUntil } from 'cloudflare:workers';
import type { Agreement } from './handshake.ts';
import { honoUpgrade, type UpgradeWebSocket } from './hono.ts';
import type { UpgradeHandler } from './options.ts';
import { reportOnce } from './reports.ts';
import { run, SocketConn, type SocketRuntime } from './server-conn.ts';
import { turns } from './turns.ts';
import { type Upgrade, upgradeOn } from './upgrade.ts';
import {
  acceptingHeaders,
  addressOf,
  answerClose,
  endUnused,
  MAX_MESSAGE,
  webSocketPair,
} from './workers-socket.ts';

export {
  type HibernatingClass,
  type HibernatingConn,
  type HibernatingEvents,
  type HibernatingOptions,
  type HibernatingRoom,
  hibernating,
} from './hibernating.ts';
export * from './public.ts';

/**
 * See `upgrade` of `@ws/fetch`. The handler gets the connection at once: what it sends waits for the
 * Response. When your `fetch` returns another Response, the connection ends with 1006 after 10 s, and
 * `report` gets an error once.
 * {@link hibernating} is for Durable Objects that sleep.
 */
export const upgrade: Upgrade = /* @__PURE__ */ upgradeOn({
  maxMessage: MAX_MESSAGE,
  accept,
  wireIsChecked: true,
});

/** See `upgradeWebSocket` of `@ws/fetch`. {@link hibernating} has other events. */
export const upgradeWebSocket: UpgradeWebSocket = /* @__PURE__ */ honoUpgrade(upgrade, waitUntil);

/** The time in ms for the middleware that runs after `upgrade`. */
const UNUSED = 10_000;

/** The functions `report`, and {@link accept}, that got the error of a Response that was not sent. */
const reportedTo = /* @__PURE__ */ new WeakSet<object>();

const RUNTIME: SocketRuntime = {
  maxMessage: MAX_MESSAGE,
  // Nothing is sent before a timer, and a timer belongs to the request that has made it.
  turns: /* @__PURE__ */ turns(8, (ms, look) => setTimeout(look, ms)),
};

function accept(agreement: Agreement, handler: UpgradeHandler): Response {
  const { request, plan, subprotocol, auth } = agreement;
  const [client, socket] = webSocketPair();
  socket.accept();
  // Workers have `''` there.
  Object.defineProperty(socket, 'protocol', { value: subprotocol });
  answerClose(socket);
  const conn = new SocketConn(socket, plan, RUNTIME, addressOf(request));
  // Without it, nothing of the handler runs after the close: not even `finally`.
  waitUntil(run(conn, { handler, auth, request }));
  endUnused(client, UNUSED, () => {
    conn.terminate();
    const { report } = plan.options;
    const error = new TypeError(
      'the Response of upgrade() was not sent within 10 s: the client has left, or fetch has not returned it; write return upgrade(...)',
    );
    reportOnce(reportedTo, report ?? accept, report, error, { where: 'fetch', request });
  });
  return new Response(null, {
    status: 101,
    webSocket: client,
    headers: acceptingHeaders(plan, subprotocol),
  } as ResponseInit);
}
