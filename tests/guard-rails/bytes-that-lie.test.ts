// Facts about bytes come from the bytes, and not from properties of the application's object.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { fromWebSocket } from '@ws/browser';
import { BinaryMessage, Endpoint, encodeFrame, FrameEncoder, PingMessage } from '@ws/codec';
import { createWebSocketStream, Sender, WebSocket, WebSocketServer } from '@ws/compat';
import {
  broadcast,
  type Conn,
  type ConnLike,
  type ConnPairOptions,
  connPair,
  type MessageWriterLike,
  PreparedMessage,
} from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { dial } from '@ws/node-client';
import { nodePlatform, toDuplex } from '@ws/node-io';
import { serve } from '@ws/node-server';
import { ReconnectingConn } from '@ws/reconnect';
import { rounds, whenOver } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { FakeWebSocket, openSocket } from '../../packages/browser/test/fake-web-socket.ts';
import { connected, connectedByBun } from '../../packages/fetch/test/fake-conn.ts';
import { pair } from '../../packages/hub/test/nodes.ts';
import { front } from '../../packages/proxy/test/support.ts';

const CANARY = 'SECRET-OF-ANOTHER-CONNECTION ';
/** One is copied, one is referenced. */
const SIZES = [10, 40_000];

/** Wrong values of each fact about `size` bytes. */
const WRONG: readonly (readonly [fact: PropertyKey, value: unknown])[] = [
  ...[9_000, 3, -1, Number.NaN].map((value) => ['length', value] as const),
  ...[9_000, 3].map((value) => ['byteLength', value] as const),
  ...[0, -1].map((value) => ['byteOffset', value] as const),
  ['buffer', new ArrayBuffer(60_000)],
  ['buffer', undefined],
  ['constructor', Array],
  [Symbol.toStringTag, 'Uint16Array'],
  ['subarray', () => new Uint8Array(7)],
  ['slice', () => new Uint8Array(7)],
  ['set', () => {}],
  ['indexOf', () => -1],
];

/** The test command has each fourth array, so each of the three forms. */
const STEP = rounds(4, 1);

const LETTERS = Uint8Array.from({ length: Math.max(...SIZES) }, (_, i) => 65 + (i % 26));

/** The real bytes, in an array that is not at the start of its buffer. */
function bytesOfSize(size: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(size + 32), 16, size);
  bytes.set(LETTERS.subarray(0, size));
  return bytes;
}

/** Arrays of `size` bytes whose properties have other values: own ones, inherited ones, changing ones. */
function liars(size: number): [name: string, make: () => Uint8Array][] {
  const all: [string, () => Uint8Array][] = [];
  for (const [fact, value] of WRONG) {
    const name = `${String(fact)} ${inspect(value)}`;
    all.push([`own ${name}`, () => Object.defineProperty(bytesOfSize(size), fact, { value })]);
    class Liar extends Uint8Array {}
    Object.defineProperty(Liar.prototype, fact, { value });
    all.push([
      `subclass ${name}`,
      () => {
        const { buffer, byteOffset, length } = bytesOfSize(size) as Uint8Array<ArrayBuffer>;
        return new Liar(buffer, byteOffset, length);
      },
    ]);
    all.push([
      `changing ${name}`,
      () => {
        const bytes = bytesOfSize(size);
        const real: unknown = Reflect.get(bytes, fact);
        let asked = 0;
        const get = (): unknown => (asked++ === 0 ? real : value);
        return Object.defineProperty(bytes, fact, { get });
      },
    ]);
  }
  return all.filter((_, i) => i % STEP === 0);
}

/** Fills the pooled memory of the process with the payloads of another connection. */
async function fillPools(): Promise<void> {
  const [client, server] = connPair({ heartbeat: false, platform: nodePlatform });
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    void from.send(CANARY.repeat(600));
    await to.readMessage();
  }
  client.terminate();
  server.terminate();
  await client.closed;
}

/** The payload of the only frame of `bytes`, unmasked. */
function payloadOf(bytes: Uint8Array): Uint8Array {
  const view = Buffer.from(bytes);
  const length = view[1]! & 0x7f;
  const at = length < 126 ? 2 : length === 126 ? 4 : 10;
  if (view[1]! < 0x80) return view.subarray(at);
  return view.subarray(at + 4).map((byte, i) => byte ^ view[at + (i & 3)]!);
}

