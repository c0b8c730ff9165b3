import { type Conn, connPair } from '@ws/conn';
import { contract, event, method, stream } from '@ws/rpc';
import { z } from 'zod';
import { failure } from './pairs.ts';

export { failure };

const names = {
  count: stream(z.object({ count: z.number() }), z.number()),
  texts: stream(z.object({ length: z.number() }), z.string()),
  echo: method(z.string(), z.string()),
  told: event(z.string()),
};

/** Both ends serve the same names. */
export const agent = contract({ server: names, client: names });

export type AgentHandlers = Parameters<typeof agent.connect>[1];

/** What the generators of a test did. */
export class Log {
  made = 0;
  ended = 0;
  readonly reasons: unknown[] = [];

  get handlers(): AgentHandlers {
    return handlersOf(this);
  }
}

function handlersOf(log: Log): AgentHandlers {
  const noted = (signal: AbortSignal): void =>
    signal.addEventListener('abort', () => void log.reasons.push(signal.reason));
  return {
    async *count({ count }, { signal }) {
      noted(signal);
      try {
        for (let i = 0; i < count; i++) {
          log.made++;
          yield i;
        }
      } finally {
        log.ended++;
      }
    },
    async *texts({ length }, { signal }) {
      noted(signal);
      try {
        for (;;) {
          log.made++;
          yield 'x'.repeat(length);
        }
      } finally {
        log.ended++;
      }
    },
    echo: (text) => text,
    told: () => undefined,
  };
}

/** A server of streams, and a client that serves them too. */
export function setUp(
  handlers: Partial<AgentHandlers> = {},
  options: { streams?: number; concurrency?: number } = {},
) {
  const reports: unknown[] = [];
  const log = new Log();
  const [client, server] = connPair({ report: (error) => void reports.push(error) });
  const all = { ...log.handlers, ...handlers };
  const serving = agent.serve(all, options)(server);
  serving.catch(() => {});
  const peer = agent.connect(client, all, options);
  return { client, server, serving, peer, toClient: agent.peer(server), log, reports };
}

/** A server of streams, and a client that speaks JSON-RPC by hand. */
export function setUpRaw(
  handlers: Partial<AgentHandlers> = {},
  options: { streams?: number; concurrency?: number } = {},
) {
  const reports: unknown[] = [];
  const log = new Log();
  const [client, server] = connPair({ report: (error) => void reports.push(error) });
  const serving = agent.serve({ ...log.handlers, ...handlers }, options)(server);
  serving.catch(() => {});
  return { client, server, serving, toClient: agent.peer(server), log, reports, ...byHand(client) };
}

interface Sent {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: { readonly id: unknown; readonly items?: unknown[]; readonly n?: number };
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

/** Sends and reads messages of JSON-RPC. */
export function byHand(conn: Conn) {
  const got: Sent[] = [];
  const received = conn.receive((message) => {
    const sent = message.json() as Sent;
    if (sent.method !== '$/hello') got.push(sent);
  });
  received.catch(() => {});
  const send = (message: object): Promise<void> => conn.writeJSON({ jsonrpc: '2.0', ...message });
  return {
    got,
    ask: (id: unknown, name: string, params: object) => send({ id, method: name, params }),
    more: (id: unknown, n: unknown) => send({ method: '$/more', params: { id, n } }),
    cancel: (id: unknown) => send({ method: '$/cancelRequest', params: { id } }),
    items: (id: unknown, items: unknown) => send({ method: '$/item', params: { id, items } }),
    end: (id: unknown) => send({ id, result: null }),
    itemsOf: (id: unknown) =>
      got.flatMap(({ params }) => (params?.id === id ? (params?.items ?? []) : [])),
    answerTo: (id: unknown) => got.find((one) => one.id === id && one.method === undefined),
  };
}

/** As {@link setUp}, with a loop that has taken one item of `count`. */
export async function begun(handlers: Partial<AgentHandlers> = {}) {
  const both = setUp(handlers);
  const loop = both.peer.count({ count: 1e9 });
  await loop.next();
  return { ...both, loop };
}

/** The items of a loop that fails, and its error. */
export async function drain<T>(items: AsyncIterable<T>): Promise<{ rest: T[]; error: unknown }> {
  const rest: T[] = [];
  const read = async (): Promise<void> => {
    for await (const item of items) rest.push(item);
  };
  return { error: await failure(read()), rest };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export const DONE = { done: true, value: undefined };

export const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Resolves when no message has passed between the ends of a pair for some turns. */
export async function quiet(conn: Conn): Promise<void> {
  const of = (): string => JSON.stringify(conn.stats);
  for (let still = 0, last = ''; still < 10; still++) {
    await turn();
    if (of() !== last) still = 0;
    last = of();
  }
}
