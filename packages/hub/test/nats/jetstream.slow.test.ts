import { execFileSync } from 'node:child_process';
import { renameSync, rmSync } from 'node:fs';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { Hub, type HubOptions, type Position } from '@ws/hub';
import { natsBackplane } from '@ws/hub/nats';
import { lacksDaemon, nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { JetStreamClient, NatsMessage } from '../../src/nats/client.ts';
import {
  becomes,
  cutOff,
  type Node,
  type NodeOptions,
  natsNode,
  natsPair,
  natsServer,
  reconnect,
  type TestServer,
  texts,
} from './setup.ts';

const STREAM = 'test_hub';
const rooms: HubOptions['rooms'] = {
  r: { history: { size: 100, ttl: 60_000 } },
  t: { history: { size: 100, ttl: 60_000 }, delivery: 'through' },
  'never used': { history: true },
};

const node = (server: TestServer, options: NodeOptions = {}): Promise<Node> =>
  natsNode(server, { jetstream: true, rooms, ...options });

const pair = () => natsPair({ jetstream: true, rooms });

async function kept(hub: Hub, room: string, since?: Position, limit?: number) {
  const { messages, complete } = await hub.room(room).history({ since, limit });
  return { texts: messages.map(({ message }) => message.text()), complete };
}

function publications(hub: Hub, room: string, messages: readonly string[]) {
  return messages.map((text) => hub.room(room).publish(text));
}

function publishAll(hub: Hub, room: string, messages: readonly string[]) {
  return Promise.all(publications(hub, room, messages));
}

/** A connection that passes its messages through a function, which may hold or drop them. */
function receivingBy(
  receives: (message: NatsMessage, receive: (message: NatsMessage) => void) => void,
): NonNullable<NodeOptions['wrap']> {
  return (connection) => ({
    publish: (subject, payload) => connection.publish(subject, payload),
    flush: () => connection.flush(),
    status: () => connection.status(),
    isClosed: () => connection.isClosed(),
    subscribe: (subject, { callback }) =>
      connection.subscribe(subject, {
        callback: (error, message) => {
          if (error !== null) callback(error, message);
          else receives(message, (received) => callback(null, received));
        },
      }),
  });
}

describe.skipIf(lacksDaemon('nats-server'))('natsBackplane with JetStream', () => {
  nothingLeft();

  it('keeps the history of rooms, with growing positions of one epoch', async () => {
    const { a, b } = await pair();
    const { client } = await b.enter('r');
    const first = await a.hub.room('r').publish('1');
    // Otherwise '2', which does not wait for NATS, could be the first.
    expect(await texts(client, 1)).toEqual(['1']);
    // Other rooms use the sequences between.
    await a.hub.room('t').publish('other');
    await b.hub.room('r').publish('2');
    const last = await a.hub.room('r').publish('3');
    expect(await texts(client, 2)).toEqual(['2', '3']);
    expect(last!.epoch).toBe(first!.epoch);
    expect(last!.offset).toBeGreaterThan(first!.offset);
    for (const { hub } of [a, b]) {
      expect(await kept(hub, 'r')).toEqual({ texts: ['1', '2', '3'], complete: true });
      expect(await kept(hub, 'r', first)).toEqual({ texts: ['2', '3'], complete: true });
      expect(await kept(hub, 'r', last)).toEqual({ texts: [], complete: true });
      expect(await kept(hub, 'r', first, 1)).toEqual({ texts: ['2'], complete: false });
      expect(await kept(hub, 'r', undefined, 2)).toEqual({ texts: ['2', '3'], complete: false });
      expect(await kept(hub, 'never used')).toEqual({ texts: [], complete: true });
      const strange = { epoch: 'of another stream', offset: first!.offset };
      expect(await kept(hub, 'r', strange)).toEqual({ texts: ['1', '2', '3'], complete: false });
    }
    expect([a, b].flatMap(({ gaps, errors }) => [...gaps, ...errors])).toEqual([]);
  });

  it('delivers a through room in one order to all nodes', async () => {
    const server = await natsServer();
    const nodes = [await node(server), await node(server), await node(server)];
    const clients = await Promise.all(nodes.map((each) => each.enter('t')));
    // The server may swap two messages. A node notices it from its second message on.
    await nodes[0]!.hub.room('t').publish('first');
    for (const { client } of clients) expect(await texts(client, 1)).toEqual(['first']);
    const sent = await Promise.all(
      nodes.map(({ hub }, i) =>
        publishAll(
          hub,
          't',
          Array.from({ length: 100 }, (_, n) => `${i}:${n}`),
        ),
      ),
    );
    const orders = await Promise.all(clients.map(({ client }) => texts(client, 300)));
    expect(orders[1]).toEqual(orders[0]);
    expect(orders[2]).toEqual(orders[0]);
    for (const i of [0, 1, 2]) {
      const own = orders[0]!.filter((text) => text.startsWith(`${i}:`));
      expect(own).toEqual(Array.from({ length: 100 }, (_, n) => `${i}:${n}`));
    }
    expect(new Set(sent.flat().map((position) => position!.offset)).size).toBe(300);
    expect(nodes.flatMap(({ gaps, errors }) => [...gaps, ...errors])).toEqual([]);
  });

  it('repairs an outage of the network from the stream, without a gap', async () => {
    const { a, b } = await pair();
    const { client } = await a.enter('r');
    await b.hub.room('r').publish('before');
    expect(await texts(client, 1)).toEqual(['before']);
    await cutOff(a);
    await publishAll(b.hub, 'r', ['1', '2', '3']);
    await reconnect(a);
    await b.hub.room('r').publish('after');
    expect(await texts(client, 4)).toEqual(['1', '2', '3', 'after']);
    expect(a.gaps).toEqual([]);
  });

  it.each(['r', 't'])(
    'delivers the messages of room %s that arrive in the wrong order',
    async (room) => {
      const server = await natsServer();
      let swapping = false;
      let late: NatsMessage | undefined;
      const a = await node(server, {
        wrap: receivingBy((message, receive) => {
          if (swapping && late === undefined) late = message;
          else receive(message);
          if (!swapping || late === undefined || late === message) return;
          receive(late);
          swapping = false;
        }),
      });
      const b = await node(server);
      const { client } = await a.enter(room);
      await b.hub.room(room).publish('1');
      expect(await texts(client, 1)).toEqual(['1']);
      swapping = true;
      await publishAll(b.hub, room, ['2', '3']);
      await expect.poll(() => swapping).toBe(false);
      await b.hub.room(room).publish('4');
      expect(await texts(client, 3)).toEqual(['2', '3', '4']);
      // Answered after the question whether the stream was created again.
      await jetstreamManager(a.connection);
      expect(a.hub.stats.backplane).toBe('up');
      expect([...a.gaps, ...a.errors]).toEqual([]);
    },
  );

  it('repairs a message that did not arrive', async () => {
    const server = await natsServer();
    let losing = false;
    const a = await node(server, {
      wrap: receivingBy((message, receive) => {
        if (!losing) receive(message);
      }),
    });
    const b = await node(server);
    const { client } = await a.enter('r');
    await b.hub.room('r').publish('1');
    expect(await texts(client, 1)).toEqual(['1']);
    losing = true;
    await publishAll(b.hub, 'r', ['2', '3']);
    await a.connection.flush();
    losing = false;
    await b.hub.room('r').publish('4');
    expect(await texts(client, 3)).toEqual(['2', '3', '4']);
    expect(a.gaps).toEqual([]);
  });

  it('keeps history and offsets when the server is killed', async () => {
    const { server, a, b } = await pair();
    const { client } = await a.enter('r');
    const first = await b.hub.room('r').publish('1');
    expect(await texts(client, 1)).toEqual(['1']);
    await server.stop('SIGKILL');
    await Promise.all([becomes(a, 'down'), becomes(b, 'down')]);
    const waits = b.hub.room('r').publish('waits');
    await server.start();
    await Promise.all([becomes(a, 'up'), becomes(b, 'up'), waits]);
    await b.hub.room('r').publish('2');
    expect(await texts(client, 2)).toEqual(['waits', '2']);
    expect(await kept(a.hub, 'r', first)).toEqual({ texts: ['waits', '2'], complete: true });
    expect([a.gaps, b.gaps]).toEqual([[], []]);
  });

  it('reports a gap and begins a new epoch when the server has lost its disk', async () => {
    const { server, a, b } = await pair();
    const { client } = await a.enter('r');
    const first = await b.hub.room('r').publish('1');
    await b.hub.room('r').publish('2');
    expect(await texts(client, 2)).toEqual(['1', '2']);
    await server.stop();
    await Promise.all([becomes(a, 'down'), becomes(b, 'down')]);
    rmSync(`${server.store}/jetstream`, { recursive: true });
    await server.start();
    await Promise.all([becomes(a, 'up'), becomes(b, 'up')]);
    await expect.poll(() => a.gaps).toEqual(['r']);
    await publishAll(b.hub, 'r', ['3', '4', '5']);
    expect(await texts(client, 3)).toEqual(['3', '4', '5']);
    expect(await kept(a.hub, 'r', first)).toEqual({ texts: ['3', '4', '5'], complete: false });
    expect(a.gaps).toEqual(['r']);
  });

  it('begins a new epoch when the stream has lost its last messages', async () => {
    const { server, a, b } = await pair();
    const { client } = await a.enter('r');
    const first = await b.hub.room('r').publish('1');
    await server.stop('SIGTERM');
    const [stream, copy] = [`${server.store}/jetstream`, `${server.store}/copy`];
    execFileSync('cp', ['-a', stream, copy]);
    await server.start();
    await Promise.all([becomes(a, 'up'), becomes(b, 'up')]);
    await publishAll(b.hub, 'r', ['2', '3']);
    expect(await texts(client, 3)).toEqual(['1', '2', '3']);
    await server.stop();
    await Promise.all([becomes(a, 'down'), becomes(b, 'down')]);
    rmSync(stream, { recursive: true });
    renameSync(copy, stream);
    await server.start();
    await Promise.all([becomes(a, 'up'), becomes(b, 'up')]);
    await publishAll(b.hub, 'r', ['2 again', '3 again', '4']);
    expect(await texts(client, 3)).toEqual(['2 again', '3 again', '4']);
    expect(a.gaps).toEqual(['r']);
    // The messages of the present epoch only: the client has those of the earlier one.
    const missed = await kept(a.hub, 'r', first);
    expect(missed).toEqual({ texts: ['2 again', '3 again', '4'], complete: false });
    const all = await kept(a.hub, 'r', { epoch: '', offset: 0 });
    expect(all).toEqual({ texts: ['1', '2 again', '3 again', '4'], complete: false });
    expect((await kept(b.hub, 'r', undefined, 4)).texts).toEqual(all.texts);
  });

  it('B2 keeps the epoch when the bounds are raised between two restarts', async () => {
    const server = await natsServer();
    const small = { rooms: { r: { history: { size: 10 } }, large: { history: { size: 900 } } } };
    const a = await node(server, small);
    const first = await a.hub.room('r').publish('1');
    await a.hub.room('r').publish('2');
    for (const end of ['raise', 'look']) {
      await server.stop('SIGTERM');
      await becomes(a, 'down');
      await server.start();
      await becomes(a, 'up');
      if (end === 'raise') await a.hub.room('large').publish('x');
    }
    expect(await kept(a.hub, 'r', first)).toEqual({ texts: ['2'], complete: true });
    expect(a.gaps).toEqual([]);
  });

  it('B8 makes one new epoch of a deleted stream while its rooms are read and published to', async () => {
    const { a, b } = await pair();
    const { client } = await a.enter('r');
    const first = (await b.hub.room('r').publish('1'))!;
    expect(await texts(client, 1)).toEqual(['1']);
    const manager = await jetstreamManager(b.connection);
    await manager.streams.delete(STREAM);
    const work = [a, b].flatMap(({ hub }) => [
      ...Array.from({ length: 20 }, (_, i) => kept(hub, 'r', i % 2 === 0 ? first : undefined)),
      ...publications(hub, 't', ['x', 'y', 'z']),
      ...publications(hub, 'r', ['x']),
    ]);
    // The stream may be away during some of them.
    await Promise.allSettled(work);
    await Promise.all([becomes(a, 'up'), becomes(b, 'up')]);
    await b.hub.room('r').publish('last');
    const { config } = await manager.streams.info(STREAM);
    expect(config.description).toMatch(/, numbering 1 after 0$/);
    const [one, two] = await Promise.all([kept(a.hub, 'r', first), kept(b.hub, 'r', first)]);
    expect(one).toEqual(two);
    expect(one.complete).toBe(false);
    expect(one.texts.at(-1)).toBe('last');
    expect(one.texts).not.toContain('1');
  });

  it('creates a deleted stream again, with a gap', async () => {
    const { a, b } = await pair();
    const { client } = await a.enter('r');
    const first = await b.hub.room('r').publish('1');
    const manager = await jetstreamManager(b.connection);
    await manager.streams.delete(STREAM);
    await expect(b.hub.room('r').publish('lost')).rejects.toThrow('refused a message');
    await becomes(b, 'up');
    const second = await b.hub.room('r').publish('2');
    expect(second!.epoch).not.toBe(first!.epoch);
    await expect.poll(() => a.errors.join()).toContain('the stream was created again');
    await becomes(a, 'up');
    // '2' may arrive before the node knows the new stream, and then has a gap before it too.
    await expect.poll(() => a.gaps.join()).toMatch(/^r(,r)?$/);
    await b.hub.room('r').publish('3');
    // The repair does not know which messages of the new stream are duplicates.
    const received = await texts(client, 2);
    expect(received[0]).toBe('1');
    expect(['2', '3']).toContain(received[1]);
  });

  it('has the largest size and ttl of all rooms as bounds of the stream', async () => {
    const server = await natsServer();
    const own = {
      r: { history: { size: 2, ttl: 60_000 } },
      s: { history: { size: 3, ttl: 90_000 } },
    };
    const a = await node(server, { rooms: own });
    const positions = await publishAll(a.hub, 's', ['1', '2', '3', '4']);
    await a.hub.room('r').publish('r');
    const manager = await jetstreamManager(a.connection);
    const { config } = await manager.streams.info(STREAM);
    expect(config).toMatchObject({ max_msgs_per_subject: 3, max_age: 90_000_000_000 });
    expect(await kept(a.hub, 's', positions[1])).toEqual({ texts: ['3', '4'], complete: true });
    expect(await kept(a.hub, 's', positions[0])).toEqual({
      texts: ['2', '3', '4'],
      complete: false,
    });
    expect(await kept(a.hub, 's')).toEqual({ texts: ['2', '3', '4'], complete: false });
    await manager.streams.purge(STREAM);
    expect(await kept(a.hub, 's', positions[3])).toEqual({ texts: [], complete: false });
  });

  it('keeps the order of publications while the bounds of the stream change', async () => {
    const { a, b } = await pair();
    const { client } = await b.enter('t');
    const sent = Array.from({ length: 50 }, (_, i) => String(i));
    await publishAll(a.hub, 't', sent);
    expect(await texts(client, 50)).toEqual(sent);
  });

  it('keeps the highest bounds of two nodes that raise them at once', async () => {
    const server = await natsServer();
    const low = await node(server, { rooms: { low: { history: { size: 10, ttl: 10_000 } } } });
    const high = await node(server, { rooms: { high: { history: { size: 5_000, ttl: 60_000 } } } });
    await Promise.all([low.hub.room('low').publish('1'), high.hub.room('high').publish('1')]);
    const manager = await jetstreamManager(low.connection);
    const { config } = await manager.streams.info(STREAM);
    expect(config).toMatchObject({ max_msgs_per_subject: 5_000, max_age: 60_000_000_000 });
  });

  it('serves 3,000 reads at once, while publications go through', async () => {
    const server = await natsServer();
    const a = await node(server, { rooms: { '*': { history: { size: 1_000 } } } });
    for (let i = 0; i < 50; i++) {
      const rooms = Array.from({ length: 100 }, (_, room) => a.hub.room(`r${room}`));
      await Promise.all(rooms.map((room) => room.publish(`${i}`)));
    }
    const reads = Array.from({ length: 3_000 }, (_, i) =>
      a.hub.room(`r${i % 100}`).history({ limit: 20 }),
    );
    await a.hub.room('r0').publish('meanwhile');
    for (const { messages, complete } of await Promise.all(reads)) {
      expect(messages.length).toBeGreaterThanOrEqual(20);
      expect(complete).toBe(false);
    }
    expect([a.gaps, a.errors]).toEqual([[], []]);
  });

  it('does not store messages of rooms without history', async () => {
    const { a, b } = await pair();
    const { client } = await b.enter('plain');
    expect(await a.hub.room('plain').publish('x')).toBeUndefined();
    expect(await texts(client, 1)).toEqual(['x']);
    const manager = await jetstreamManager(a.connection);
    expect((await manager.streams.info(STREAM)).state.messages).toBe(0);
  });

  it('does not start if another application has a stream of that name', async () => {
    const server = await natsServer();
    const first = await node(server);
    const manager = await jetstreamManager(first.connection);
    await manager.streams.delete(STREAM);
    await manager.streams.add({ name: STREAM, subjects: ['something.else'] });
    const hub = new Hub({
      backplane: natsBackplane(first.connection, {
        prefix: 'test.hub',
        jetstream: jetstream(first.connection),
      }),
    });
    const error = await new Promise((resolve) => hub.on('error', (_, reason) => resolve(reason)));
    expect(error).toMatchObject({
      code: 'WS_ERR_BACKPLANE',
      cause: {
        message:
          'stream test_hub does not republish to test.hub.live.>; delete it, or change the option prefix',
      },
    });
    await hub.close();
  });

  it('reads the last messages of a long history without the earlier ones', async () => {
    const server = await natsServer();
    const a = await node(server, { rooms: { '*': { history: { size: 2_000 } } } });
    const sent = Array.from({ length: 1_000 }, (_, i) => `message ${i}`);
    for (let i = 0; i < 1_000; i += 250) {
      await publishAll(a.hub, 'r', sent.slice(i, i + 250));
      await publishAll(a.hub, 'other', ['x', 'y']);
    }
    const before = a.connection.stats().inMsgs;
    const { messages, complete } = await a.hub.room('r').history({ limit: 20 });
    expect(messages.map(({ message }) => message.text())).toEqual(sent.slice(-20));
    expect(complete).toBe(false);
    expect(a.connection.stats().inMsgs - before).toBeLessThan(150);
  });

  it('reads and repairs a history of more bytes than a server holds back', async () => {
    const server = await natsServer();
    const options = {
      rooms: { r: { history: { bytes: 2 ** 30 } } },
      maxQueuedBytes: 2 ** 30,
      maxQueuedMessages: 1_000,
    };
    const [a, b] = [await node(server, options), await node(server, options)];
    const { client } = await b.enter('r');
    const first = (await a.hub.room('r').publish('0'))!;
    expect(await texts(client, 1)).toEqual(['0']);
    await cutOff(b);
    const sent = Array.from({ length: 80 }, (_, i) => `${i + 1}`.padEnd(900_000));
    for (const text of sent) await a.hub.room('r').publish(text);
    await reconnect(b);
    expect(await texts(client, 80)).toEqual(sent);
    expect(b.gaps).toEqual([]);
    expect(await kept(b.hub, 'r', first)).toEqual({ texts: sent, complete: true });
    expect((await kept(b.hub, 'r', undefined, 30)).texts).toEqual(sent.slice(-30));
    expect(b.hub.stats.backplane).toBe('up');
  });

  it('drops the oldest messages of a room beyond its bytes, and of all rooms beyond max_bytes', async () => {
    const server = await natsServer();
    const bound = { r: { history: { bytes: 100_000 } } };
    const a = await node(server, { rooms: bound, maxHistoryBytes: 5_000_000 });
    const room = a.hub.room('r');
    const first = await room.publish('first');
    for (let i = 0; i < 100; i++) await room.publish(`${i}`.padEnd(10_000));
    const manager = await jetstreamManager(a.connection);
    await expect
      .poll(async () => (await manager.streams.info(STREAM)).state.bytes)
      .toBeLessThan(120_000);
    const { texts: all, complete } = await kept(a.hub, 'r', first);
    expect(complete).toBe(false);
    expect(all.length).toBeGreaterThan(7);
    expect(all.at(-1)!.trim()).toBe('99');
    await room.publish('x'.repeat(300_000));
    await expect.poll(async () => (await kept(a.hub, 'r')).texts.length).toBe(1);
    expect((await manager.streams.info(STREAM)).config.max_bytes).toBe(5_000_000);
  });

  it('has no messages for a position from the future, and does not call that complete', async () => {
    const server = await natsServer();
    const a = await node(server);
    const { epoch, offset } = (await a.hub.room('r').publish('1'))!;
    const read = (at: number) => kept(a.hub, 'r', { epoch, offset: at });
    expect(await read(offset)).toEqual({ texts: [], complete: true });
    expect(await read(offset + 1)).toEqual({ texts: [], complete: false });
    expect(await read(Number.MAX_SAFE_INTEGER)).toEqual({ texts: [], complete: false });
  });

  it('reads a long history', async () => {
    const server = await natsServer();
    const options = { rooms: { r: { history: { size: 2_000 } } } };
    const a = await node(server, options);
    const sent = Array.from({ length: 2_000 }, (_, i) => `message ${i}`);
    const [first] = await publishAll(a.hub, 'r', sent.slice(0, 500));
    for (let i = 500; i < 2_000; i += 500) await publishAll(a.hub, 'r', sent.slice(i, i + 500));
    expect(await kept(a.hub, 'r')).toEqual({ texts: sent, complete: true });
    expect(await kept(a.hub, 'r', first)).toEqual({ texts: sent.slice(1), complete: true });
  });

  it('reads on after messages that were lost on their way to this node', async () => {
    const server = await natsServer();
    let lost = 0;
    const a = await node(server, { wrapLog: (client) => losing(client, () => lost++ < 5) });
    const sent = Array.from({ length: 60 }, (_, i) => `message ${i}`);
    const [first] = await publishAll(a.hub, 'r', sent);
    expect(await kept(a.hub, 'r', first)).toEqual({ texts: sent.slice(1), complete: true });
    expect(lost).toBeGreaterThan(5);
  });
});

/**
 * A client with fetches that lack the messages for which `isLost` returns true, of those after the
 * third.
 */
function losing(client: JetStreamClient, isLost: () => boolean): JetStreamClient {
  return {
    publish: (subject, payload) => client.publish(subject, payload),
    jetstreamManager: (check) => client.jetstreamManager(check),
    consumers: {
      async get(stream, name) {
        const consumer = await client.consumers.get(stream, name);
        return {
          async fetch(options) {
            const messages = await consumer.fetch(options);
            return (async function* () {
              let count = 0;
              for await (const message of messages) if (++count <= 3 || !isLost()) yield message;
            })();
          },
        };
      },
    },
  };
}
