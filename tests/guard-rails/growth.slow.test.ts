import type { Conn, Role } from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { turn } from '../kit/index.ts';
import { frameFor, reads, wired } from './wire.ts';

const { copied } = await vi.hoisted(() => import('./copies.ts'));

const MIB = 1 << 20;
const FEW = 5_000;
const MANY = 10 * FEW;
const ROLES: readonly Role[] = ['server', 'client'];
const FRAGMENT = Buffer.alloc(10, 'fragments ');

/** Bytes copied and allocated for a message of `count` fragments. */
type Cost = (count: number) => Promise<number>;

/** A message of `count` fragments from the peer of `role`. */
function fragmented(role: Role, count: number): Uint8Array {
  const middle = frameFor(role, FRAGMENT, 0, false);
  const message = Buffer.alloc(middle.length * count, middle);
  message.set(frameFor(role, FRAGMENT, 2, false));
  message.set(frameFor(role, FRAGMENT, 0, true), message.length - middle.length);
  return message;
}

function costOfReading(
  role: Role,
  readSize: number,
  takes: (conn: Conn) => Promise<unknown>,
): Cost {
  return async (count) => {
    const { conn, transport } = wired(role);
    const taking = takes(conn);
    await turn();
    const chunks = reads(fragmented(role, count), readSize);
    copied();
    await transport.feed(...chunks);
    // At most 1,000 frames are parsed in a turn, and a chunk may have more.
    while (conn.stats.messagesIn < 1) await turn();
    const { copied: copies, allocated } = copied();
    conn.terminate();
    await taking.catch(() => {});
    return copies + allocated;
  };
}

const costOfWriting =
  (role: Role): Cost =>
  async (count) => {
    const { conn } = wired(role);
    await turn();
    copied();
    const writer = await conn.nextWriter(2);
    for (let i = 0; i < count; i++) void writer.write(FRAGMENT);
    await writer.close();
    await turn();
    const { copied: copies, allocated } = copied();
    expect(conn.stats.messagesOut).toBe(1);
    conn.terminate();
    return copies + allocated;
  };

/** Ten times the fragments cost at most ten times the bytes. */
async function expectLinear(cost: Cost): Promise<void> {
  // Warms the pools.
  await cost(FEW);
  const few = await cost(FEW);
  const many = await cost(MANY);
  // The doubling buffer may have just grown for many and be full for few: one more copy of each
  // byte. The frames of later turns are copied out of the chunk, with their headers.
  expect(many).toBeLessThanOrEqual(10 * few + 2 * MANY * FRAGMENT.length);
}

describe.each(ROLES)('a %s that reads', (role) => {
  describe.each([
    { cut: 'many fragments per read', readSize: 65_536 },
    { cut: 'one fragment per read', readSize: FRAGMENT.length + (role === 'server' ? 6 : 2) },
    { cut: 'fragments across reads', readSize: 1_237 },
  ])('$cut,', ({ readSize }) => {
    it.each([
      { says: 'lent', takes: (conn: Conn) => conn.receive(() => {}) },
      { says: 'owned', takes: (conn: Conn) => conn.readMessage() },
      {
        says: 'as a stream',
        takes: async (conn: Conn) => (await conn.nextReader()).bytes(),
      },
      { says: 'dropped', takes: (conn: Conn) => conn.discardReads() },
    ])('costs the same per fragment for any count ($says)', async ({ takes }) => {
      await expectLinear(costOfReading(role, readSize, takes));
    });
  });
});

describe.each(ROLES)('a %s that writes a message in pieces', (role) => {
  it('costs the same per piece for any count', async () => {
    await expectLinear(costOfWriting(role));
  });
});

// Messages are assembled in a buffer that doubles: each byte is copied there, and moved less than
// twice on growth, at worst when the buffer lacks one byte. Above 16 MiB the buffer is in ordinary
// memory, where unmasking takes one more copy.
const ASSEMBLED = 4;

describe.each([
  { role: 'server', echoed: ASSEMBLED },
  // A client masks what it sends, in a slab and through the memory of the SIMD kernel.
  { role: 'client', echoed: ASSEMBLED + 2 },
] as const)('a message that a $role echoes', ({ role, echoed }) => {
  it.each([1, 3, 16, 33])(
    'costs a constant number of copies per byte at %d MiB',
    async (mebibytes) => {
      const size = mebibytes * MIB + 1;
      const { conn, transport } = wired(role);
      const reading = conn.receive((message) => conn.send(message));
      await turn();
      const chunks = reads(frameFor(role, Buffer.alloc(size)));
      copied();
      await transport.feed(...chunks);
      await turn();
      const counted = copied();
      expect(conn.stats.messagesOut).toBe(1);
      expect(counted.copied / size).toBeLessThanOrEqual(echoed);
      conn.terminate();
      await expect(reading).rejects.toThrow('close 1006');
    },
  );
});