function wrongOnes(results: readonly (readonly [string, Uint8Array, Uint8Array])[]): string[] {
  return results
    .filter(([, got, real]) => Buffer.compare(got, real) !== 0)
    .map(
      ([name, got]) => `${name}: ${got.length} bytes ${Buffer.from(got).toString('latin1', 0, 40)}`,
    );
}

/** What the peer of `from` gets, for each array that lies. */
async function received(
  role: 'client' | 'server',
  options: ConnPairOptions,
  sizes: readonly number[],
  send: (from: Conn, bytes: Uint8Array) => Promise<unknown>,
  read = async (to: Conn): Promise<Uint8Array> => (await to.readMessage()).data,
): Promise<string[]> {
  const results: [string, Uint8Array, Uint8Array][] = [];
  for (const size of sizes) {
    for (const [name, make] of liars(size)) {
      await fillPools();
      const all = { heartbeat: false, platform: nodePlatform, ...options } as const;
      const [client, server] = connPair(all);
      const [from, to] = role === 'client' ? [client, server] : [server, client];
      const reading = read(to);
      await send(from, make());
      results.push([`${name} of ${size} bytes`, await reading, bytesOfSize(size)]);
      client.terminate();
      server.terminate();
    }
  }
  return wrongOnes(results);
}

describe.each(['client', 'server'] as const)('C1 bytes that lie, sent by a %s', (role) => {
  it('leave as they are by send', async () => {
    expect(await received(role, {}, SIZES, (from, bytes) => from.send(bytes))).toEqual([]);
  });

  it('leave as they are by send with a signal, behind an open writer', async () => {
    const { signal } = new AbortController();
    const send = async (from: Conn, bytes: Uint8Array): Promise<unknown> => {
      const writer = await from.nextWriter(BinaryMessage);
      const sent = from.send(bytes, { signal });
      writer.abort();
      return sent;
    };
    expect(await received(role, {}, SIZES, send)).toEqual([]);
  });

  it.each([{ threshold: 0 }, { threshold: 0, clientMaxWindowBits: 9 } as const])(
    'leave as they are compressed with %o',
    async (compression) => {
      const send = (from: Conn, bytes: Uint8Array): Promise<void> => from.send(bytes);
      expect(await received(role, { compression }, SIZES, send)).toEqual([]);
    },
  );

  it('leave as they are by a writer, its stream and toStreams', async () => {
    const parts = async (from: Conn, bytes: Uint8Array): Promise<unknown> => {
      const writer = await from.nextWriter(BinaryMessage);
      void writer.write(bytes);
      return writer.close();
    };
    expect(await received(role, {}, SIZES, parts)).toEqual([]);
    const stream = async (from: Conn, bytes: Uint8Array): Promise<unknown> => {
      const writer = (await from.nextWriter(BinaryMessage)).writable().getWriter();
      void writer.write(bytes);
      return writer.close();
    };
    expect(await received(role, {}, SIZES, stream)).toEqual([]);
    const streams = async (from: Conn, bytes: Uint8Array): Promise<unknown> =>
      from.toStreams().writable.getWriter().write(bytes);
    expect(await received(role, {}, SIZES, streams)).toEqual([]);
  });

  it('leave as they are by broadcast and as a prepared message', async () => {
    const all = async (from: Conn, bytes: Uint8Array): Promise<unknown> => broadcast([from], bytes);
    expect(await received(role, {}, SIZES, all)).toEqual([]);
    const prepared = (from: Conn, bytes: Uint8Array): Promise<unknown> =>
      from.writePreparedMessage(new PreparedMessage(BinaryMessage, bytes));
    expect(await received(role, { compression: { threshold: 0 } }, SIZES, prepared)).toEqual([]);
  });

  it('leave as they are in pings', async () => {
    const read = (to: Conn): Promise<Uint8Array> =>
      new Promise((resolve) => {
        to.setPingHandler((payload) => resolve(payload.slice()));
        void to.discardReads().catch(() => {});
      });
    const ping = (from: Conn, bytes: Uint8Array): Promise<unknown> =>
      from.writeControl(PingMessage, bytes);
    expect(await received(role, {}, [10], ping, read)).toEqual([]);
    const measured = async (from: Conn, bytes: Uint8Array): Promise<void> =>
      void from.ping(bytes).catch(() => {});
    expect(await received(role, {}, [10], measured, read)).toEqual([]);
  });

  it('leave as they are by an Endpoint, a FrameEncoder and encodeFrame', async () => {
    const results: [string, Uint8Array, Uint8Array][] = [];
    for (const size of [10, 40_000, 100_000]) {
      for (const [name, make] of liars(size)) {
        await fillPools();
        const real = bytesOfSize(size);
        const endpoint = new Endpoint({ role });
        endpoint.send(make());
        results.push([`Endpoint ${name}`, payloadOf(endpoint.output()), real]);
        const encoder = new FrameEncoder({ role });
        encoder.frame(BinaryMessage, true, 0, make());
        results.push([`FrameEncoder ${name}`, payloadOf(encoder.bytes()), real]);
        encoder.frame(BinaryMessage, true, 0, make(), 2, 8);
        results.push([`FrameEncoder range ${name}`, payloadOf(encoder.bytes()), real.slice(2, 8)]);
        const maskKey = role === 'client' ? 0x12345678 : undefined;
        const frame = encodeFrame(BinaryMessage, make(), { maskKey });
        results.push([`encodeFrame ${name}`, payloadOf(frame), real]);
        if (size > 125) continue;
        endpoint.ping(make());
        results.push([`Endpoint.ping ${name}`, payloadOf(endpoint.output()), real]);
      }
    }
    expect(wrongOnes(results)).toEqual([]);
  });

  it('leave as they are by the Sender of compat', async () => {
    const results: [string, Uint8Array, Uint8Array][] = [];
    for (const size of [10, 40_000, 100_000]) {
      for (const [name, make] of liars(size)) {
        await fillPools();
        const mask = role === 'client';
        const options = { fin: true, opcode: 2, mask, readOnly: true, rsv1: false };
        const list = Sender.frame(make(), options);
        const frame = Buffer.concat(list as Buffer[]);
        results.push([`${name} of ${size} bytes`, payloadOf(frame), bytesOfSize(size)]);
      }
    }
    expect(wrongOnes(results)).toEqual([]);
  });
});

