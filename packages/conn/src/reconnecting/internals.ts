import type { ConnLike } from '../conn-like.ts';
import type { ConnInternals } from '../for-reconnecting.ts';

/** The default `closeTimeout` of a connection, in ms. */
const CLOSE_TIMEOUT = 5_000;
/** Numbers: a page that uses this file needs no other part of the codec. */
const NORMAL_CLOSURE = 1000;
const INTERNAL_SERVER_ERR = 1011;

/** The methods of a {@link ConnLike} that the reconnecting clients call. */
const METHODS = ['send', 'writeMessage', 'receive', 'close', Symbol.asyncIterator] as const;

export function isConnLike(value: unknown): value is ConnLike {
  const conn = (value ?? {}) as Partial<ConnLike>;
  return METHODS.every((name) => typeof conn[name] === 'function');
}

/** The internals of `conn`. Those of a class of the application use its public methods. */
export function internalsOf(conn: ConnLike): ConnInternals {
  const { internals } = conn as { readonly internals?: ConnInternals };
  return typeof internals?.closeAfterError === 'function' ? internals : publicInternals(conn);
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
