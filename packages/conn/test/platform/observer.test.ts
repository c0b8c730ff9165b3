import { BinaryMessage, TextMessage } from '@ws/codec';
import { FakePlatform, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn } from '../../src/conn.ts';
import type { CloseInfo, Observer } from '../../src/platform/observer.ts';
import { portablePlatform } from '../../src/platform/portable-platform.ts';
import type { TransportSink } from '../../src/transport.ts';
import { connPair } from '../../src/transports/pair.ts';
import { wired } from '../wired.ts';

/** An observer that records its calls as readable lines. */
function recording(): { observer: Observer; lines: string[] } {
  const lines: string[] = [];
  const role = (conn: object): string => (conn as Conn).role;
  const observer: Observer = {
    opened: (conn) => lines.push(`${role(conn)} open`),
    closed: (conn, info: CloseInfo) => lines.push(`${role(conn)} closed ${info.code}`),
    messageIn: (conn, type, bytes) => lines.push(`${role(conn)} in ${type} ${bytes}`),
    messageOut: (conn, type, bytes) => lines.push(`${role(conn)} out ${type} ${bytes}`),
  };
  return { observer, lines };
}

describe('Platform.observer', () => {
  it('reports connections and their messages, in their order', async () => {
    const { observer, lines } = recording();
    const [client, server] = connPair({ platform: { ...portablePlatform, observer } });
    await client.send('añ');
    await server.readMessage();
    await server.send(new Uint8Array(70_000));
    await client.readMessage();
    void server.discardReads();
    await client.close();
    await server.closed;
    expect(lines.slice(0, 6)).toEqual([
      'client open',
      'server open',
      `client out ${TextMessage} 3`,
      `server in ${TextMessage} 3`,
      `server out ${BinaryMessage} 70000`,
      `client in ${BinaryMessage} 70000`,
    ]);
    expect(lines.slice(6).toSorted()).toEqual(['client closed 1000', 'server closed 1000']);
  });

  it.each([
    ['closes', (sink: TransportSink) => sink.close(new Error('gone'))],
    ['ends', (sink: TransportSink) => sink.end()],
  ])('reports a connection whose transport %s within its start', async (_, act) => {
    const { observer, lines } = recording();
    const platform = Object.assign(new FakePlatform(), { observer });
    const transport = new TestTransport();
    const start = transport.start.bind(transport);
    transport.start = (sink) => {
      start(sink);
      act(sink);
    };
    const conn = new Conn(transport, { role: 'server', platform });
    await platform.advance(10_000);
    await conn.closed;
    expect(lines).toEqual(['server open', 'server closed 1006']);
  });

  it('reports the end of a connection whose transport does not start', () => {
    const { observer, lines } = recording();
    const platform = Object.assign(new FakePlatform(), { observer });
    const transport = new TestTransport();
    transport.start = () => {
      throw new Error('mine');
    };
    expect(() => new Conn(transport, { role: 'server', platform })).toThrow('mine');
    expect(lines).toEqual(['server open', 'server closed 1006']);
    expect(platform.timers).toBe(0);
  });

  it.each(['receive', 'readMessage', 'for await', 'nextReader'] as const)(
    'may terminate the connection: %s gets no message without its bytes',
    async (way) => {
      const observer: Observer = {
        messageIn: (conn) => (conn as Conn).terminate(),
      };
      const [client, server] = connPair({ platform: { ...portablePlatform, observer } });
      const got: string[] = [];
      const reading = (async () => {
        if (way === 'receive') await server.receive((message) => void got.push(message.text()));
        else if (way === 'readMessage') got.push((await server.readMessage()).text());
        else if (way === 'nextReader') got.push(await (await server.nextReader()).text());
        else for await (const message of server) got.push(message.text());
      })();
      void client.send('hello');
      await expect(reading).rejects.toMatchObject({ closeCode: 1006 });
      expect(got).toEqual([]);
      await server.closed;
    },
  );

  it('reports a streamed message at its last fragment, also when it is skipped', async () => {
    const { observer, lines } = recording();
    const [client, server] = connPair({ platform: { ...portablePlatform, observer } });
    const writer = await client.nextWriter(TextMessage);
    await writer.write('x'.repeat(10_000));
    await (await server.nextReader()).read(new Uint8Array(1));
    expect(lines.length).toBe(2);
    await writer.close();
    await client.send('next');
    expect((await server.readMessage()).text()).toBe('next');
    expect(lines.slice(2).toSorted()).toEqual([
      `client out ${TextMessage} 10000`,
      `client out ${TextMessage} 4`,
      `server in ${TextMessage} 10000`,
      `server in ${TextMessage} 4`,
    ]);
  });

  it.each(['nextReader', 'readMessage', 'receive', 'discardReads', 'close'] as const)(
    'reports a whole message that %s drops before its reader has read it',
    async (way) => {
      const { observer, lines } = recording();
      const platform = Object.assign(new FakePlatform(), { observer });
      const { conn, feed, frame, deliver } = wired('server', {}, 0, platform);
      const next = conn.nextReader();
      await platform.settle();
      feed(frame(2, 'dropped'));
      await next;
      if (way === 'receive') void conn.receive(() => {});
      else void conn[way]();
      await deliver(frame(2, 'next'));
      expect(lines.filter((line) => line.startsWith('server in'))).toEqual([
        `server in ${BinaryMessage} 7`,
        `server in ${BinaryMessage} 4`,
      ]);
      expect(conn.stats.messagesIn).toBe(2);
    },
  );

  it('may have a subset of the members', async () => {
    const [client, server] = connPair({ platform: { ...portablePlatform, observer: {} } });
    await client.send('x');
    expect((await server.readMessage()).text()).toBe('x');
    client.terminate();
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1006 });
    await Promise.all([client.closed, server.closed]);
  });
});
