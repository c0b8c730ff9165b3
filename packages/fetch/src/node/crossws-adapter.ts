import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { CloseCode, type Conn } from '@ws/conn';
import { assertOption } from '@ws/node-io/internal';
import { Upgrader } from '@ws/node-server';
import { refuse } from '../handshake.ts';
import { isResponse } from '../responses.ts';
import { FetchUpgrades, type NodeOptions } from './fetch-upgrades.ts';

/** The hook of crossws that {@link crosswsAdapter} calls. */
export interface CrosswsHooks {
  /** Returns or throws a Response, from `upgrade` or to refuse. */
  readonly upgrade?: ((request: Request) => unknown) | undefined;
}

/** Options of {@link crosswsAdapter}: those that a framework passes, and options of all connections. */
export type CrosswsOptions = NodeOptions & {
  /** The hooks of all paths, without `resolve`. */
  readonly hooks?: CrosswsHooks | undefined;
  /** Finds the hooks of a request; without hooks the answer is 404. h3 and Nitro pass it. */
  readonly resolve?:
    | ((request: Request) => CrosswsHooks | undefined | PromiseLike<CrosswsHooks | undefined>)
    | undefined;
};

/** The result of {@link crosswsAdapter}. */
export interface CrosswsAdapter {
  /** The connections that are not closed yet. The set is live. */
  readonly connections: ReadonlySet<Conn>;
  /** A listener for 'upgrade' of a server of node:http. It owns the socket. */
  readonly handleUpgrade: (req: IncomingMessage, socket: Duplex, head: Uint8Array) => Promise<void>;
  /**
   * Closes the connections that are open, and no later ones.
   *
   * @param code - Default: 1001.
   * @param force - Whether to terminate them, without a close frame.
   */
  readonly closeAll: (code?: number, reason?: string, force?: boolean) => void;
  /**
   * Refuses new requests with 503 and closes all connections, as `Upgrader.close`.
   *
   * @param code - Default: 1001.
   */
  readonly close: (code?: number, reason?: string) => Promise<void>;
}

const WRONG_HOOKS =
  'crosswsAdapter: expected hooks whose `upgrade` returns a Response; return the Response of upgrade() of @ws/fetch from your route';

/**
 * An adapter of the shape of `crossws/adapters/node`, for h3 and Nitro: an alias puts it in the place
 * of that module. The handler of `upgrade` gets the `Conn` of `@ws/node-server`.
 * Other hooks of crossws, such as `message`, are refused with 500 and reported.
 *
 * h3 and Nitro hide the Response of a request without hooks: a page, or the 401 of a middleware. The
 * answer is then 404. It is 404 too when h3 copies the Response of `upgrade`, because a middleware
 * has set a header: pass that header to `upgrade`, or use {@link serveFetch}, which sees the Response.
 *
 * @throws TypeError, RangeError that names the bad or unknown option.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { upgrade } from '@ws/fetch';
 * import { crosswsAdapter } from '@ws/fetch/node';
 *
 * const { handleUpgrade } = crosswsAdapter({
 *   hooks: {
 *     upgrade: (request) => upgrade(request, {}, (conn) => conn.receive((message) => conn.send(message))),
 *   },
 * });
 * const server = createServer((_req, res) => res.end('a page'));
 * server.on('upgrade', (req, socket, head) => void handleUpgrade(req, socket, head));
 * ```
 */
export function crosswsAdapter(options: CrosswsOptions = {}): CrosswsAdapter {
  if ('upgrade' in options) throw new TypeError('crosswsAdapter: write crosswsAdapter({ hooks })');
  const { hooks, resolve, ...shared } = options;
  const isFunction = resolve === undefined || typeof resolve === 'function';
  assertOption('resolve', resolve, isFunction, 'a function');
  const find = resolve ?? (() => hooks);
  const upgrades = new FetchUpgrades(async (request) => ask(request, await find(request)), shared);
  const upgrader = new Upgrader(upgrades.options);
  const listener = upgrader.handler(upgrades.handler);
  return {
    connections: upgrader.connections,
    handleUpgrade: async (req, socket, head) => listener(req, socket, head),
    closeAll(code = CloseCode.GoingAway, reason = '', force = false) {
      for (const conn of upgrader.connections) {
        if (force) conn.terminate();
        else void conn.close(code, reason);
      }
    },
    close: async (code, reason) => void (await upgrader.close({ code, reason })),
  };
}

/** @throws TypeError for hooks without a Response. */
async function ask(request: Request, hooks: CrosswsHooks | undefined): Promise<Response> {
  // Nitro has an empty object for a Response without hooks.
  if (Object.keys(hooks ?? {}).length === 0) return refuse(404, 'Not Found');
  const result = await upgradeOf(request, hooks);
  if (isResponse(result)) return result;
  throw new TypeError(WRONG_HOOKS);
}

/** The result of the hook, or the Response that it throws. */
async function upgradeOf(request: Request, hooks: CrosswsHooks | undefined): Promise<unknown> {
  try {
    return await hooks?.upgrade?.(request);
  } catch (error) {
    if (isResponse(error)) return error;
    throw error;
  }
}
