// A server of rooms by hand: a test decides what it sends, and in which order.
import { type Conn, connPair } from '@ws/conn';
import { ReconnectingConn } from '@ws/reconnect';
import { type JoinOptions, type Position, type RoomMessage, roomsOf } from '@ws/rpc/rooms';
import { expect, onTestFinished } from 'vitest';

export const at = (epoch: string, offset: number): Position => ({ epoch, offset });

interface Request {
  readonly id: number;
  readonly method: string;
  readonly params: { readonly since?: Position; readonly last?: number };
}

interface Answer {
  readonly complete: boolean;
  readonly position?: Position | undefined;
  readonly missed?: number;
  readonly state?: boolean;
}

/** A page with loops over the room `r`, and the server of its connections. */
export function startByHand() {
  const servers: Conn[] = [];
  const requests: { readonly request: Request; readonly server: Conn }[] = [];
  const live = new ReconnectingConn(
    async () => {
      const [client, server] = connPair({ report: () => {} });
      servers.push(server);
      void server
        .receive((message) => {
          const request = message.json() as Request;
          if (request.method !== '$/hello') requests.push({ request, server });
        })
        .catch(() => {});
      return client;
    },
    { minDelay: 1, maxDelay: 1 },
  );
  onTestFinished(async () => void (await live.close()));
  const rooms = roomsOf(live);
  const send = (method: string, params: object): Promise<void> =>
    servers.at(-1)!.writeJSON({ jsonrpc: '2.0', method, params: { room: 'r', ...params } });
  return {
    live,
    /** Begins a loop. Returns its items: data, or a kind. */
    loop: (options?: JoinOptions): string[] => {
      const items: string[] = [];
      void read(rooms.join('r', options), items);
      return items;
    },
    /** Begins a loop that the test reads. */
    slowLoop: (options?: JoinOptions) => rooms.join('r', options),
    /** Waits for the next join. */
    asked: async () => {
      await expect.poll(() => requests.length, { interval: 1 }).toBeGreaterThan(0);
      const { request, server } = requests.shift()!;
      expect(request.method).toBe('room.join');
      const answer = async ({ missed = 0, ...result }: Answer): Promise<void> => {
        await server.writeJSON({ jsonrpc: '2.0', id: request.id, result: { missed, ...result } });
        await turns();
      };
      return { ...request.params, answer };
    },
    /** Whether a request waits. */
    hasRequests: (): boolean => requests.length > 0,
    /** Sends the messages `epoch from` to `epoch to`. */
    messages: async (epoch: string, from: number, to = from): Promise<void> => {
      for (let n = from; n <= to; n++) {
        await send('room.message', { position: at(epoch, n), data: `${epoch}${n}` });
      }
      await turns();
    },
    gap: (params: object = {}) => send('room.gap', params),
    state: (data: unknown, position: Position) => send('room.state', { data, position }),
    /** Ends the connection. */
    cut: () => servers.at(-1)!.terminate(),
  };
}

export async function read(
  loop: AsyncIterator<RoomMessage<unknown>, unknown>,
  items: string[],
): Promise<void> {
  for (;;) {
    const { done, value } = await loop.next();
    if (done) return;
    items.push(textOf(value));
  }
}

export function textOf(item: RoomMessage<unknown>): string {
  if (item.kind === 'message') return String(item.data);
  return item.kind === 'state' ? `state ${String(item.data)}` : item.kind;
}

/** Waits until all sent bytes have arrived. */
export async function turns(count = 10): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}
