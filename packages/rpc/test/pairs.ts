import { type Conn, connPair } from '@ws/conn';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, event, method } from '@ws/rpc';
import { afterEach, beforeEach, vi } from 'vitest';
import { z } from 'zod';

/** The contract of the tests. */
export const chat = contract({
  server: {
    add: method(z.tuple([z.number(), z.number()]), z.number()),
    say: method(z.object({ text: z.string() }), z.object({ at: z.number() })),
    twice: method(z.string(), z.string()),
    nothing: method(z.undefined(), z.void()),
    typing: event(z.object({ room: z.string() })),
  },
  client: {
    said: event(z.object({ text: z.string() })),
    confirm: method(z.object({ question: z.string() }), z.boolean()),
  },
});

type ServerHandlers = Parameters<typeof chat.serve>[0];
type ClientHandlers = Parameters<typeof chat.connect>[1];

/** Handlers that a test replaces where it looks. */
export const serverHandlers: ServerHandlers = {
  add: ([a, b]) => a + b,
  say: ({ text }) => ({ at: text.length }),
  twice: (text) => text + text,
  nothing: () => undefined,
  typing: () => undefined,
};

export const clientHandlers: ClientHandlers = {
  said: () => undefined,
  confirm: () => true,
};

/** A server of `chat` and a client, in this process. */
export function setUp({
  server = {},
  client = {},
  concurrency = 1,
}: {
  server?: Partial<ServerHandlers>;
  client?: Partial<ClientHandlers>;
  concurrency?: number;
} = {}) {
  const reports: unknown[] = [];
  const [clientConn, serverConn] = connPair({ report: (error) => void reports.push(error) });
  const serving = chat.serve({ ...serverHandlers, ...server }, { concurrency })(serverConn);
  serving.catch(() => {});
  const peer = chat.connect(clientConn, { ...clientHandlers, ...client });
  return { clientConn, serverConn, serving, peer, toClient: chat.peer(serverConn), reports };
}

/** A server of `chat`, and a client that speaks JSON-RPC by hand. */
export function setUpRaw(server: Partial<ServerHandlers> = {}, concurrency = 1) {
  const reports: unknown[] = [];
  const [client, serverConn] = connPair({ report: (error) => void reports.push(error) });
  const serving = chat.serve({ ...serverHandlers, ...server }, { concurrency })(serverConn);
  serving.catch(() => {});
  const next = async (): Promise<unknown> => (await client.readMessage()).json();
  const ask = async (message: unknown): Promise<unknown> => {
    await client.send(typeof message === 'string' ? message : JSON.stringify(message));
    return next();
  };
  return { client, serverConn, serving, next, ask, toClient: chat.peer(serverConn), reports };
}

/**
 * A ReconnectingConn, and the servers of its connections, one after the other.
 *
 * @param serve - Gets each server.
 */
export function series(serve: (server: Conn) => void = () => {}) {
  const servers: Conn[] = [];
  const dial = async (): Promise<Conn> => {
    const [client, server] = connPair();
    servers.push(server);
    serve(server);
    return client;
  };
  return { servers, live: new ReconnectingConn(dial, { minDelay: 1, maxDelay: 1 }) };
}

/** The next message of a client of a contract, after its hello. */
export async function nextOf(server: Conn): Promise<unknown> {
  for (;;) {
    const message: unknown = (await server.readMessage()).json();
    if ((message as { method?: unknown }).method !== '$/hello') return message;
  }
}

/** Resolves when all messages between the ends of a pair have arrived. */
export async function settled(conn: Conn): Promise<void> {
  await conn.ping();
}

/** Resolves when `holds` no longer throws, looking once a turn: a fake clock has no effect on it. */
export async function until(holds: () => unknown): Promise<void> {
  for (let turns = 0; ; turns++) {
    try {
      holds();
      return;
    } catch (error) {
      if (turns === 100_000) throw error;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** The text of a request. */
export const call = (id: unknown, name: string, params: unknown): string =>
  JSON.stringify({ jsonrpc: '2.0', id, method: name, params });

/** The answer to a message that is none. */
export const INVALID = {
  jsonrpc: '2.0',
  id: null,
  error: { code: -32_600, message: 'Invalid Request' },
};

export const never = (): Promise<never> => new Promise(() => {});

/** A handler that throws `error`. */
export const throws = (error: unknown) => (): never => {
  throw error;
};

/** The error of a promise that rejects. */
export const failure = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

/** Each test of the file, or of the `describe`, has a fake clock. */
export function useFakeClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => void vi.useRealTimers());
}

/** Nothing awaits `promise`, however it ends. */
export function quietly(promise: Promise<unknown>): void {
  promise.catch(() => {});
}
