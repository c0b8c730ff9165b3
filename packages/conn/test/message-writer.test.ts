import { sharedSlabPool } from '@ws/codec';
import { naiveDecode } from '@ws/testkit';
import { describe, expect, it } from 'vitest';
import { BinaryMessage } from '../src/index.ts';
import { type Wired, wired } from './wired.ts';

/** A Conn that takes far more than its transport does. */
function roomy(role: 'client' | 'server', writeBufferSize: number): Wired {
  return wired(role, { writeBufferSize, maxBufferedAmount: false, highWaterMark: 1 << 24 });
}

/** What was sent, as frames with the values of their bytes. */
function framesOf({ conn, transport }: Wired): { size: number; values: number[] }[] {
  const { frames } = naiveDecode(transport.sent, conn.role === 'server' ? 'client' : 'server');
  return frames.map(({ payload }) => ({ size: payload.length, values: [...new Set(payload)] }));
}

async function drained({ transport, host }: Wired): Promise<void> {
  while (transport.bufferedAmount > 0) {
    transport.drain(1);
    await host.settle();
  }
}

describe.each(['server', 'client'] as const)('a fragment of a %s', (role) => {
  it('of more than 64 KiB is the peer’s as it was written', async () => {
    const ours = roomy(role, 100_000);
    const { conn, transport, host } = ours;
    transport.block();
    const writer = await conn.nextWriter(BinaryMessage);
    await writer.write(new Uint8Array(70_000).fill(1));
    const bytes = new Uint8Array(250_000).fill(2);
    await writer.write(bytes);
    // Both the buffer and the bytes are used again, while the transport still holds what was made of them.
    bytes.fill(3);
    await writer.write(bytes);
    await writer.close();
    await host.settle();
    await drained(ours);
    expect(framesOf(ours)).toEqual([
      { size: 100_000, values: [1, 2] },
      { size: 100_000, values: [2] },
      { size: 100_000, values: [2] },
      { size: 100_000, values: [2, 3] },
      { size: 100_000, values: [3] },
      { size: 70_000, values: [3] },
    ]);
  });
});

describe('MessageWriter.write', () => {
  it.each([
    ['as it is', false],
    ['as its bytes', true],
  ])('takes a borrowed message %s, also when the handler does not wait', async (_, asBytes) => {
    const ours = wired('server', { writeBufferSize: 1_000, highWaterMark: 1_000 });
    const { conn, transport, host, frame } = ours;
    transport.block();
    void conn.send('in the way');
    await host.settle();
    const writer = await conn.nextWriter(BinaryMessage);
    const written: Promise<void>[] = [];
    void conn.receive((message) => {
      written.push(writer.write(asBytes ? message.data : message));
    });
    // Each comes in two chunks, so that it is put together in memory from the pool.
    for (const value of [1, 2, 3]) {
      const bytes = frame(2, new Uint8Array(3_000).fill(value));
      transport.feed(bytes.subarray(0, 2_000));
      transport.feed(bytes.subarray(2_000));
    }
    await host.settle();
    const closed = writer.close();
    for (let i = 0; i < 20; i++) {
      transport.drain();
      transport.block();
      await host.settle();
    }
    transport.drain();
    await Promise.all([...written, closed]);
    await host.settle();
    expect(
      framesOf(ours)
        .slice(1)
        .flatMap(({ size, values }) => values.map((v) => [v, size])),
    ).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 3].map((value) => [value, 1_000]));
  });
});

describe('messages behind an open writer', () => {
  it.each([1_000, 65_536, 65_537, 1 << 20])(
    'of %d borrowed bytes leave as they came, whatever comes meanwhile',
    async (size) => {
      const ours = roomy('server', 4_096);
      const { conn, transport, host, frame } = ours;
      const before = sharedSlabPool().lent;
      const writer = await conn.nextWriter(BinaryMessage);
      await writer.write(Uint8Array.of(9));
      void conn.receive((message) => void conn.send(message));
      for (const value of [1, 2, 3]) {
        const bytes = frame(2, new Uint8Array(size).fill(value));
        for (let at = 0; at < bytes.length; at += 65_536) {
          transport.feed(bytes.subarray(at, at + 65_536));
        }
        await host.settle();
      }
      expect(conn.bufferedAmount).toBeGreaterThanOrEqual(3 * size);
      await writer.close();
      await host.settle();
      expect(framesOf(ours)).toEqual([
        { size: 1, values: [9] },
        ...[1, 2, 3].map((value) => ({ size, values: [value] })),
      ]);
      expect([conn.bufferedAmount, sharedSlabPool().lent]).toEqual([0, before]);
    },
  );
});

describe('a write buffer of the user’s own', () => {
  it('that is too small for once stays in its pool', async () => {
    const small = new Uint8Array(10);
    let taken = 0;
    const given: Uint8Array[] = [];
    const writeBufferPool = {
      get: () => {
        taken++;
        return small;
      },
      put: (buffer: Uint8Array) => void given.push(buffer),
    };
    const { conn, host, sent } = wired('client', { writeBufferPool, writeBufferSize: 1_000 });
    await conn.send('x'.repeat(500));
    await conn.send('y'.repeat(2_000));
    await host.settle();
    expect(sent()).toEqual(['text <500>', 'text <2000>']);
    expect(given.filter((buffer) => buffer === small)).toHaveLength(taken);
    expect(given.length).toBeGreaterThan(taken);
  });
});
