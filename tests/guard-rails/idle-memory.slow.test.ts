// An idle connection keeps no message or chunk from being collected.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { broadcast, type Conn, type Message, type Role } from '@ws/conn';
import { serve } from '@ws/node-server';
import { describe, expect, it } from 'vitest';
import { turns } from '../compression/support.ts';
import { collectGarbage, turn } from '../kit/index.ts';
import { nothingLeft, upgradeRequest, whenOver } from '../peers/index.ts';
import { type FreeTransport, frameFor, reads, wired } from './wire.ts';

const KIB = 1024;
const LARGE = 300 * KIB;
const ROLES: readonly Role[] = ['server', 'client'];

/** Number of `refs` still alive after some collections. */
async function collected(refs: readonly WeakRef<object>[]): Promise<number> {
  let left = refs.length;
  for (let i = 0; i < 10 && left > 0; i++) {
    await turns();
    collectGarbage();
    left = refs.filter((ref) => ref.deref() !== undefined).length;
  }
  return left;
}

// Separate functions create the objects: a suspended async function keeps its variables alive.

/** Delivers reads without keeping them. */
function giveReads(
  transport: FreeTransport,
  role: Role,
  chunksOf: (role: Role) => Uint8Array[],
): WeakRef<object>[] {
  return chunksOf(role).map((chunk) => {
    const ref = new WeakRef(chunk.buffer);
    transport.give(chunk);
    return ref;
  });
}

function written(size: number, write: (data: Uint8Array) => void): WeakRef<object> {
  const data = new Uint8Array(size);
  write(data);
  return new WeakRef(data.buffer);
}

function refsTo(message: Message): WeakRef<object>[] {
  return [new WeakRef(message), new WeakRef(message.data.buffer)];
}

/** Reads with frames of the peer of `role`, each in new memory. */
const READS: readonly { says: string; chunksOf: (role: Role) => Uint8Array[] }[] = [
  {
    says: 'small messages',
    chunksOf: (role) => reads(Buffer.alloc(1_200, frameFor(role, Buffer.alloc(20)))),
  },
  {
    says: 'a message of 40 KiB',
    // A suspended loop still holds its last message, which may be a view of its chunk.
    chunksOf: (role) => [
      ...reads(frameFor(role, Buffer.alloc(40 * KIB))),
      ...reads(frameFor(role, Buffer.alloc(10))),
    ],
  },
  { says: 'a large message', chunksOf: (role) => reads(frameFor(role, Buffer.alloc(LARGE))) },
  {
    says: 'a message in many reads',
    chunksOf: (role) => reads(frameFor(role, Buffer.alloc(KIB)), 100),
  },
  {
    says: 'messages across reads',
    chunksOf: (role) => {
      const frame = frameFor(role, Buffer.alloc(1_000));
      return reads(Buffer.alloc(20 * frame.length, frame), 1_700);
    },
  },
  {
    says: 'fragments',
    chunksOf: (role) => [
      frameFor(role, Buffer.alloc(10 * KIB), 2, false),
      frameFor(role, Buffer.alloc(10 * KIB), 0, false),
      frameFor(role, Buffer.alloc(10 * KIB), 0, true),
    ],
  },
  { says: 'text', chunksOf: (role) => reads(frameFor(role, Buffer.from('text'), 1)) },
  {
    says: 'pings',
    chunksOf: (role) => reads(Buffer.alloc(600, frameFor(role, Buffer.alloc(10), 9))),
  },
  {
    says: 'pongs',
    chunksOf: (role) => reads(Buffer.alloc(600, frameFor(role, Buffer.alloc(10), 10))),
  },
];

/** Ways to read everything without keeping it. */
const WAYS: readonly { says: string; run: (conn: Conn) => Promise<unknown> }[] = [
  { says: 'receive', run: (conn) => conn.receive((message) => void message.borrow()) },
  { says: 'receive, echoing', run: (conn) => conn.receive((message) => conn.send(message)) },
  {
    says: 'receive, waiting',
    run: (conn) =>
      conn.receive(async ({ data }) => {
        await turn();
        await conn.send(data);
      }),
  },
  {
    says: 'for await',
    run: async (conn) => {
      for await (const { data } of conn) await conn.send(data);
    },
  },
  {
    says: 'nextReader',
    run: async (conn) => {
      for (;;) await (await conn.nextReader()).bytes();
    },
  },
  { says: 'discardReads', run: (conn) => conn.discardReads() },
];

