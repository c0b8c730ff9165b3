// Memory that connections recycle, with the debug mode of pools on.
import { debugPools, sharedSlabPool } from '@ws/codec';
import { Lease } from '@ws/codec/internal';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  type BorrowedMessage,
  Conn,
  connPair,
  type Transport,
  type TransportSink,
} from '../../src/index.ts';
import { slabsOf } from '../../src/memory/write-memory.ts';
import { wired } from '../wired.ts';

debugPools();

const isOverwritten = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xdd);
const isPoison = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0xdb);

describe('the debug mode of pools', () => {
  it.each([1, 100, 5_000, 60_000, 200_000])(
    'fills a borrowed message of %d bytes with 0xDD when the handler has returned',
    async (size) => {
      const { conn, frame, deliver } = wired('server');
      const views: Uint8Array[] = [];
      let kept: BorrowedMessage | undefined;
      const reading = conn.receive((message) => {
        expect(message.borrow().every((byte) => byte === 7) && message.length).toBe(size);
        kept = message;
        views.push(message.borrow());
      });
      await deliver(frame(2, new Uint8Array(size).fill(7)));
      expect(views.map(isOverwritten)).toEqual([true]);
      expect(() => kept!.borrow()).toThrow('after its handler was done');
      await deliver(frame(2, new Uint8Array(size).fill(7)));
      expect(views.map(isOverwritten)).toEqual([true, true]);
      conn.terminate();
      await expect(reading).rejects.toThrow('1006');
    },
  );

  it('leaves a borrowed message intact until the promise of its handler settles', async () => {
    const { conn, platform, frame, deliver } = wired('server');
    let finish = (): void => {};
    let view: Uint8Array = new Uint8Array(0);
    const reading = conn.receive((message) => {
      view = message.borrow();
      return new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    await deliver(frame(2, new Uint8Array(50).fill(7)));
    expect(view).toEqual(new Uint8Array(50).fill(7));
    finish();
    await platform.settle();
    expect(isOverwritten(view)).toBe(true);
    conn.terminate();
    await expect(reading).rejects.toThrow('1006');
  });

  /** A server whose transport holds all bytes until `release`. */
  function holding({
    bufferedAmount = 1,
    written = (): boolean => false,
    report = (_error: unknown): void => {},
  } = {}) {
    const held: (() => void)[] = [];
    let sink: TransportSink | undefined;
    /** The peer takes all bytes. */
    const release = (): void => {
      while (held.length > 0) {
        for (const free of held.splice(0)) free();
        sink!.drain();
      }
    };
    const transport: Transport = {
      bufferedAmount,
      start: (to) => {
        sink = to;
      },
      write: (_bytes, free) => {
        if (free !== undefined) held.push(free);
        return written();
      },
      pause: () => {},
      resume: () => {},
      end: () => {},
      destroy: (error) => {
        queueMicrotask(() => {
          for (const free of held.splice(0)) free();
          sink!.close(error);
        });
      },
    };
    const platform = new FakePlatform();
    const options = { role: 'server', platform, heartbeat: false, report } as const;
    return { conn: new Conn(transport, options), platform, release, held };
  }

  it.each([20_000, 50_000])(
    'U15 reports a second release by a transport, of a message of %d bytes',
    async (size) => {
      const { conn, platform, held } = holding({ bufferedAmount: 0 });
      void conn.send(new Uint8Array(size)).catch(() => {});
      await platform.settle();
      const releases = held.splice(0);
      for (const release of releases) release();
      for (const release of releases) expect(release).toThrow('released twice');
      expect(releases).not.toHaveLength(0);
      conn.terminate();
      await conn.closed;
    },
  );

  it.each([20_000, 50_000])(
    'U15 reports none when `write` has thrown and the transport releases later, of %d bytes',
    async (size) => {
      const lent = sharedSlabPool().lent;
      const errors: unknown[] = [];
      let writes = 0;
      const { conn } = holding({
        bufferedAmount: 0,
        written: () => {
          writes++;
          throw new Error('EPIPE');
        },
        report: (error) => errors.push(error),
      });
      await conn.send(new Uint8Array(size)).catch(() => {});
      expect(await conn.closed).toMatchObject({ code: 1006 });
      expect(writes).toBe(1);
      expect(errors.map(String).join()).not.toContain('released twice');
      expect(sharedSlabPool().lent).toBe(lent);
    },
  );

  it('ends a connection whose referenced bytes were changed before their release', async () => {
    const { conn, platform, release } = holding();
    const mine = new Uint8Array(50_000);
    const changed = conn.send(mine);
    await platform.settle();
    mine[7] = 1;
    release();
    await expect(changed).rejects.toThrow('byte 7 of a pending write was changed');
    expect(await conn.closed).toMatchObject({
      code: 1006,
      error: { message: expect.stringContaining('byte 7 of a pending write was changed') },
    });
  });

  it('ends a connection whose waiting bytes were changed in the write queue', async () => {
    const { conn, platform } = holding();
    const writer = await conn.nextWriter(2);
    const mine = new Uint8Array(50_000);
    const changed = conn.send(mine);
    await platform.settle();
    mine[49_999] = 1;
    void writer.close();
    await expect(changed).rejects.toThrow('byte 49999 of a pending write was changed');
    expect(await conn.closed).toMatchObject({ code: 1006 });
  });

  it('lets a caller change the bytes once the promise has settled', async () => {
    const { conn, platform, release } = holding();
    const mine = new Uint8Array(50_000);
    const sent = conn.send(mine);
    await platform.settle();
    release();
    await sent;
    mine.fill(1);
    expect(conn.state).toBe('open');
    conn.terminate();
  });

  it('echoes borrowed messages whole and in order', async () => {
    const [client, server] = connPair();
    const serving = server.receive((message) =>
      server.writeMessage(message.type, message.borrow()),
    );
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

  it('poisons the memory of a message at its release, and checks it at its reuse', () => {
    const { bytes, release } = Lease.acquire(100);
    expect(bytes[0]).toBe(0xdb);
    bytes.fill(1);
    release();
    expect(bytes[0]).toBe(0xdb);
    bytes[1023] = 0;
    expect(() => Lease.acquire(100)).toThrow(
      'message of 4096 bytes was written to after its release: byte 1023 is 0x00',
    );
  });

  it('poisons a released write buffer, which the user may change', () => {
    const given: Uint8Array[] = [];
    const buffers = [new Uint8Array(4096).fill(9)];
    const pool = { get: () => buffers[0], put: (buffer: Uint8Array) => given.push(buffer) };
    const slabs = slabsOf(pool, 4096, () => {});
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
