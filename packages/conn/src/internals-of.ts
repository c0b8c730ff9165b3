import type { Conn } from './conn.ts';
import type { ConnLike } from './conn-like.ts';
import type { InternalsOfConn } from './internals-of-conn.ts';

/** The calls that each {@link ConnLike} has, of this library or of the application. */
type Common =
  | 'failure'
  | 'closeTimeout'
  | 'closed'
  | 'closeAfterError'
  | 'untilWritable'
  | 'sendWaiting';

/** The calls of the library to a {@link ConnLike}. Only a `Conn` has all of them. */
export type ConnInternals = Pick<InternalsOfConn, Common> & Partial<InternalsOfConn>;

/**
 * An accessor that a user cannot meet by accident. Its name is a literal in each class. Esbuild
 * keeps a class with a computed name, and all that the class uses, in every bundle.
 */
type WithInternals = { readonly '@ws/internals'?: ConnInternals };

/** The default `closeTimeout` of a connection, in ms. */
const CLOSE_TIMEOUT = 5_000;
/** Numbers: a page that uses this file needs no other part of the codec. */
const NORMAL_CLOSURE = 1000;
const INTERNAL_SERVER_ERR = 1011;

/** The internals of `conn`. For a class of the application they use its public methods. */
export function internalsOf(conn: Conn): InternalsOfConn;
export function internalsOf(conn: ConnLike): ConnInternals;
export function internalsOf(conn: ConnLike): ConnInternals {
  return (conn as WithInternals)['@ws/internals'] ?? publicInternals(conn);
}

function publicInternals(conn: ConnLike): ConnInternals {
  return {
    failure: undefined,
    closeTimeout: CLOSE_TIMEOUT,
    get closed() {
      return conn.closed;
    },
    // A page cannot send 1011.
    closeAfterError: () => conn.close(INTERNAL_SERVER_ERR).catch(() => conn.close(NORMAL_CLOSURE)),
    untilWritable: () => undefined,
    sendWaiting: ({ type, data }) => conn.writeMessage(type, data),
  };
}
