// The message that a handler of `receive` gets: what it may keep, and what is overwritten.

import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { type BorrowedMessage, connPair, type Message } from '../../src/index.ts';
import { wired } from '../wired.ts';

/** A platform that overwrites lent bytes, as node-io's does with NODE_DEBUG=ws. */
function debugging(): FakePlatform {
  return Object.assign(new FakePlatform(), { overwritesLentBytes: true });
}

describe('BorrowedMessage.data', () => {
  it('is a copy that the caller keeps', async () => {
    const { conn, platform, feed, frame } = wired('server');
    const kept: Uint8Array[] = [];
    void conn.receive((message) => void kept.push(message.data));
    const letters = Array.from({ length: 300 }, (_, i) => String.fromCharCode(97 + (i % 26)));
    for (const letter of letters) feed(frame(2, letter.repeat(300)), frame(2, letter));
    await platform.settle();
    const all = letters.flatMap((letter) => [letter.repeat(300), letter]);
    expect(kept.map((bytes) => Buffer.from(bytes).toString())).toEqual(all);
  });

  it('has a buffer of its own, of exact size', async () => {
    const { conn, frame, deliver } = wired('server');
    const kept: [offset: number, bytes: number][] = [];
    void conn.receive(({ data }) => void kept.push([data.byteOffset, data.buffer.byteLength]));
    await deliver(frame(2, 'abc'), frame(2, 'x'.repeat(5000)));
    expect(kept).toEqual([
      [0, 3],
      [0, 5000],
    ]);
  });

  it('is the same until the promise of the handler settles, and independent of the borrowed bytes', async () => {
    const { conn, platform, frame, deliver } = wired('server');
    const seen: unknown[] = [];
    void conn.receive(async (message) => {
      const { data } = message;
      message.borrow().fill(0x7a);
      await platform.settle();
      seen.push(message.data === data, Buffer.from(data).toString(), message.text());
    });
    await deliver(frame(2, 'abc'));
    await platform.settle();
    expect(seen).toEqual([true, 'abc', 'zzz']);
  });

  it('is not the data of the next message', async () => {
    const { conn, frame, deliver } = wired('server');
    const kept: Uint8Array[] = [];
    void conn.receive((message) => void kept.push(message.data));
    await deliver(frame(2, 'a'), frame(2, 'b'));
    expect(kept.map((bytes) => Buffer.from(bytes).toString())).toEqual(['a', 'b']);
  });
});

describe('a BorrowedMessage after its handler', () => {
  it.each([
    ['data', (message: BorrowedMessage) => message.data],
    ['borrow', (message: BorrowedMessage) => message.borrow()],
    ['text', (message: BorrowedMessage) => message.text()],
    ['json', (message: BorrowedMessage) => message.json()],
    ['copy', (message: BorrowedMessage) => message.copy()],
    ['type', (message: BorrowedMessage) => message.type],
    ['isText', (message: BorrowedMessage) => message.isText],
    ['length', (message: BorrowedMessage) => message.length],
    ['toString', (message: BorrowedMessage) => String(message)],
    ['toJSON', (message: BorrowedMessage) => JSON.stringify(message)],
  ])('throws in %s and says what to keep', async (_, use) => {
    const { conn, frame, deliver } = wired('server');
    let kept: BorrowedMessage | undefined;
    void conn.receive((message) => {
      kept = message;
    });
    await deliver(frame(1, '1'));
    expect(() => use(kept!)).toThrow(
      'a BorrowedMessage was used after its handler was done; keep its data or a copy() instead',
    );
  });

  it('rejects a write of it', async () => {
    const { conn, frame, deliver } = wired('server');
    let kept: BorrowedMessage | undefined;
    void conn.receive((message) => {
      kept = message;
    });
    await deliver(frame(1, '1'));
    await expect(conn.writeMessage(1, kept!)).rejects.toThrow('after its handler was done');
  });
});

describe('the bytes that a handler borrowed', () => {
  it.each([1, 100, 5_000, 60_000, 200_000])(
    'are overwritten with 0xDD on a debugging platform, of a message of %d bytes',
    async (size) => {
      const { conn, feed, frame, deliver } = wired('server', {}, 0, debugging());
      const views: Uint8Array[] = [];
      const copies: Uint8Array[] = [];
      void conn.receive((message) => {
        views.push(message.borrow());
        copies.push(message.data);
      });
      feed(frame(2, new Uint8Array(size).fill(7)));
      const bytes = frame(2, new Uint8Array(size).fill(8));
      feed(bytes.subarray(0, bytes.length - 1));
      await deliver(bytes.subarray(bytes.length - 1));
      expect(views.map((view) => view.every((byte) => byte === 0xdd))).toEqual([true, true]);
      expect(copies.map((copy, i) => copy.every((byte) => byte === 7 + i))).toEqual([true, true]);
    },
  );

  it('stay for a write that refers to them, until the transport has released them', async () => {
    const { conn, transport, frame, sent, drain, deliver } = wired(
      'server',
      {},
      1_000_000,
      debugging(),
    );
    let view: Uint8Array | undefined;
    void conn.receive((message) => {
      view = message.borrow();
      void conn.send(message);
    });
    transport.block();
    await deliver(frame(2, 'x'.repeat(50_000)));
    expect(view![0]).toBe('x'.charCodeAt(0));
    await drain();
    expect(view![0]).toBe(0xdd);
    expect(sent()).toEqual(['binary <50000>']);
  });
});

describe.each(['readMessage', 'receive'] as const)('a message of %s', (way) => {
  it('is its text as a string and in JSON', async () => {
    const [client, server] = connPair();
    const seen: unknown[] = [];
    const see = (message: Message | BorrowedMessage): void => {
      seen.push(String(message), `${message as unknown as string}`);
      seen.push(JSON.parse(message as unknown as string), JSON.stringify({ message }));
    };
    await client.send('{"a":1}');
    if (way === 'receive') void server.receive(see);
    else see(await server.readMessage());
    await client.close();
    expect(seen).toEqual(['{"a":1}', '{"a":1}', { a: 1 }, JSON.stringify({ message: '{"a":1}' })]);
  });
});
