/**
 * WebSocket servers in fetch handlers: one program for Node, Bun, Deno and Workers. This file is for
 * Node; the others have the same exports.
 *
 * @module
 */
import { wrappers } from './node-wrappers.ts';
import { marking, type Upgrade, upgradeOn } from './upgrade.ts';

export * from './public.ts';

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
export const upgrade: Upgrade = /* @__PURE__ */ upgradeOn({
  maxMessage: () => Infinity,
  clientSignal: ({ signal }) => signal,
  accept: marking(() => wrappers.any, 'serveFetch of @ws/fetch/node'),
});
