import { type Conn, connPair } from '@ws/conn';
import type { HubOptions } from '@ws/hub';
import { type RoomTable, serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import { onTestFinished } from 'vitest';
import { z } from 'zod';

export const Text = z.object({ text: z.string() });

export const TABLE: RoomTable<string> = {
  'chat/*': { schema: Text, history: true, mayJoin: true, mayPublish: true },
};

type Node = ReturnType<typeof serveRooms<string>>;

/** A server of rooms in this process, with what its hub reports. It closes after the test. */
export function startNode(
  table: RoomTable<string> = TABLE,
  hub: Omit<HubOptions<string>, 'rooms' | 'mayJoin' | 'overflow'> = {},
) {
  const node = serveRooms<string>(table, { hub });
  const errors: unknown[] = [];
  node.hub.on('error', (_, error) => void errors.push(error));
  onTestFinished(async () => void (await node.hub.close({ timeout: 1 })));
  return { node, errors, hub: node.hub };
}

/**
 * A client with connections that the test breaks. Its dials go to the node that `choose` returns. It
 * closes after the test.
 */
export function startClient(
  choose: Node | (() => Node),
  data: string | (() => string) = 'ann',
  options: Parameters<typeof connPair>[0] = {},
) {
  const conns: Conn[] = [];
  let isAway = false;
  const live = new ReconnectingConn(
    async () => {
      if (isAway) throw new Error('the node is away');
      const node = typeof choose === 'function' ? choose() : choose;
      const [client, conn] = connPair({ report: () => {}, ...options });
      conns.push(client);
      node.hub.add(conn as Conn<string>, { data: typeof data === 'string' ? data : data() });
      return client;
    },
    { minDelay: 1, maxDelay: 1 },
  );
  onTestFinished(async () => void (await live.close()));
  const rooms = roomsOf(live, { schemas: { 'chat/*': Text } });
  const cut = (): void => conns.at(-1)!.terminate();
  /** The client is cut off, and comes back after `change`. */
  const away = async (change: () => Promise<void>): Promise<void> => {
    isAway = true;
    cut();
    await change();
    isAway = false;
  };
  return { live, rooms, conns, cut, away };
}

/** The next item of a loop that is not `live`. */
export async function nextOf<Item>(loop: AsyncIterator<Item, unknown>): Promise<Item> {
  for (;;) {
    const { value } = await loop.next();
    if ((value as { kind?: string } | undefined)?.kind !== 'live') return value as Item;
  }
}

/** The next items of a loop: a text, `gap` or `state`. `live` is left out. */
export async function read(
  loop: AsyncIterator<RoomMessage<{ text: string }>, unknown>,
  count: number,
): Promise<string[]> {
  const items: string[] = [];
  while (items.length < count) {
    const { done, value } = await loop.next();
    if (done) return [...items, 'end'];
    const item = value as RoomMessage<{ text: string }>;
    if (item.kind !== 'live') items.push(item.kind === 'message' ? item.data.text : item.kind);
  }
  return items;
}

/** A client that speaks JSON-RPC by hand. */
export function startRaw(node: Node, data = 'eve') {
  const [client, conn] = connPair({ report: () => {} });
  const session = node.hub.add(conn as Conn<string>, { data });
  let id = 0;
  const next = async (): Promise<Record<string, unknown>> =>
    (await client.readMessage()).json() as Record<string, unknown>;
  /** Sends a request or, without an id, an event. */
  const send = (method: string, params: unknown, id?: number): Promise<void> =>
    client.writeJSON({ jsonrpc: '2.0', id, method, params });
  /** Resolves to the answer, after the events before it. */
  const ask = async (method: string, params: unknown) => {
    await send(method, params, ++id);
    const events: Record<string, unknown>[] = [];
    for (;;) {
      const message = await next();
      if (message['id'] === id) {
        const { result, error } = message as { result?: unknown; error?: { code: number } };
        return { result, error, events };
      }
      events.push(message);
    }
  };
  return { client, session, next, send, ask };
}

/** A `mayJoin` that never answers, and a promise that resolves when it is called. */
export function hangingMayJoin() {
  let isAsked = (): void => {};
  const asked = new Promise<void>((resolve) => (isAsked = resolve));
  const mayJoin = (): Promise<boolean> => {
    isAsked();
    return new Promise(() => {});
  };
  return { mayJoin, asked };
}

/** Waits for turns of the event loop. */
export const turns = async (count = 20): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
