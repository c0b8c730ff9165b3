import { type Conn, TextMessage } from '@ws/conn';
import type { NatsSubscription } from '@ws/hub/nats';
import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  becomes,
  cutOff,
  type Node,
  natsNode,
  natsPair,
  natsServer,
  reconnect,
  texts,
} from './setup.ts';

describe.skipIf(lacksDaemon('nats-server'))('natsBackplane', () => {
  nothingLeft();

  it('delivers the messages of all nodes to all rooms, without a gap', async () => {
    const server = await natsServer();
    const nodes = [await natsNode(server), await natsNode(server), await natsNode(server)];
    const clients = await Promise.all(nodes.map((node) => node.enter('r')));
    for (const [i, { hub }] of nodes.entries()) await hub.room('r').publish(`from ${i}`);
    nodes[0]!.hub.broadcast('to all');
    for (const { client } of clients) {
      expect((await texts(client, 4)).toSorted()).toEqual(['from 0', 'from 1', 'from 2', 'to all']);
    }
    expect(nodes.flatMap(({ gaps, errors }) => [...gaps, ...errors])).toEqual([]);
  });

  it('keeps rooms of any name apart', async () => {
    const { a, b } = await natsPair();
    const names = [
      '>',
      '*',
      'a.b',
      'a.*',
      'a b',
      '\r\nPUB x 0\r\n',
      '\ud800',
      '\ud801',
      'grüße 🌍',
    ];
    const clients = await Promise.all(names.map((name) => b.enter(name)));
    for (const [i, name] of names.entries()) await a.hub.room(name).publish(`in ${i}`);
    for (const [i, { client }] of clients.entries()) {
      expect(await texts(client, 1)).toEqual([`in ${i}`]);
    }
    expect(b.hub.stats.delivered).toBe(names.length);
  });

  it('keeps the order of a publisher in a through room', async () => {
    const options = { rooms: { r: { delivery: 'through' as const } } };
    const { a, b } = await natsPair(options);
    const clients = [await a.enter('r'), await b.enter('r')];
    const sent = Array.from({ length: 500 }, (_, i) => String(i));
    await Promise.all(sent.map((text) => a.hub.room('r').publish(text)));
    for (const { client } of clients) expect(await texts(client, 500)).toEqual(sent);
  });

  it('reports a cut network once for each room, and continues', async () => {
    const { a, b } = await natsPair();
    const { client } = await a.enter('r', 's');
    await b.hub.room('r').publish('1');
    // The server confirms a publication before each subscriber has it.
    expect(await texts(client, 1)).toEqual(['1']);
    await cutOff(a);
    await a.hub.room('r').publish('sent later');
    await b.hub.room('r').publish('lost');
    await reconnect(a);
    await b.hub.room('r').publish('2');
    expect(await texts(client, 2)).toEqual(['sent later', '2']);
    expect(a.gaps.toSorted()).toEqual(['r', 's']);
    expect(a.errors).toEqual([
      'BackplaneError: websocket: the backplane is away: Error: NATS is disconnected',
    ]);
    expect([b.gaps, b.errors]).toEqual([[], []]);
  });

  it('continues after the server was killed and restarted', async () => {
    const { server, a, b } = await natsPair();
    const clients = [await a.enter('r'), await b.enter('r')];
    for (let round = 1; round <= 3; round++) {
      await server.stop();
      await Promise.all([becomes(a, 'down'), becomes(b, 'down')]);
      await server.start();
      await Promise.all([becomes(a, 'up'), becomes(b, 'up')]);
      await a.hub.room('r').publish(`round ${round}`);
      for (const { client } of clients) expect(await texts(client, 1)).toEqual([`round ${round}`]);
      for (const { gaps } of [a, b]) expect(gaps).toHaveLength(round);
    }
  });

  it('subscribes to rooms that are joined during an outage', async () => {
    const { a, b } = await natsPair();
    const { client, session } = await a.enter();
    a.relay.cut();
    await becomes(a, 'down');
    void session.join('r');
    await reconnect(a);
    await b.hub.room('r').publish('after');
    expect(await texts(client, 1)).toEqual(['after']);
    expect(a.errors).toHaveLength(1);
  });

  it('reports a gap when the server disconnects the node as a slow consumer', async () => {
    const server = await natsServer(
      'max_payload: 65536\nmax_pending: 100000\nwrite_deadline: "200ms"',
    );
    // A member that was closed for being slow would get no report of the gap.
    const a = await natsNode(server, { overflow: 'latest' });
    const b = await natsNode(server);
    const { client } = await a.enter('r');
    const last = lastText(client);
    a.relay.freeze();
    // More than the buffers of the sockets hold.
    const big = new Uint8Array(60_000);
    for (let i = 0; i < 400; i++) await b.hub.room('r').publish(big);
    a.relay.mend();
    await expect.poll(() => a.gaps).toEqual(['r']);
    await b.hub.room('r').publish('end');
    expect(await last).toBe('end');
    expect(a.gaps).toEqual(['r']);
  });

  it('rejects messages that the server does not permit or that are too large', async () => {
    const server = await natsServer(`
      max_payload: 1000
      authorization { users: [
        { user: a, permissions: { publish: { deny: ["*.hub.live.room/secret", "$JS.>"] }, subscribe: { deny: "test.hub.live.room/hidden" } } }
      ] }`);
    const a = await natsNode(server, { connect: { user: 'a' } });
    const publish = (name: string, data: string) => a.hub.room(name).publish(data);
    await expect(publish('secret', 'x')).rejects.toMatchObject({
      cause: { message: expect.stringContaining('Permissions Violation for Publish') },
    });
    await publish('open', 'x');
    await expect(publish('open', 'x'.repeat(1_000))).rejects.toMatchObject({
      cause: { message: expect.stringContaining('max_payload') },
    });
    await a.enter('hidden');
    await expect.poll(() => a.errors.join()).toContain('Permissions Violation for Subscr');
    await a.hub.close();
  });

  it('subscribes again when a subscription ends, and reports a gap', async () => {
    const server = await natsServer();
    const subscriptions = new Map<string, NatsSubscription>();
    const a = await natsNode(server, {
      wrap: (connection) => ({
        publish: (subject, payload) => connection.publish(subject, payload),
        flush: () => connection.flush(),
        status: () => connection.status(),
        isClosed: () => connection.isClosed(),
        subscribe(subject, options) {
          const subscription = connection.subscribe(subject, options);
          subscriptions.set(subject, subscription);
          return subscription;
        },
      }),
    });
    const b = await natsNode(server);
    const { client } = await a.enter('r');
    await subscriptions.get('test.hub.live.room/r')!.drain();
    await expect.poll(() => a.gaps).toEqual(['r']);
    expect(a.errors).toEqual([expect.stringContaining('the subscription has ended')]);
    await b.hub.room('r').publish('again');
    expect(await texts(client, 1)).toEqual(['again']);
  });

  it('keeps one subscription however often sessions leave and join', async () => {
    const server = await natsServer();
    const a = await natsNode(server);
    const { session } = await a.enter('r');
    const before = subscriptionCount(a);
    for (let i = 0; i < 5; i++) {
      session.leave('r');
      void session.join('r');
    }
    await a.connection.flush();
    expect(subscriptionCount(a)).toBe(before);
  });

  it('leaves the connection to the application on close', async () => {
    const { a, b } = await natsPair();
    const { client } = await b.enter('r');
    await a.enter('r');
    const own: string[] = [];
    a.connection.subscribe('own', { callback: (_, { data }) => void own.push(String(data)) });
    const before = a.connection.stats().inMsgs;
    void a.hub.room('r').publish('last words');
    await a.hub.close();
    expect(await texts(client, 1)).toEqual(['last words']);
    expect(a.connection.isClosed()).toBe(false);
    b.connection.publish('own', 'x');
    await b.hub.room('r').publish('too late');
    await b.connection.flush();
    await a.connection.flush();
    expect(own).toEqual(['x']);
    // The message of the hub, the message of the application, and perhaps a digest.
    expect(a.connection.stats().inMsgs - before).toBeLessThanOrEqual(3);
    expect(listeners(a)).toBe(0);
  });

  it('closes while NATS is away', async () => {
    const server = await natsServer();
    const a = await natsNode(server);
    await a.enter('r');
    await cutOff(a);
    await a.hub.close();
    expect(listeners(a)).toBe(0);
    a.relay.mend();
    await expect
      .poll(() =>
        a.connection.rtt().then(
          () => true,
          () => false,
        ),
      )
      .toBe(true);
    expect(subscriptionCount(a)).toBe(0);
  });

  it.each(['close', 'drain'] as const)(
    'reports a connection that the application ends (%s)',
    async (end) => {
      const server = await natsServer();
      const a = await natsNode(server);
      const { session } = await a.enter('r');
      await a.connection[end]();
      await becomes(a, 'down');
      await expect.poll(() => a.gaps).toEqual(['r']);
      await a.hub.room('r').publish('x');
      void session.join('s');
      await a.hub.close();
      expect(a.errors.join()).toContain('1 message reached this node only');
      expect(a.errors.join()).toContain('maxReconnectAttempts');
    },
  );
});

/** The first text message. */
async function lastText(client: Conn): Promise<string> {
  for (;;) {
    const message = await client.readMessage();
    if (message.type === TextMessage) return message.text();
  }
}

/** Iterators of the connection's status. */
function listeners({ connection }: Node): number {
  return (connection as unknown as { protocol: { listeners: unknown[] } }).protocol.listeners
    .length;
}

function subscriptionCount({ connection }: Node): number {
  const { protocol } = connection as unknown as {
    protocol: { subscriptions: { size(): number } };
  };
  return protocol.subscriptions.size();
}
