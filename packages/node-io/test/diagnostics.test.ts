import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { BinaryMessage, Conn, type Message, TextMessage } from '@ws/conn';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Diagnostics, nodePlatform, socketTransport } from '../src/index.ts';
import { type Pair, tcpPair } from './sockets.ts';

const NAMES: readonly (keyof Diagnostics)[] = [
  '@ws:open',
  '@ws:fail',
  '@ws:close',
  '@ws:message:in',
  '@ws:message:out',
];

let pair: Pair;

beforeEach(async () => {
  pair = await tcpPair();
});

afterEach(() => pair.dispose());

/**
 * The events of a channel until the test ends. Connections of the test files before, which share this process, may end
 * meanwhile.
 */
function heard<Name extends keyof Diagnostics>(
  name: Name,
  tell?: (event: Diagnostics[Name]) => void,
): Diagnostics[Name][] {
  const events: Diagnostics[Name][] = [];
  const listener = (event: unknown): void => {
    const { underlyingConn } = (event as { conn: Conn }).conn;
    if (underlyingConn !== pair.ours && underlyingConn !== pair.peer) return;
    events.push(event as Diagnostics[Name]);
    tell?.(event as Diagnostics[Name]);
  };
  subscribe(name, listener);
  onTestFinished(() => void unsubscribe(name, listener));
  return events;
}

function conns(): { client: Conn; server: Conn } {
  const { ours, peer } = pair;
  return {
    client: new Conn(socketTransport(peer), { role: 'client', platform: nodePlatform }),
    server: new Conn(socketTransport(ours), { role: 'server', platform: nodePlatform }),
  };
}

/** The messages of a channel, by role. */
const seenBy = (events: readonly Diagnostics['@ws:message:in'][]): unknown[] => {
  return events.map(({ conn, type, bytes }) => [conn.role, type, bytes]);
};

describe('@ws:open', () => {
  it('publishes each new connection', () => {
    const opened = heard('@ws:open', ({ conn }) => expect(conn.state).toBe('open'));
    const { client, server } = conns();
    expect(opened.map(({ conn }) => conn)).toEqual([client, server]);
  });
});

describe('@ws:close', () => {
  it('publishes how each end has ended', async () => {
    const closed = heard('@ws:close', ({ conn }) => expect(conn.state).toBe('closed'));
    const failed = heard('@ws:fail');
    const { client, server } = conns();
    void server.discardReads();
    const info = await client.close(1001, 'bye');
    await server.closed;
    expect(closed.find(({ conn }) => conn === client)?.info).toBe(info);
    expect(closed.find(({ conn }) => conn === server)?.info).toMatchObject({
      code: 1001,
      reason: 'bye',
      wasClean: true,
    });
    expect(closed.length).toBe(2);
    expect(failed).toEqual([]);
  });
});

describe('@ws:fail', () => {
  it('publishes a broken rule, before the close', async () => {
    const order: string[] = [];
    heard('@ws:close', ({ conn }) => order.push(`close ${conn.role}`));
    const failed = heard('@ws:fail', ({ conn }) => order.push(`fail ${conn.role}`));
    const server = new Conn(socketTransport(pair.ours), { role: 'server', platform: nodePlatform });
    pair.peer.write(Buffer.from('8101', 'hex'));
    pair.peer.resume();
    pair.peer.on('end', () => pair.peer.end());
    const { error } = await server.closed;
    expect(failed).toEqual([{ conn: server, error }]);
    expect(error).toMatchObject({ code: 'WS_ERR_PROTOCOL' });
    expect(order).toEqual(['fail server', 'close server']);
  });

  it('publishes a lost connection', async () => {
    const failed = heard('@ws:fail');
    const client = new Conn(socketTransport(pair.ours), { role: 'client', platform: nodePlatform });
    pair.peerTcp!.resetAndDestroy();
    await client.closed;
    expect(failed).toEqual([
      { conn: client, error: expect.objectContaining({ name: 'TransportError' }) },
    ]);
  });

  it('works without a subscriber to the close, and the other way round', async () => {
    const failed = heard('@ws:fail');
    const { client, server } = conns();
    server.terminate();
    await Promise.all([client.closed, server.closed]);
    expect(failed.length).toBe(2);
  });
});

