import { type Conn, type ConnLike, connPair } from '@ws/conn';
import { onTestFinished } from 'vitest';

export const fast = { minDelay: 1, maxDelay: 4 };

/** A dial function over pairs in memory, and what it has done. */
export interface Dials {
  readonly dial: (options: { signal: AbortSignal }) => Promise<Conn>;
  /** The ends of the server, one for each dial that succeeded. */
  readonly servers: Conn[];
  /** Resolves to the server's end of the dial with this number, from 0. */
  server(i: number): Promise<Conn>;
  readonly signals: AbortSignal[];
}

/** @param failures - Errors of the first dials; undefined for a dial that succeeds. */
export function dials(...failures: readonly unknown[]): Dials {
  const servers: Conn[] = [];
  const signals: AbortSignal[] = [];
  const waiting = new Map<number, (conn: Conn) => void>();
  const settings = { closeTimeout: 1_000, heartbeat: false } as const;
  onTestFinished(() => servers.forEach((server) => server.terminate()));
  return {
    servers,
    signals,
    async dial({ signal }) {
      signals.push(signal);
      const failure = failures[signals.length - 1];
      if (failure !== undefined) throw failure;
      const [client, server] = connPair({ client: settings, server: settings });
      servers.push(server);
      waiting.get(servers.length - 1)?.(server);
      return client;
    },
    async server(i) {
      return servers[i] ?? new Promise((resolve) => void waiting.set(i, resolve));
    },
  };
}

/** The public methods of `conn`, in an object of another class. */
export function connOfAnotherClass(conn: Conn): ConnLike {
  return new Proxy({} as ConnLike, {
    get(_, name) {
      const value: unknown = name === '@ws/internals' ? undefined : Reflect.get(conn, name);
      return typeof value === 'function' ? value.bind(conn) : value;
    },
  });
}
