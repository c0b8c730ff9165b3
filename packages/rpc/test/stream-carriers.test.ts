// Streams over each kind of connection: a session of a hub, rooms, a ReconnectingConn.
import { BackpressureError, CloseError, CloseSentError, type Conn, connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it } from 'vitest';
import { quietly, series, until } from './pairs.ts';
import {
  agent,
  byHand,
  collect,
  drain,
  failure,
  Log,
  numbers,
  quiet,
  turn,
} from './stream-pairs.ts';

function setUpHub(options: ConstructorParameters<typeof Hub>[0] = {}, client: object = {}) {
  const hub = new Hub(options);
  const errors: unknown[] = [];
  const log = new Log();
  hub.on('error', (_, error) => void errors.push(error));
  hub.on('message', agent.listener<Session>(log.handlers));
  const [near, conn] = connPair({ client, report: (error) => void errors.push(error) });
  const session = hub.add(conn);
  return { hub, errors, log, client: near, session };
}

describe('a stream of a session', () => {
  it('passes all items, in both directions', async () => {
    const { client, session, log } = setUpHub();
    const peer = agent.connect(client, log.handlers);
    expect(await collect(peer.count({ count: 500 }))).toEqual(numbers(500));
    expect(await collect(agent.peer(session).count({ count: 500 }))).toEqual(numbers(500));
  });

  it.each(['close', 'latest'] as const)(
    'waits for a client that reads nothing, and for publications: %s',
    async (overflow) => {
      const { hub, client, session, log, errors } = setUpHub({
        overflow,
        maxQueuedMessages: 8,
      });
      let overflows = 0;
      hub.on('overflow', () => void overflows++);
      for (let id = 0; id < 16; id++) {
        await client.writeJSON({
          jsonrpc: '2.0',
          id,
          method: 'texts',
          params: { length: 20_000 },
        });
      }
      for (let i = 0; i < 200; i++) await turn();
      expect(session.state).toBe('open');
      expect(overflows).toBe(0);
      const made = log.made;
      expect(made).toBeLessThanOrEqual(16 * 7);
      // The client reads: the streams go on where they were.
      const { itemsOf, more } = byHand(client);
      await quiet(client);
      for (let id = 0; id < 16; id++) await more(id, 64);
      await until(() => expect(log.made).toBeGreaterThan(made));
      expect(itemsOf(3).length).toBeGreaterThan(0);
      expect(errors).toEqual([]);
    },
  );

  it.each(['at once', 'later'])(
    'M2 L4 has no hole, and is told, when the hub drops an item %s',
    async (when) => {
      const [client, conn] = connPair();
      const log = new Log();
      const drops: (() => void)[] = [];
      const listener = agent.listener<{ conn: Conn; data: unknown; send(text: string): boolean }>(
        log.handlers,
      );
      // A hub that refuses the fourth item each time, or drops it once.
      const session = {
        conn,
        data: undefined,
        send(text: string) {
          void conn.send(text);
          return true;
        },
        sendWatched(text: string, dropped: () => void) {
          if (text.includes('[3]') && when === 'at once') return false;
          if (text.includes('[3]') && drops.length === 0) {
            drops.push(dropped);
            return true;
          }
          return session.send(text);
        },
      };
      conn.receive((message) => void listener(session, message)).catch(() => {});
      const loop = agent.connect(client, log.handlers).count({ count: 100 });
      const read = drain(loop);
      if (when === 'later') {
        await until(() => expect(drops).toHaveLength(1));
        drops[0]!();
        expect(await read).toEqual({ rest: expect.any(Array), error: undefined });
      } else {
        const { rest, error } = await read;
        expect(rest).toEqual([0, 1, 2]);
        expect(error).toBeInstanceOf(BackpressureError);
        expect(String(error)).toMatch(/count: the item was refused/);
      }
      expect(log.ended).toBe(1);
    },
  );

  it('is ended by hub.close: the signal at once, what was yielded, 1001, and the hub waits', async () => {
    let release = (): void => {};
    const hub = new Hub();
    const reasons: unknown[] = [];
    const handlers = {
      ...new Log().handlers,
      async *texts(_: unknown, { signal }: { signal: AbortSignal }) {
        try {
          yield 'a';
          yield 'b';
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          reasons.push(signal.reason);
        } finally {
          await new Promise<void>((resolve) => (release = resolve));
        }
      },
    };
    hub.on('message', agent.listener<Session>(handlers));
    const [client, conn] = connPair();
    hub.add(conn);
    const loop = agent.connect(client, handlers).texts({ length: 0 });
    expect((await loop.next()).value).toBe('a');
    await quiet(client);
    let closed = false;
    const closing = hub.close({ timeout: 5_000 }).then((result) => {
      closed = true;
      return result;
    });
    await client.closed;
    expect(reasons).toMatchObject([{ message: 'the connection is closing' }]);
    expect((await loop.next()).value).toBe('b');
    expect(await failure(loop.next())).toMatchObject({ closeCode: 1001 });
    for (let i = 0; i < 20; i++) await turn();
    expect(closed).toBe(false);
    release();
    expect(await closing).toMatchObject({ closed: 1, handlersPending: 0 });
  });
});

