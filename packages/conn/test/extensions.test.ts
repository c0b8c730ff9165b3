// An extension of the application, on both sides of a connection.

import { type Extension, type SharedEncoding, sharedMessageBuffers } from '@ws/codec';
import { nodeDeflate } from '@ws/node-io';
import { NO_TAKEOVER, naiveDecode, naiveEncode, TestTransport, ToyExtension } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  BinaryMessage,
  Conn,
  type ConnOptions,
  PreparedMessage,
  portablePlatform,
  TextMessage,
} from '../src/index.ts';
import { transportPair } from '../src/transports/pair.ts';
import { PendingBytesMistake } from '../src/writing/pending-bytes.ts';

const RSV2 = 0x20;

/** A client and a server with an extension of their own each. */
function joinedByToys() {
  const [near, far] = transportPair(portablePlatform);
  const toys = [new ToyExtension(RSV2, 3), new ToyExtension(RSV2, 3)] as const;
  const silent = { report: () => {} };
  return {
    toys,
    client: new Conn(near, { ...silent, role: 'client', extension: toys[0] }),
    server: new Conn(far, { ...silent, role: 'server', extension: toys[1] }),
  };
}

describe('ConnOptions.extension', () => {
  it.each(['client', 'server'] as const)('changes what the %s sends, and back', async (role) => {
    const { toys, ...ends } = joinedByToys();
    const from = ends[role];
    const to = ends[role === 'client' ? 'server' : 'client'];
    await from.send('text');
    await from.writeMessage(BinaryMessage, Uint8Array.of(1, 2, 3));
    await from.writeJSON({ a: 1 });
    await from.writePreparedMessage(new PreparedMessage(TextMessage, 'prepared'));
    const writer = await from.nextWriter(TextMessage);
    await writer.write('x'.repeat(10_000));
    await writer.write('y');
    await writer.close();
    expect((await to.readMessage()).text()).toBe('text');
    expect((await to.readMessage()).data).toEqual(Uint8Array.of(1, 2, 3));
    expect(await to.readJSON()).toEqual({ a: 1 });
    expect((await to.readMessage()).text()).toBe('prepared');
    const reader = await to.nextReader();
    expect(await reader.text()).toBe(`${'x'.repeat(10_000)}y`);
    await Promise.all([from.close(), to.close()]);
    for (const toy of toys) expect(toy.log).toContain('destroy');
  });

  it('counts the message that it has not decoded as dropped', async () => {
    const transport = new TestTransport();
    const toy = new ToyExtension(RSV2, 3);
    toy.ready = () => false;
    const conn = new Conn(transport, { role: 'server', extension: toy });
    await new Promise(setImmediate);
    transport.feed(naiveEncode(1, 'aabb', { mask: 1, rsv: RSV2 }));
    await new Promise(setImmediate);
    conn.terminate();
    transport.break();
    await conn.closed;
    expect(conn.stats).toMatchObject({ messagesIn: 1, messagesDropped: 1 });
  });

  it('may delay the close by its turns, and its error is reported once', async () => {
    const transport = new TestTransport();
    let turns = 5;
    const toy = Object.defineProperty(new ToyExtension(RSV2, 3), 'waiting', {
      get: () => turns-- > 0,
    });
    const reported: unknown[] = [];
    const report = (error: unknown): void => void reported.push(error);
    const conn = new Conn(transport, { role: 'server', extension: toy, report });
    const error = new PendingBytesMistake();
    transport.break(error);
    await conn.closed;
    expect(turns).toBeLessThan(0);
    expect(reported).toEqual([error]);
  });

  it('sets its bit on the first frame of a message only', async () => {
    const transport = new TestTransport();
    const conn = new Conn(transport, { role: 'server', extension: new ToyExtension(RSV2, 3) });
    const writer = await conn.nextWriter(TextMessage);
    await writer.write('a'.repeat(5_000));
    await writer.close();
    await conn.send('b');
    void conn.ping('c');
    // The frames are written at the end of the turn.
    await new Promise(setImmediate);
    const { frames } = naiveDecode(transport.sent, 'client', { allowedRsv: RSV2 });
    expect(frames.map(({ opcode, rsv, fin }) => [opcode, rsv, fin])).toEqual([
      [1, RSV2, false],
      [0, 0, true],
      [1, RSV2, true],
      [9, 0, true],
    ]);
    conn.terminate();
  });

  it('delivers to `receive` and to the iterator', async () => {
    const { client, server } = joinedByToys();
    const seen: string[] = [];
    const received = server.receive((message) => {
      seen.push(message.text());
      return server.send(message);
    });
    for (const text of ['a', 'bc', '']) await client.send(text);
    for (const text of ['a', 'bc', '']) expect((await client.readMessage()).text()).toBe(text);
    await client.close();
    await received;
    expect(seen).toEqual(['a', 'bc', '']);
  });

  it('encodes also what is sent while the connection closes', async () => {
    const { client, server, toys } = joinedByToys();
    const writer = await client.nextWriter(TextMessage);
    await writer.write('first');
    void client.send('second');
    void writer.close();
    void client.close();
    expect((await server.readMessage()).text()).toBe('first');
    expect((await server.readMessage()).text()).toBe('second');
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(toys[1].log.filter((line) => line.startsWith('begin'))).toHaveLength(2);
  });

  it('rejects a message that the extension cannot encode, and sends the next one', async () => {
    const { client, server, toys } = joinedByToys();
    const encode = toys[0].encode.bind(toys[0]);
    toys[0].encode = () => {
      throw new Error('no key');
    };
    await expect(client.send('a')).rejects.toThrow('no key');
    toys[0].encode = () => 5_000_000;
    await expect(client.send('b')).rejects.toThrow(/^Extension\.encode: returned 5000000, for/);
    toys[0].encode = encode;
    await client.send('c');
    expect((await server.readMessage()).text()).toBe('c');
  });

  it('is not referred to by later messages when it was not sent', async () => {
    const [near, far] = transportPair(portablePlatform);
    const platform = { ...portablePlatform, deflate: nodeDeflate };
    let empty = false;
    const writeBufferPool = {
      get(): undefined {
        if (empty) throw new Error('the pool is empty');
      },
      put() {},
    };
    const options = {
      platform,
      deflate: { ...NO_TAKEOVER, serverNoContextTakeover: false, clientNoContextTakeover: false },
      compression: { mode: 'takeover', threshold: 0 },
      report: () => {},
    } as const;
    const client = new Conn(near, { ...options, role: 'client', writeBufferPool });
    const server = new Conn(far, { ...options, role: 'server' });
    const texts = ['abc'.repeat(500), 'xyz'.repeat(500)] as const;
    await client.send(texts[0]);
    expect((await server.readMessage()).text()).toBe(texts[0]);
    empty = true;
    await client.send(texts[1]).catch(() => {});
    empty = false;
    await client.send(texts[1]);
    expect((await server.readMessage()).text()).toBe(texts[1]);
  });

  it('may wait, and resumes the connection', async () => {
    const { client, server, toys } = joinedByToys();
    const toy: Extension = toys[1];
    let ready = false;
    toys[1].ready = () => ready;
    await client.send('later');
    const read = server.readMessage();
    await new Promise(setImmediate);
    ready = true;
    toy.resume!();
    expect((await read).text()).toBe('later');
  });

  it('gives its memory back when the transport breaks with unread messages', async () => {
    const { lent } = sharedMessageBuffers();
    const transport = new TestTransport();
    const toy = new ToyExtension(RSV2, 3);
    const conn = new Conn(transport, { role: 'server', readAhead: 1000, extension: toy });
    await new Promise(setImmediate);
    const frame = naiveEncode(BinaryMessage, new Uint8Array(1000), { mask: 1, rsv: RSV2 });
    transport.feed(Buffer.concat(Array(20).fill(frame)));
    expect((await conn.readMessage()).data).toHaveLength(500);
    await new Promise(setImmediate);
    transport.break();
    await conn.closed;
    expect(sharedMessageBuffers().lent).toBe(lent);
    for (let i = 1; i < 20; i++) expect((await conn.readMessage()).data).toHaveLength(500);
    await expect(conn.readMessage()).rejects.toThrow('1006');
    expect(toy.log.at(-1)).toBe('destroy');
  });

  it('cannot keep the connection from its end', async () => {
    const { client, toys } = joinedByToys();
    toys[0].destroy = () => {
      throw new Error('mine');
    };
    client.terminate();
    expect((await client.closed).code).toBe(1006);
  });

  it('cannot keep the connection from its end in the middle of a message that is sent', async () => {
    const { client, server, toys } = joinedByToys();
    const writer = await client.nextWriter(TextMessage);
    await writer.write('a'.repeat(10_000));
    toys[0].endOutput = () => {
      throw new Error('mine');
    };
    server.terminate();
    expect((await client.closed).code).toBe(1006);
  });

  it('gets the size in bytes of the text that it encodes', async () => {
    const { client, toys } = joinedByToys();
    await client.send('€'.repeat(400));
    expect(toys[0].log.filter((line) => line.startsWith('wants')).at(-1)).toBe(
      'wants 1200 undefined',
    );
  });

  it('fails the connection with 1011 when the extension cannot decode', async () => {
    const { client, server, toys } = joinedByToys();
    toys[1].step = () => {
      throw new Error('no key');
    };
    await client.send('a');
    await expect(server.readMessage()).rejects.toThrow('no key');
    expect(await client.closed).toMatchObject({ code: 1011 });
  });

  it.each([
    ['a list', { extensions: [] }, 'extensions: expected a string, got Array'],
    ['a number', { extension: 5 }, 'extension: expected an Extension, got number'],
    [
      'an object of another kind',
      { extension: { rsv: 32 } },
      'extension: an Extension has a method begin',
    ],
    [
      'a bit that is none',
      { extension: new ToyExtension(8, 0) },
      'extension.rsv: expected a sum of 0x40, 0x20 and 0x10, got 8',
    ],
    [
      'two extensions',
      { extension: new ToyExtension(RSV2, 0), deflate: NO_TAKEOVER },
      'extension: a connection has one extension; leave deflate out',
    ],
  ])('throws a TypeError for %s', (_, given, message) => {
    const [transport] = transportPair(portablePlatform);
    const options = { role: 'client', ...given } as unknown as ConnOptions;
    expect(() => new Conn(transport, options)).toThrow(new TypeError(message));
  });
});

