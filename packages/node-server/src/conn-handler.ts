import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { RequestFacts } from '@ws/codec';
import type { Conn } from '@ws/conn';
import type { NoParams, RouteParams } from './route-table.ts';

/**
 * The request that a callback gets, an IncomingMessage of `node:http`. Without `@types/node` the
 * compiler replaces IncomingMessage by `any`, and `skipLibCheck` hides that. This type then has one
 * property. Its name is the command to run. The condition tests `keyof`, because a condition on
 * the missing type itself gives `any` again since TypeScript 5.5.
 */
export type HandshakeRequest = string extends keyof IncomingMessage
  ? { readonly 'run npm install --save-dev @types/node': never }
  : IncomingMessage;

/**
 * The request that the application's functions get: an IncomingMessage from node:http, the facts
 * of the head from a raw stream. The steps of a handshake only pass it on, so one type is enough
 * for the functions of both.
 */
export type AppRequest = IncomingMessage & RequestFacts;

/** The third argument of a {@link ConnHandler}. */
export interface HandlerContext<Auth, Params = NoParams> {
  /** What `authenticate` has admitted; undefined without that option. */
  readonly auth: Auth;
  /**
   * The parameters of the route, percent-decoded once: for `/feed/:id`, the path `/feed/a%2Fb` has
   * the `id` `a/b`. They are input of the client; check them. The object has no prototype. It is
   * empty when no route matched.
   */
  readonly params: Params;
  /**
   * The path of the request, without authority and query, percent-decoded once by segment. `%2F`
   * stays encoded, so that the path keeps its segments.
   */
  readonly path: string;
  /** The query of the request, decoded; empty without one. */
  readonly query: URLSearchParams;
  /** The pattern of the route that matched, `/feed/:id` for example; undefined without one. */
  readonly route: string | undefined;
  /**
   * The client's address: the result of `clientAddress`, the address that `trustProxy` finds, or
   * the peer of the socket. Undefined for a Unix socket, or if `clientAddress` returns undefined.
   * The socket is asked at the first use, while it is open.
   */
  readonly address: string | undefined;
}

/** The second argument of `authenticate`. */
export interface AuthenticateContext
  extends Omit<HandlerContext<unknown, RouteParams<string>>, 'auth'> {
  /** Aborted when the client has disconnected or has half-closed, or when the time is up. */
  readonly signal: AbortSignal;
}

/**
 * Runs one connection. When it throws or its promise rejects, the connection closes with 1011
 * (`CloseCode.InternalServerErr`), or 1013 for a BackpressureError, and the option `report` gets the error. The connection stays open
 * when it returns.
 */
export type ConnHandler<Auth, Params = NoParams, Req = HandshakeRequest> = (
  conn: Conn<Auth>,
  req: Req,
  context: HandlerContext<Auth, Params>,
) => unknown;

/**
 * A listener for the 'upgrade' event of a node:http or node:https server. It owns the socket from
 * the call on.
 */
export type UpgradeListener = (req: IncomingMessage, socket: Duplex, head: Uint8Array) => void;