describe('a stream beside rooms', () => {
  it('passes items and messages on one connection, with the option streams at both ends', async () => {
    const log = new Log();
    const rooms = serveRooms(
      { 'chat/*': { mayJoin: true } },
      { contract: agent, handlers: log.handlers, streams: 2 },
    );
    const live = new ReconnectingConn(async () => {
      const [client, server] = connPair();
      rooms.hub.add(server);
      return client;
    });
    const own = roomsOf(live, { contract: agent, handlers: log.handlers, streams: 1 });
    const messages = own.join('chat/a');
    const [first, second] = [own.peer.count({ count: 1e9 }), own.peer.count({ count: 1e9 })];
    await Promise.all([first.next(), second.next()]);
    expect(await failure(own.peer.count({ count: 1 }).next())).toMatchObject({ code: -32_000 });
    const got = new Set<unknown>();
    void (async () => {
      for await (const item of messages) if (item.kind === 'message') got.add(item.data);
    })().catch(() => {});
    await until(() => expect([...rooms.hub.room('chat/a').members]).toHaveLength(1));
    await rooms.hub.room('chat/a').publishJSON('hello');
    await until(() => expect([...got]).toEqual(['hello']));
    const [session] = rooms.hub.sessions.values();
    const back = rooms.peer(session!).count({ count: 1e9 });
    expect((await back.next()).value).toBe(0);
    expect(await failure(rooms.peer(session!).count({ count: 1 }).next())).toMatchObject({
      code: -32_000,
    });
    await live.close();
    expect(await failure(first.next().then(() => collect(first)))).toBeInstanceOf(CloseError);
    await rooms.hub.close();
  });
});

describe('a stream of a ReconnectingConn', () => {
  function setUpSeries() {
    const log = new Log();
    const { servers, live } = series((server) => {
      quietly(agent.serve(log.handlers)(server));
    });
    return { log, servers, live, peer: agent.connect(live, log.handlers) };
  }

  it('waits for a connection', async () => {
    const { peer, live } = setUpSeries();
    expect(await collect(peer.count({ count: 100 }))).toEqual(numbers(100));
    await live.close();
    const error = await failure(peer.count({ count: 1 }).next());
    expect(error).toBeInstanceOf(CloseSentError);
  });

  it('is over with its connection, and not sent again', async () => {
    const { peer, live, servers, log } = setUpSeries();
    const loop = peer.count({ count: 1e9 });
    await loop.next();
    await quiet(servers[0]!);
    servers[0]!.terminate();
    for (let i = 1; i < 64; i++) expect((await loop.next()).value).toBe(i);
    expect(await failure(loop.next())).toBeInstanceOf(CloseError);
    expect(await collect(peer.count({ count: 3 }))).toEqual([0, 1, 2]);
    expect(servers).toHaveLength(2);
    await until(() => expect(log.ended).toBe(2));
    expect(log.made).toBe(64 + 3);
    await live.close();
  });

  it('that it serves ends with its connection, and gets no message of the next one', async () => {
    const { live, servers, log } = setUpSeries();
    await until(() => expect(servers).toHaveLength(1));
    const first = agent.peer(servers[0]!).count({ count: 1e9 });
    await first.next();
    servers[0]!.terminate();
    await until(() => expect(servers).toHaveLength(2));
    await until(() => expect(log.ended).toBe(1));
    expect(await collect(agent.peer(servers[1]!).count({ count: 300 }))).toEqual(numbers(300));
    await live.close();
  });
});
