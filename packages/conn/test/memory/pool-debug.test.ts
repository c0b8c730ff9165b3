// What connections recycle themselves, in a thread whose pools are made to debug.
import { debugPools } from '@ws/codec';
import { FakeHost } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { slabsOf } from '../src/buffer-pool.ts';
import type { DeflateSource } from '../src/deflate/engine.ts';
import { Engines } from '../src/deflate/engines.ts';
import { PlainBuffers } from '../src/deflate/plain-buffers.ts';
import { type BorrowedMessage, connPair } from '../src/index.ts';
import { wired } from './wired.ts';

debugPools();

/** Nothing is compressed here. */
const NO_SOURCE = {} as DeflateSource;

const isPoison = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xdb);

describe('where pools are made to debug', () => {
  it.each([1, 100, 5_000, 60_000, 200_000])(
    'a view of a borrowed message of %d bytes shows 0xDB once the handler is done',
    async (size) => {
      const { conn, host, feed, frame } = wired('server');
      const views: Uint8Array[] = [];
      let kept: BorrowedMessage | undefined;
      const reading = conn.receive((message) => {
        expect(message.data.every((byte) => byte === 7) && message.data.length).toBe(size);
        kept = message;
        views.push(message.data);
      });
      feed(frame(2, new Uint8Array(size).fill(7)));
      await host.settle();
      expect(views.map(isPoison)).toEqual([true]);
      expect(() => kept!.data).toThrow('after its handler was done');
      feed(frame(2, new Uint8Array(size).fill(7)));
      await host.settle();
      expect(views.map(isPoison)).toEqual([true, true]);
      conn.terminate();
      await expect(reading).rejects.toThrow('1006');
    },
  );

  it('a borrowed message is whole until the promise of its handler settles', async () => {
    const { conn, host, feed, frame } = wired('server');
    let finish = (): void => {};
    let view: Uint8Array = new Uint8Array(0);
    const reading = conn.receive((message) => {
      view = message.data;
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    feed(frame(2, new Uint8Array(50).fill(7)));
    await host.settle();
    expect(view).toEqual(new Uint8Array(50).fill(7));
    finish();
    await host.settle();
    expect(isPoison(view)).toBe(true);
    conn.terminate();
    await expect(reading).rejects.toThrow('1006');
  });

  it('echoes what a handler was lent, whole and in order', async () => {
    const [client, server] = connPair();
    const serving = server.receive((message) => server.writeMessage(message.type, message.data));
    const writer = async (): Promise<void> => {
      for (const size of [3, 4_000, 70_000, 300_000]) {
        await client.send(new Uint8Array(size).fill(size & 0xff));
      }
    };
    const writing = writer();
    for (const size of [3, 4_000, 70_000, 300_000]) {
      const { data } = await client.readMessage();
      expect(data.every((byte) => byte === (size & 0xff)) && data.length).toBe(size);
    }
    await writing;
    await client.close();
    await serving;
  });

  it('a buffer of plain text is poisoned at its release, and looked at when it is lent again', () => {
    const buffers = new PlainBuffers();
    const { bytes, release } = buffers.take(100);
    expect(isPoison(bytes)).toBe(true);
    bytes.fill(1);
    release();
    expect(isPoison(bytes)).toBe(true);
    bytes[1023] = 0;
    expect(() => buffers.take(100)).toThrow(
      'buffer of plain text of 1024 bytes was written to after its release: byte 1023 is 0x00',
    );
  });

  it('the memory of a history is poisoned as well', () => {
    const engines = new Engines(NO_SOURCE, new FakeHost());
    const history = engines.take(512);
    history.fill(1);
    engines.give(history);
    expect(isPoison(history)).toBe(true);
    expect(() => engines.give(history)).toThrow('history released twice');
    expect(() => engines.give(new Uint8Array(512))).toThrow('history is not lent by this pool');
    expect(engines.historyBytes).toBe(0);
    history[0] = 1;
    expect(() => engines.take(512)).toThrow('history of 512 bytes was written to');
  });

  it('a write buffer of the user comes back poisoned, and may be changed by the user', () => {
    const given: Uint8Array[] = [];
    const buffers = [new Uint8Array(4096).fill(9)];
    const slabs = slabsOf({ get: () => buffers[0], put: (buffer) => given.push(buffer) }, 4096);
    for (let round = 1; round <= 2; round++) {
      const { bytes, release } = slabs.take(10);
      expect(isPoison(bytes)).toBe(true);
      bytes.fill(2);
      release();
      expect(given.length).toBe(round);
      expect(isPoison(given[0]!)).toBe(true);
      expect(release).toThrow('write buffer released twice');
      given[0]!.fill(3);
    }
    expect(given.length).toBe(2);
  });
});