describe('@ws:message:in and @ws:message:out', () => {
  it('publish each whole message, its type and its bytes', async () => {
    const incoming = heard('@ws:message:in');
    const outgoing = heard('@ws:message:out');
    const { client, server } = conns();
    void client.send('añ漢😀');
    void client.send(new Uint8Array(300));
    void server.send(new Uint8Array(70_000));
    void server.send('');
    for (let i = 0; i < 2; i++) await Promise.all([client.readMessage(), server.readMessage()]);
    const byClient = [
      ['client', TextMessage, 10],
      ['client', BinaryMessage, 300],
    ];
    const byServer = [
      ['server', BinaryMessage, 70_000],
      ['server', TextMessage, 0],
    ];
    expect(seenBy(outgoing)).toEqual([...byClient, ...byServer]);
    const received = (role: string): unknown[] => {
      return seenBy(incoming.filter(({ conn }) => conn.role === role)).map((seen) => {
        return (seen as unknown[]).slice(1);
      });
    };
    expect(received('server')).toEqual(byClient.map((sent) => sent.slice(1)));
    expect(received('client')).toEqual(byServer.map((sent) => sent.slice(1)));
  });

  it('publish a fragmented message once, with all its bytes', async () => {
    const incoming = heard('@ws:message:in');
    const outgoing = heard('@ws:message:out');
    const { client, server } = conns();
    const writer = await client.nextWriter(TextMessage);
    for (let i = 0; i < 3; i++) await writer.write('x'.repeat(5_000));
    expect(outgoing).toEqual([]);
    await writer.close();
    expect((await server.readMessage()).text().length).toBe(15_000);
    expect(seenBy(outgoing)).toEqual([['client', TextMessage, 15_000]]);
    expect(seenBy(incoming)).toEqual([['server', TextMessage, 15_000]]);
  });

  it('publish a message that is read as a stream, at its end', async () => {
    const incoming = heard('@ws:message:in');
    const { client, server } = conns();
    const writer = await client.nextWriter(BinaryMessage);
    void writer.write(new Uint8Array(10_000));
    const reader = await server.nextReader();
    expect(incoming).toEqual([]);
    void writer.close();
    await reader.bytes();
    expect(seenBy(incoming)).toEqual([['server', BinaryMessage, 10_000]]);
  });

  it('publish discarded messages, or not to their end', async () => {
    const incoming = heard('@ws:message:in');
    const { client, server } = conns();
    const writer = await client.nextWriter(BinaryMessage);
    void writer.write(new Uint8Array(10_000));
    await (await server.nextReader()).read(new Uint8Array(1));
    void server.discardReads();
    void writer.close();
    void client.send('next');
    await client.ping();
    expect(seenBy(incoming)).toEqual([
      ['server', BinaryMessage, 10_000],
      ['server', TextMessage, 4],
    ]);
    expect(server.stats.messagesIn).toBe(2);
  });

  it('publish a message before its delivery', async () => {
    const order: string[] = [];
    heard('@ws:message:in', ({ bytes }) => order.push(`told of ${bytes}`));
    const { client, server } = conns();
    const got = new Promise<void>((resolve) => {
      void server.receive((message) => {
        order.push(`got ${message.length}`);
        if (message.length === 2) resolve();
      });
    });
    void client.send('1');
    void client.send('22');
    await got;
    expect(order).toEqual(['told of 1', 'got 1', 'told of 2', 'got 2']);
  });

  it('start with the first message after the subscription', async () => {
    const { client, server } = conns();
    void client.send('before');
    await server.readMessage();
    const incoming = heard('@ws:message:in');
    const outgoing = heard('@ws:message:out');
    void client.send('later');
    await server.readMessage();
    expect(seenBy(incoming)).toEqual([['server', TextMessage, 5]]);
    expect(seenBy(outgoing)).toEqual([['client', TextMessage, 5]]);
  });

  it('publish no message that is not accepted', async () => {
    const outgoing = heard('@ws:message:out');
    const { client } = conns();
    void client.close();
    await expect(client.send('late')).rejects.toThrow();
    expect(outgoing).toEqual([]);
  });

  it('survive a subscriber that closes the connection', async () => {
    heard('@ws:message:in', ({ conn }) => conn.terminate());
    const outgoing = heard('@ws:message:out', ({ conn }) => void conn.close());
    const { client, server } = conns();
    const reading = server.receive(() => {});
    await client.send('last words');
    await expect(reading).rejects.toThrow();
    await expect(client.send('none')).rejects.toThrow();
    await Promise.all([client.closed, server.closed]);
    expect(outgoing.length).toBe(1);
  });
});

describe('a channel without subscribers', () => {
  it('gets no message', async () => {
    const watch = nodePlatform.observer!;
    for (const member of ['opened', 'closed', 'messageIn', 'messageOut'] as const) {
      expect(watch[member]).toBeUndefined();
    }
    const published: unknown[] = [];
    const channels = NAMES.map((name) => channel(name));
    for (const one of channels) {
      one.publish = (event) => void published.push(event);
      onTestFinished(() => {
        // Restores the prototype's method, which depends on the subscribers.
        Reflect.deleteProperty(one, 'publish');
      });
    }
    const { client, server } = conns();
    void client.send('x');
    await server.readMessage();
    server.terminate();
    await Promise.all([client.closed, server.closed]);
    expect(published).toEqual([]);
  });
});

describe('a subscriber that throws', () => {
  it('is reported as an uncaught exception, and the connection continues', async () => {
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    onTestFinished(() => {
      for (const listener of others) process.on('uncaughtException', listener);
    });
    const uncaught = once(process, 'uncaughtException');
    heard('@ws:message:in', () => {
      throw new Error('from a subscriber');
    });
    const { client, server } = conns();
    void client.send('x');
    const message: Message = await server.readMessage();
    expect(message.text()).toBe('x');
    expect(await uncaught).toMatchObject([{ message: 'from a subscriber' }, 'uncaughtException']);
    await client.ping();
  });
});