/** A toy that encodes a prepared message once for all. */
class SharingToy extends ToyExtension {
  maxBytes = Infinity;
  readonly #parts: number;

  constructor(rsv: number, key: number, parts = 4) {
    super(rsv, key);
    this.#parts = parts;
  }

  readonly shared: SharedEncoding = {
    key: 'toy',
    alone: (bytes) => this.#pairs(bytes),
    recordSent: (_, start, end) => this.log.push(`recorded ${end - start}`),
    forget: () => this.log.push('forgot'),
  };

  detach(): void {
    this.log.push('detach');
  }

  /** Keeps a part of the message, so that tests see which way it took. */
  #pairs(bytes: Uint8Array): Uint8Array {
    this.log.push(`alone ${bytes.length}`);
    this.encode(bytes, 0, bytes.length / this.#parts);
    return this.output;
  }
}

describe('Extension.shared', () => {
  function sharing() {
    const toys = [0, 1].map(() => new SharingToy(RSV2, 3));
    const ends = toys.map((toy) => {
      const [near, far] = transportPair(portablePlatform);
      const server = new Conn(near, { role: 'server', extension: toy });
      const client = new Conn(far, { role: 'client', extension: new ToyExtension(RSV2, 3) });
      return { toy, server, client };
    });
    return ends as [(typeof ends)[0], (typeof ends)[0]];
  }

  it('encodes a prepared message once for all connections with its key', async () => {
    const [one, two] = sharing();
    const message = new PreparedMessage(TextMessage, 'abcdefgh');
    await one.server.writePreparedMessage(message);
    await two.server.writePreparedMessage(message);
    expect((await one.client.readMessage()).text()).toBe('ab');
    expect((await two.client.readMessage()).text()).toBe('ab');
    expect(one.toy.log.filter((line) => line.startsWith('alone'))).toEqual(['alone 8']);
    expect(two.toy.log.filter((line) => line.startsWith('alone'))).toEqual([]);
    for (const { toy } of [one, two]) expect(toy.log).toContain('recorded 8');
    for (const { server } of [one, two]) server.terminate();
  });

  it('has its own bound: maxBytes is of messages for one connection', async () => {
    const toy = new SharingToy(RSV2, 3);
    toy.maxBytes = 10;
    const transport = new TestTransport();
    const conn = new Conn(transport, { role: 'server', extension: toy });
    const writer = await conn.nextWriter(TextMessage);
    const long = 'é'.repeat(6);
    const waits = [conn.send(long), conn.send(Buffer.from(long))];
    await writer.write('w'.repeat(20));
    await writer.close();
    await Promise.all(waits);
    await conn.send(long);
    await conn.send(long.slice(1));
    await conn.send(Buffer.from(long), { compress: true });
    await conn.send(Buffer.from(long.slice(1)));
    await conn.writePreparedMessage(new PreparedMessage(TextMessage, `${long}${long}`));
    await new Promise(setImmediate);
    const { frames } = naiveDecode(transport.sent, 'client', { allowedRsv: RSV2 });
    const encoded = frames.filter(({ opcode }) => opcode !== 0).map(({ rsv }) => rsv !== 0);
    expect(encoded).toEqual([true, false, false, false, true, false, true, true]);
    conn.terminate();
  });

  it('never sends a message plain that the extension wants, whatever its size', async () => {
    const toy = new SharingToy(RSV2, 3, 1);
    const transport = new TestTransport();
    const conn = new Conn(transport, { role: 'server', extension: toy });
    const prepared = new PreparedMessage(TextMessage, 'p'.repeat(2_000));
    const sent = [
      conn.send('a'.repeat(2_000)),
      conn.writePreparedMessage(prepared),
      conn.send('b'.repeat(2_000)),
    ];
    void conn.close();
    await Promise.all(sent);
    await new Promise(setImmediate);
    const { frames } = naiveDecode(transport.sent, 'client', { allowedRsv: RSV2 });
    expect(frames.map(({ opcode, rsv }) => [opcode, rsv])).toEqual([
      [1, RSV2],
      [1, RSV2],
      [1, RSV2],
      [8, 0],
    ]);
    conn.terminate();
  });

  it('is detached when the connection has ended', async () => {
    const [{ server, client, toy }] = sharing();
    const closed = server.close();
    await expect(client.readMessage()).rejects.toThrow('1000');
    await closed;
    expect(toy.log).toContain('detach');
  });
});
