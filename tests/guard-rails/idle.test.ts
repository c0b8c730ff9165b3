// An idle connection holds no pooled memory, no engine and no timer.
import { sharedMessageBuffers, sharedSlabPool } from '@ws/codec';
import { broadcast, type Conn, type ConnSettings, connPair } from '@ws/conn';
import { historyBytesOf } from '@ws/deflate/internal';
import { nodePlatform } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { CountingSource, platformOn, turns } from '../compression/support.ts';
import { FakePlatform } from '../kit/index.ts';

const KIB = 1024;
const LARGE = 300 * KIB;
const COMPRESSION = { mode: 'shared', threshold: 0 } as const;

/** An exchange of two connected ends. */
interface Traffic {
  readonly says: string;
  readonly run: (client: Conn, server: Conn) => Promise<unknown>;
}

const TRAFFIC: readonly Traffic[] = [
  {
    says: 'small messages',
    run: async (client, server) => {
      for (let i = 0; i < 50; i++) void client.send(`message ${i}`);
      for (let i = 0; i < 50; i++) await server.send((await server.readMessage()).data);
      for (let i = 0; i < 50; i++) await client.readMessage();
    },
  },
  {
    says: 'large messages',
    run: async (client, server) => {
      const sent = client.send(Buffer.alloc(LARGE));
      const answered = server.send((await server.readMessage()).data);
      await Promise.all([client.readMessage(), sent, answered]);
    },
  },
  {
    says: 'messages echoed by receive',
    run: async (client, server) => {
      server.receive((message) => server.send(message)).catch(() => {});
      for (const size of [10, 10 * KIB, LARGE]) {
        void client.send(Buffer.alloc(size));
        await client.readMessage();
      }
    },
  },
  {
    says: 'messages in fragments',
    run: async (client, server) => {
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        const writer = await from.nextWriter(2);
        const read = to.readMessage();
        for (let i = 0; i < 100; i++) await writer.write(Buffer.alloc(KIB));
        await writer.close();
        await read;
      }
    },
  },
  {
    says: 'streams',
    run: async (client, server) => {
      for (const [from, to] of [
        [client, server],
        [server, client],
      ] as const) {
        const writer = await from.nextWriter(2);
        const read = (async () => (await to.nextReader()).bytes())();
        for (let i = 0; i < 10; i++) await writer.write(Buffer.alloc(64 * KIB));
        await writer.close();
        await read;
      }
    },
  },
  {
    says: 'an abandoned stream',
    run: async (client, server) => {
      const writer = await client.nextWriter(2);
      await writer.write(Buffer.alloc(10 * KIB));
      await (await server.nextReader()).read(new Uint8Array(KIB));
      const next = server.readMessage();
      await writer.write(Buffer.alloc(10 * KIB));
      await writer.close();
      await client.send('next');
      await next;
    },
  },
  {
    says: 'pings',
    run: async (client, server) => {
      const reading = [client.readMessage(), server.readMessage()];
      await Promise.all([client.ping('ping'), server.ping('ping')]);
      await Promise.all([client.send('over'), server.send('over')]);
      await Promise.all(reading);
    },
  },
  {
    says: 'broadcasts',
    run: async (client, server) => {
      for (let i = 0; i < 20; i++) broadcast([client, server], `to all ${i}`);
      broadcast([client, server], Buffer.alloc(LARGE));
      for (let i = 0; i < 21; i++) await Promise.all([client.readMessage(), server.readMessage()]);
    },
  },
];

const IDLING = [
  { doing: 'nothing', idles: (): void => {} },
  { doing: 'receive', idles: (conn: Conn): void => void conn.receive(() => {}).catch(() => {}) },
  { doing: 'readMessage', idles: (conn: Conn): void => void conn.readMessage().catch(() => {}) },
  { doing: 'nextReader', idles: (conn: Conn): void => void conn.nextReader().catch(() => {}) },
  { doing: 'discardReads', idles: (conn: Conn): void => void conn.discardReads().catch(() => {}) },
];

const SETTINGS: readonly { says: string; settings: ConnSettings }[] = [
  { says: 'uncompressed', settings: {} },
  { says: 'compressed', settings: { compression: COMPRESSION } },
];

describe.each(SETTINGS)('after $says traffic, an idle connection', ({ settings }) => {
  it.each(TRAFFIC)('holds no slab and no message buffer ($says)', async ({ run }) => {
    for (const { doing, idles } of IDLING) {
      const slabs = sharedSlabPool().lent;
      const buffers = sharedMessageBuffers().lent;
      const [client, server] = connPair({ ...settings, platform: nodePlatform });
      await run(client, server);
      idles(client);
      idles(server);
      await turns();
      expect({ doing, slabs: sharedSlabPool().lent, buffers: sharedMessageBuffers().lent }).toEqual(
        {
          doing,
          slabs,
          buffers,
        },
      );
      expect(client.bufferedAmount + server.bufferedAmount).toBe(0);
      client.terminate();
    }
  });
});

const PAIRS = 12;
/** Engines kept for all pairs together: the number that worked at once. */
const ENGINES = 4;

describe('idle connections after compression', () => {
  it.each(TRAFFIC)('share few engines and hold no history ($says)', async ({ run }) => {
    const source = new CountingSource('handle');
    const ends: Conn[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const pair = connPair({ compression: COMPRESSION, platform: platformOn(source) });
      ends.push(...pair);
      await run(...pair);
      await turns(20);
    }
    expect(source.inflaters + source.deflaters).toBeLessThanOrEqual(ENGINES);
    expect(historyBytesOf(source)).toBe(0);
    for (const conn of ends) conn.terminate();
  });
});

describe('idle connections', () => {
  it.each([
    {
      says: 'with a heartbeat',
      settings: { heartbeat: { interval: 20_000, timeout: 20_000 } },
      timers: 1,
    },
    { says: 'without one', settings: { heartbeat: false }, timers: 0 },
  ] satisfies { says: string; settings: ConnSettings; timers: number }[])(
    'share one timer ($says)',
    async ({ settings, timers }) => {
      const platform = new FakePlatform();
      const conns = Array.from({ length: 50 }, () => connPair({ ...settings, platform })).flat();
      for (const conn of conns) {
        void conn.send('once');
        void conn.readMessage();
        const reading = conn.readMessage({ timeout: 1_000 }).catch(() => {});
        void conn.send('twice');
        await platform.settle();
        await reading;
      }
      // The sweep of idle connections sets a timer, too.
      await platform.advance(100);
      expect(platform.timers).toBe(timers);
      for (const conn of conns) conn.terminate();
    },
  );
});