/** What `deliver` brings to the other side, for each array that lies. */
async function delivered(
  sizes: readonly number[],
  deliver: (bytes: Uint8Array) => Promise<Uint8Array>,
): Promise<string[]> {
  const results: [string, Uint8Array, Uint8Array][] = [];
  for (const size of sizes) {
    for (const [name, make] of liars(size)) {
      await fillPools();
      results.push([`${name} of ${size} bytes`, await deliver(make()), bytesOfSize(size)]);
    }
  }
  return wrongOnes(results);
}

/** The ways to send bytes that all connections have. */
const SENDS: Readonly<Record<string, (conn: ConnLike, bytes: Uint8Array) => Promise<unknown>>> = {
  send: (conn, bytes) => conn.send(bytes),
  writeMessage: (conn, bytes) => conn.writeMessage(BinaryMessage, bytes),
  'nextWriter().write': async (conn, bytes) => {
    const writer: MessageWriterLike = await conn.nextWriter(BinaryMessage);
    await writer.write(bytes);
    await writer.close();
  },
  'nextWriter().writable()': async (conn, bytes) => {
    const writer = (await conn.nextWriter(BinaryMessage)).writable().getWriter();
    await writer.write(bytes);
    await writer.close();
  },
  writePreparedMessage: (conn, bytes) =>
    conn.writePreparedMessage(new PreparedMessage(BinaryMessage, bytes)),
};

/** The one message that a fake socket has, as its own methods and properties say. */
function only(sent: readonly unknown[]): Uint8Array {
  expect(sent).toHaveLength(1);
  const bytes = sent[0] as Uint8Array;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

describe.each(Object.entries(SENDS))('C1 bytes that lie leave as they are by %s', (_, send) => {
  it('of a BrowserConn', async () => {
    const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const socket = openSocket();
      await send(fromWebSocket(socket), bytes);
      return only(socket.sent);
    };
    expect(await delivered(SIZES, deliver)).toEqual([]);
  });

  it('of a connection of Workers', async () => {
    const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const { conn, socket } = connected();
      await send(conn, bytes);
      return only(socket.sent);
    };
    expect(await delivered(SIZES, deliver)).toEqual([]);
  });

  it('of a connection of Bun', async () => {
    const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const { conn, sent } = connectedByBun();
      await send(conn, bytes);
      return only(sent);
    };
    expect(await delivered(SIZES, deliver)).toEqual([]);
  });
});

