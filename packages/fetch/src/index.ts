/**
 * WebSocket servers in fetch handlers: one program for Node, Bun, Deno and Workers. This file is for
 * Node. The others have the same exports.
 *
 * @module
 */
import { optionHint } from '@ws/conn/internal';
import { callOf } from './fetch-call.ts';
import { honoUpgrade, type UpgradeWebSocket } from './hono.ts';
import { marking, type Upgrade, upgradeOn } from './upgrade.ts';

export * from './public.ts';

const answer = /* @__PURE__ */ upgradeOn({
  maxMessage: Infinity,
  hintOf: optionHint,
  callOf,
  clientSignal: ({ signal }) => signal,
  accept: marking('serveFetch of @ws/fetch/node'),
});

/**
 * Upgrades a request to a WebSocket, or refuses it. Return its Response from your `fetch`.
 *
 * The handler gets the connection after `fetch` and its middleware have returned that Response, or a
 * copy with the same status and headers. On Workers it gets it at once.
 *
 * @param handler - Runs the connection; see {@link UpgradeHandler}.
 * @throws (rejects) TypeError, RangeError that names a bad option; TypeError that names the wrapper
 *   when the runtime needs one and has none.
 *
 * @example
 * ```ts no-run
 * import { upgrade } from '@ws/fetch';
 *
 * export default {
 *   fetch(request: Request, server: unknown) {
 *     return upgrade(request, { server }, async (conn) => {
 *       for await (const message of conn) await conn.send(message);
 *     });
 *   },
 * };
 * ```
 */
export const upgrade: Upgrade = async (request, options, handler) => {
  const response = await answer(request, options, handler);
  // By this property h3 and Nitro find the hooks of a route: they show an adapter nothing else of a Response.
  return Object.assign(response, { crossws: { upgrade: () => response } });
};

/**
 * As `upgradeWebSocket` of Hono, for its routes. The handshake has the checks and options of
 * {@link upgrade}, headers of middleware reach the client, and a middleware that refuses after it still
 * decides.
 *
 * @example
 * ```ts no-run
 * import { upgradeWebSocket } from '@ws/fetch';
 *
 * declare const app: { get(path: string, handler: unknown): void };
 * app.get('/echo', upgradeWebSocket(() => ({ onMessage: ({ data }, ws) => ws.send(data) })));
 * ```
 */
export const upgradeWebSocket: UpgradeWebSocket = /* @__PURE__ */ honoUpgrade(upgrade);
