import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Conn } from '@ws/conn';
import type { NoParams, RouteParams } from './routes.ts';

/** What a handler gets besides the connection and its request. */
export interface HandlerContext<Auth, Params = NoParams> {
  /** What `authenticate` gave. */
  readonly auth: Auth;
  /**
   * The parameters of the route, percent-decoded once: `/feed/a%2Fb` gives `/feed/:id` an `id` of `a/b`. They are what the
   * client wrote, to be checked like all of its input. An object without a prototype; empty where there is no route.
   */
  readonly params: Params;
}

/**
 * Runs a connection. When it throws or its promise rejects, the connection is closed with 1011; that it returns changes
 * nothing.
 */
export type ConnHandler<Auth, Params = NoParams> = (
  conn: Conn,
  req: IncomingMessage,
  context: HandlerContext<Auth, Params>,
) => unknown;

/**
 * Handlers by the paths of their requests: `/chat`, or `/feed/:id` with a parameter, which is one whole segment and never
 * empty. Paths are compared as they are sent, upper and lower case and a slash at the end included, their query left out.
 * A literal segment goes before a parameter, in whatever order the two are given.
 */
export type Routes<Pattern extends string, Auth> = {
  readonly [P in Pattern]: ConnHandler<Auth, RouteParams<P>>;
};

/** A listener for the 'upgrade' event of a node:http or node:https server. */
export type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
