import type { Conn, Role } from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { turn } from '../../src/index.ts';
import { frameFor, reads, wired } from './wire.ts';

const { copied } = await vi.hoisted(() => import('./copies.ts'));

const MIB = 1 << 20;
const FEW = 10_000;
const MANY = 10 * FEW;
const ROLES: readonly Role[] = ['server', 'client'];
const FRAGMENT = Buffer.alloc(10, 'fragments ');

/** What is copied and made anew, in bytes, for a message of `count` fragments, with some reads' worth of slack. */
type Cost = (count: number) => Promise<number>;

/** A message of `count` fragments, as a peer of `role` sends it. */
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
    await turn();
    const { copied: copies, allocated } = copied();
    expect(conn.stats.messagesIn).toBe(1);
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

/** Ten times as much costs no more than ten times as much; `slack` in bytes, for what is made once. */
async function expectLinear(cost: Cost): Promise<void> {
  // Pools are filled, and memory that is made once is made.
  await cost(FEW);
  const few = await cost(FEW);
  const many = await cost(MANY);
  // Doubling may stand at its worst with the many, and at its best with the few: that is once more each byte.
  expect(many).toBeLessThanOrEqual(10 * few + MANY * FRAGMENT.length);
}

describe.each(ROLES)('the fragments of a message, to a %s,', (role) => {
  describe.each([
    { cut: 'many in a read', readSize: 65_536 },
    { cut: 'one in a read', readSize: FRAGMENT.length + (role === 'server' ? 6 : 2) },
    { cut: 'cut at random places', readSize: 1_237 },
  ])('$cut,', ({ readSize }) => {
    it.each([
      { says: 'lent', takes: (conn: Conn) => conn.receive(() => {}) },
      { says: 'owned', takes: (conn: Conn) => conn.readMessage() },
      {
        says: 'as a stream',
        takes: async (conn: Conn) => (await conn.nextReader()).bytes(),
      },
      { says: 'dropped', takes: (conn: Conn) => conn.discardReads() },
    ])('cost as much each, however many there are ($says)', async ({ takes }) => {
      await expectLinear(costOfReading(role, readSize, takes));
    });
  });
});

describe.each(ROLES)('the pieces that a %s writes to a message', (role) => {
  it('cost as much each, however many there are', async () => {
    await expectLinear(costOfWriting(role));
  });
});

// Put together in a buffer that doubles: each byte is copied there, and moved less than twice when it grows, at the
// worst, which is one byte more than the buffer had.
const ASSEMBLED = 3;

describe.each([
  { role: 'server', echoed: ASSEMBLED },
  // It masks what it sends.
  { role: 'client', echoed: ASSEMBLED + 1 },
] as const)('a message that a $role echoes', ({ role, echoed }) => {
  it.each([1, 3, 16, 33])(
    'is copied no more often at %d MiB than at any size',
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
