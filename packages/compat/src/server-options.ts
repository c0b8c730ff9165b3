import type { IncomingMessage, OutgoingHttpHeaders, Server } from 'node:http';
import type { PerMessageDeflateOptions } from './permessage-deflate.ts';
import { DEFAULTS, type SharedOptions } from './shared-options.ts';
import { WebSocket } from './websocket.ts';

/** What `verifyClient` learns about a request. */
export interface VerifyClientInfo {
  origin: string | undefined;
  /** Whether the request came over TLS. */
  secure: boolean;
  req: IncomingMessage;
}

/** Returns whether the request is accepted, or calls `callback` when it has two parameters. */
export type VerifyClient = (
  info: VerifyClientInfo,
  callback: (
    accepted: boolean,
    status?: number,
    message?: string,
    headers?: OutgoingHttpHeaders,
  ) => void,
) => unknown;

/** Options of a {@link WebSocketServer}. */
export interface ServerOptions extends SharedOptions {
  /** Bound of the queue of connections that wait to be accepted. */
  backlog?: number | null | undefined;
  /** Whether `clients` has the open connections. Default: true. */
  clientTracking?: boolean | undefined;
  /** Chooses a subprotocol. Default: the first one of the client. */
  handleProtocols?:
    | ((protocols: Set<string>, request: never) => string | false | undefined)
    | null
    | undefined;
  host?: string | null | undefined;
  /** The application calls `handleUpgrade`. */
  noServer?: boolean | undefined;
  /** Only requests for this path are accepted. */
  path?: string | null | undefined;
  /** Default: false. */
  perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
  port?: number | null | undefined;
  /** An HTTP server whose upgrades are handled. */
  server?: Server | null | undefined;
  verifyClient?: VerifyClient | null | undefined;
  /** The class of connections: `WebSocket`, or a class that extends it. */
  WebSocket?: typeof WebSocket | undefined;
}

export function withDefaults(options: ServerOptions | undefined): ServerOptions {
  const known: ServerOptions = {
    ...DEFAULTS,
    perMessageDeflate: false,
    handleProtocols: null,
    clientTracking: true,
    verifyClient: null,
    noServer: false,
    backlog: null,
    server: null,
    host: null,
    path: null,
    port: null,
    WebSocket,
    ...options,
  };
  if (known.perMessageDeflate === true) known.perMessageDeflate = {};
  return known;
}