describe.each(ROLES)('an idle %s', (role) => {
  describe.each(WAYS)('that reads by $says', ({ run }) => {
    it.each(READS)('holds no received bytes ($says)', async ({ chunksOf }) => {
      const { conn, transport } = wired(role);
      void run(conn).catch(() => {});
      await turns();
      const refs = giveReads(transport, role, chunksOf);
      await turns();
      expect(conn.bufferedAmount).toBe(0);
      expect(await collected(refs)).toBe(0);
      expect(conn.state).toBe('open');
      conn.terminate();
    });
  });

  it('holds no written bytes', async () => {
    const { conn } = wired(role);
    await turns();
    const refs = [10, 10 * KIB, 60 * KIB, LARGE].flatMap((size) => [
      written(size, (data) => void conn.send(data)),
      written(size, (data) => void broadcast([conn], data)),
    ]);
    expect(await collected(refs)).toBe(0);
    expect(conn.state).toBe('open');
    conn.terminate();
  });

  it('holds no message that its reader has dropped', async () => {
    const { conn, transport } = wired(role);
    const refs: WeakRef<object>[] = [];
    for (const size of [10, KIB, LARGE]) {
      const frame = frameFor(role, Buffer.alloc(size));
      const fed = transport.feed(...reads(Buffer.alloc(3 * frame.length, frame)));
      for (let i = 0; i < 3; i++) refs.push(...(await conn.readMessage().then(refsTo)));
      await fed;
    }
    void conn.readMessage().catch(() => {});
    expect(await collected(refs)).toBe(0);
    expect(conn.state).toBe('open');
    conn.terminate();
  });
});

const CONNECTIONS = 200;

/** External memory after garbage collection. */
async function memoryOutside(): Promise<number> {
  await turns(20);
  collectGarbage();
  await turns(20);
  collectGarbage();
  // Includes array buffers.
  return process.memoryUsage().external;
}

/** A peer that drops its input. */
async function forgetful(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  whenOver(() => socket.destroy());
  socket.write(upgradeRequest());
  await once(socket, 'data');
  socket.on('data', () => {});
  return socket;
}

describe('idle connections of a server', () => {
  nothingLeft();

  it.each(WAYS)('hold no memory outside the heap (read by $says)', async ({ run }) => {
    const server = await serve({ host: '127.0.0.1' }, async (conn) => {
      await run(conn).catch(() => {});
    });
    whenOver(() => server.close({ timeout: 1 }));
    const peers: Socket[] = [];
    for (let i = 0; i < CONNECTIONS; i++) {
      peers.push(await forgetful(Number(new URL(server.url).port)));
    }
    const conns = [...server.connections];
    const traffic = Buffer.concat([
      frameFor('server', Buffer.alloc(KIB)),
      frameFor('server', Buffer.alloc(70 * KIB)),
      // A suspended loop still holds its last message.
      frameFor('server', Buffer.alloc(10)),
      frameFor('server', Buffer.alloc(0), 9),
    ]);
    const exchange = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i++) {
        const conn = conns[i]!;
        peers[i]!.write(traffic);
        while (conn.stats.pingsIn === 0 && conn.state === 'open') await turn();
        expect(conn.stats.pingsIn).toBe(1);
      }
    };
    // The first connections fill the pools.
    await exchange(0, 20);
    const before = await memoryOutside();
    await exchange(20, CONNECTIONS);
    const grown = (await memoryOutside()) - before;
    // The smallest buffer that a connection could keep has 4 KiB.
    expect(grown / (CONNECTIONS - 20)).toBeLessThan(1024);
  });
});

describe.each(ROLES)('an idle %s', (role) => {
  it('takes a few KiB of heap', async () => {
    const conns: Conn[] = [];
    const make = (count: number): void => {
      for (let i = 0; i < count; i++) {
        const { conn } = wired(role, { heartbeat: { interval: 20_000, timeout: 20_000 } });
        conn.receive((message) => conn.send(message)).catch(() => {});
        conns.push(conn);
      }
    };
    make(100);
    await turns();
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    make(1_000);
    await turns();
    collectGarbage();
    const each = (process.memoryUsage().heapUsed - before) / 1_000;
    // 3.8 KiB, including the transport and the handler of this test.
    expect(each).toBeLessThan(4_500);
    for (const conn of conns) conn.terminate();
  });
});