describe('C1 bytes that lie leave as they are', () => {
  it('by a BrowserConn that connects, and by its toStreams', async () => {
    const early = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const socket = new FakeWebSocket();
      void fromWebSocket(socket).send(bytes);
      socket.open();
      return only(socket.sent);
    };
    expect(await delivered(SIZES, early)).toEqual([]);
    const streams = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const socket = openSocket();
      await fromWebSocket(socket).toStreams().writable.getWriter().write(bytes);
      return only(socket.sent);
    };
    expect(await delivered(SIZES, streams)).toEqual([]);
  });

  it('in a ping of Bun', async () => {
    const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const { conn, sent } = connectedByBun();
      conn.ping(bytes).catch(() => {});
      return only(sent);
    };
    expect(await delivered([10], deliver)).toEqual([]);
  });

  it.each<[string, (hub: Hub, session: Session, bytes: Uint8Array) => Promise<unknown>]>([
    ['session.send', async (_, session, bytes) => session.send(bytes)],
    ['room.publish', (hub, _, bytes) => hub.room('r').publish(bytes)],
    ['broadcast', async (hub, _, bytes) => hub.broadcast(bytes)],
  ])('by %s of a hub, alone and with other nodes', async (_, send) => {
    for (const isAlone of [true, false]) {
      const { a, b } = pair();
      const near = isAlone ? new Hub() : a.hub;
      const far = isAlone ? near : b.hub;
      const [client, server] = connPair({ heartbeat: false, platform: nodePlatform });
      const session = far.add(server);
      await session.join('r');
      const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
        await send(near, session, bytes);
        return (await client.readMessage()).data;
      };
      expect(await delivered(SIZES, deliver)).toEqual([]);
      client.terminate();
      await Promise.all([near, a.hub, b.hub].map((hub) => hub.close()));
    }
  });

  it.each([
    ['at once', true, false],
    ['at once with resend', true, true],
    ['before the dial', false, false],
    ['before the dial with resend', false, true],
  ])('by a ReconnectingConn %s', async (_, atOnce, resends) => {
    const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
      const [client, server] = connPair({ heartbeat: false, platform: nodePlatform });
      const resend = { id: (): string => '1', acknowledged: (): undefined => undefined };
      const conn = new ReconnectingConn(() => Promise.resolve(client), resends ? { resend } : {});
      if (atOnce) await new Promise((resolve) => conn.on('open', resolve));
      void conn.send(bytes).catch(() => {});
      const { data } = await server.readMessage();
      void conn.close();
      server.terminate();
      return data;
    };
    expect(await delivered(SIZES, deliver)).toEqual([]);
  });

  it('by write and end of toDuplex', async () => {
    for (const method of ['write', 'end'] as const) {
      const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
        const [client, server] = connPair({ heartbeat: false, platform: nodePlatform });
        const duplex = toDuplex(client);
        duplex[method](bytes);
        const { data } = await server.readMessage();
        duplex.destroy();
        await once(duplex, 'close');
        return data;
      };
      expect(await delivered(SIZES, deliver)).toEqual([]);
    }
  });

  it('by write and end of createWebSocketStream', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    whenOver(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as AddressInfo;
    for (const method of ['write', 'end'] as const) {
      const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
        const ws = new WebSocket(`ws://127.0.0.1:${port}`);
        const [[peer]] = (await Promise.all([once(server, 'connection'), once(ws, 'open')])) as [
          [WebSocket],
          unknown,
        ];
        const stream = createWebSocketStream(ws);
        stream[method](bytes);
        const [data] = (await once(peer, 'message')) as [Buffer];
        peer.terminate();
        stream.destroy();
        return data;
      };
      expect(await delivered([10], deliver)).toEqual([]);
    }
  });

  it('by the transform of a proxy', async () => {
    const server = await serve({ port: 0, host: '127.0.0.1' }, async (conn) => {
      for await (const message of conn) await conn.send(message);
    });
    whenOver(() => server.close({ timeout: 1 }));
    let next!: Uint8Array;
    const transform = { toTarget: () => next, toClient: () => next };
    const { url } = await front(server.url, { mode: 'messages', transform });
    const conn = await dial(url);
    const deliver = async (bytes: Uint8Array): Promise<Uint8Array> => {
      next = bytes;
      await conn.send('the next');
      return (await conn.readMessage()).data;
    };
    expect(await delivered(SIZES, deliver)).toEqual([]);
    await conn.close();
  });
});
