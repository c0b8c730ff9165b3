import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Conn } from '@ws/conn';
import type { NoParams, RouteParams } from './routes.ts';

/** The third argument of a {@link ConnHandler}. */
export interface HandlerContext<Auth, Params = NoParams> {
  /** The result of `authenticate`; undefined without that option. */
  readonly auth: Auth;
  /**
   * The parameters of the route, percent-decoded once: for `/feed/:id`, the path `/feed/a%2Fb` has
   * the `id` `a/b`. They are input of the client; check them. The object has no prototype. It is
   * empty when no route matched.
   */
  readonly params: Params;
}

/**
 * Runs one connection. When it throws or its promise rejects, the connection closes with 1011
 * (`CloseCode.InternalServerErr`) and the option `report` gets the error. The connection stays open
 * when it returns.
 */
export type ConnHandler<Auth, Params = NoParams> = (
  conn: Conn,
  req: IncomingMessage,
  context: HandlerContext<Auth, Params>,
) => unknown;

/**
 * Handlers by request path: `/chat`, or `/feed/:id` with a parameter. A parameter matches one whole
 * segment that is not empty. Paths are compared as sent, without the query: case and a trailing
 * slash count. A literal segment takes precedence over a parameter, whatever the order of the
 * routes.
 */
export type Routes<Pattern extends string, Auth> = {
  readonly [P in Pattern]: ConnHandler<Auth, RouteParams<P>>;
};

/**
 * A listener for the 'upgrade' event of a node:http or node:https server. It owns the socket from
 * the call on.
 */
export type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
