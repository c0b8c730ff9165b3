import type { Conn, Role } from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { turn } from '../kit/index.ts';
import type { Copied } from './copies.ts';
import { type FreeTransport, frameFor, reads, wired } from './wire.ts';

const { copied } = await vi.hoisted(() => import('./copies.ts'));

const KIB = 1024;
const MIB = 1024 * KIB;
const LARGE: readonly number[] = [100_000, MIB, 9 * MIB];
const ROLES: readonly Role[] = ['server', 'client'];

/** A way to take messages. */
type Reader = (conn: Conn) => Promise<unknown>;

const drops: Reader = (conn) => conn.receive(() => {});
const echoes: Reader = (conn) => conn.receive((message) => conn.send(message));
const owns: Reader = async (conn) => {
  for (;;) await conn.readMessage();
};
const streams: Reader = async (conn) => {
  const into = Buffer.alloc(64 * KIB);
  for (;;) {
    const reader = await conn.nextReader();
    while ((await reader.read(into)) > 0);
  }
};

/** Bytes copied for a header and the end of a read. */
const HEADERS = 64;

function each({ copied, allocated }: Copied, size: number): Copied {
  return { copied: Math.max(0, copied - HEADERS) / size, allocated: allocated / size };
}

/** Copied and allocated bytes per byte of a received message, with warm pools. */
async function perByte(role: Role, size: number, takes: Reader): Promise<Copied> {
  const { conn, transport } = wired(role);
  takes(conn).catch(() => {});
  await turn();
  const frame = frameFor(role, Buffer.alloc(size));
  let counted = copied();
  for (let round = 0; round < 2; round++) {
    const chunks = reads(frame);
    copied();
    for (const chunk of chunks) {
      await transport.feed(chunk);
      // Between two reads of a socket a turn passes.
      await turn();
    }
    counted = copied();
  }
  expect(conn.stats.messagesIn).toBe(2);
  conn.terminate();
  return each(counted, size);
}

/** Only the last round counts: by then the first write buffer has the size of a turn. */
const ROUNDS = 6;

/** Copied and allocated bytes per byte of a sent message. */
async function perByteSent(role: Role, data: Uint8Array | string): Promise<Copied> {
  const { conn } = wired(role);
  await turn();
  let counted = copied();
  for (let round = 0; round < ROUNDS; round++) {
    copied();
    await conn.send(data);
    await turn();
    counted = copied();
  }
  expect(conn.stats.messagesOut).toBe(ROUNDS);
  conn.terminate();
  return each(counted, data.length);
}

/** Upper bounds: single bytes may be copied without being counted. */
function expectAtMost(actual: Copied, most: Copied): void {
  expect(actual.copied).toBeLessThanOrEqual(most.copied);
  expect(actual.allocated).toBeLessThanOrEqual(most.allocated);
}

/** The memory of large writes to `transport` from now on. */
function memoryOfLargeWrites(transport: FreeTransport): Set<ArrayBufferLike> {
  const memory = new Set<ArrayBufferLike>();
  transport.onWrite = (chunk) => {
    if (chunk.length > 64 * KIB) memory.add(chunk.buffer);
  };
  return memory;
}

describe('copied', () => {
  it('counts copies and new memory', () => {
    copied();
    const bytes = new Uint8Array(100);
    bytes.set(bytes.subarray(0, 10), 50);
    bytes.copyWithin(0, 50);
    void bytes.slice(1);
    void new Uint8Array(bytes);
    expect(copied()).toEqual({ copied: 10 + 50 + 99 + 100, allocated: 200 });
  });
});

describe.each(ROLES)('a message in one read of a %s', (role) => {
  it.each([100, 4 * KIB])('of %d bytes is lent after one copy', async (size) => {
    expectAtMost(await perByte(role, size, drops), { copied: 1, allocated: 0 });
  });

  it.each([100, 4 * KIB])(
    'of %d bytes is echoed with one more copy, into the slab',
    async (size) => {
      expectAtMost(await perByte(role, size, echoes), { copied: 2, allocated: 0 });
    },
  );

  it.each([100, 4 * KIB])('of %d bytes is owned after one copy', async (size) => {
    expectAtMost(await perByte(role, size, owns), { copied: 1, allocated: 1 });
  });
});

// Messages are assembled in a buffer that doubles: each byte is copied there and less than once
// more on growth.
const ASSEMBLED = 2;

describe.each(ROLES)('a message of several reads of a %s', (role) => {
  it.each(LARGE)('of %d bytes is lent after one copy and those of doubling', async (size) => {
    const { copied, allocated } = await perByte(role, size, drops);
    expect(copied).toBeLessThanOrEqual(ASSEMBLED);
    // Memory above the pool limit is new, at most the assembled size.
    expect(allocated).toBeLessThanOrEqual(size > 8 * MIB ? ASSEMBLED : 0);
  });

  it.each(LARGE)('of %d bytes is owned after one more copy', async (size) => {
    expect((await perByte(role, size, owns)).copied).toBeLessThanOrEqual(ASSEMBLED + 1);
  });
});

describe('a message of several reads', () => {
  it.each(LARGE)('of %d bytes is echoed by a server without another copy', async (size) => {
    expect((await perByte('server', size, echoes)).copied).toBeLessThanOrEqual(ASSEMBLED);
  });

  it.each(LARGE)(
    'of %d bytes is echoed by a client with one more copy, which it masks',
    async (size) => {
      expect((await perByte('client', size, echoes)).copied).toBeLessThanOrEqual(ASSEMBLED + 1);
    },
  );

  it.each(LARGE)('of %d bytes is read as a stream with one copy by a client', async (size) => {
    const { copied, allocated } = await perByte('client', size, streams);
    // The first bytes wait until the reader asks for them.
    expect(copied).toBeLessThanOrEqual(1 + (64 * KIB) / size);
    expect(allocated * size).toBeLessThanOrEqual(64 * KIB);
  });

  it.each(LARGE)('of %d bytes is read as a stream with three copies by a server', async (size) => {
    // Into the unmasking buffer and back.
    const { copied, allocated } = await perByte('server', size, streams);
    expect(copied).toBeLessThanOrEqual(3);
    expect(allocated * size).toBeLessThanOrEqual(64 * KIB);
  });

  it('is echoed by a server from the memory it was lent in', async () => {
    const { conn, transport } = wired('server');
    const lent = new Set<ArrayBufferLike>();
    const written = memoryOfLargeWrites(transport);
    const echoing = conn.receive((message) => {
      lent.add(message.borrow().buffer);
      return conn.send(message);
    });
    await turn();
    await transport.feed(...reads(frameFor('server', Buffer.alloc(MIB))));
    await turn();
    expect(transport.bytes).toBe(MIB + 10);
    expect([...written]).toEqual([...lent]);
    conn.terminate();
    await expect(echoing).rejects.toThrow('close 1006');
  });
});

describe('a sent message', () => {
  it.each([100, 4 * KIB, 32 * KIB - 1])(
    'is copied once by a server below 32 KiB (%d bytes)',
    async (size) => {
      expectAtMost(await perByteSent('server', Buffer.alloc(size)), { copied: 1, allocated: 0 });
    },
  );

  it.each([32 * KIB, 9 * MIB])(
    'is not copied by a server from 32 KiB on (%d bytes)',
    async (size) => {
      expectAtMost(await perByteSent('server', Buffer.alloc(size)), { copied: 0, allocated: 0 });
    },
  );

  it.each([100, 4 * KIB, 64 * KIB, 9 * MIB])(
    'is copied once by a client (%d bytes)',
    async (size) => {
      const { copied, allocated } = await perByteSent('client', Buffer.alloc(size));
      expect(copied).toBeLessThanOrEqual(1);
      // Two slabs of 64 KiB; one may be in use.
      expect(allocated * size).toBeLessThanOrEqual(128 * KIB);
    },
  );

  it('reaches the transport in the memory of the caller', async () => {
    const { conn, transport } = wired('server');
    await turn();
    const written = memoryOfLargeWrites(transport);
    const data = Buffer.alloc(MIB);
    await conn.send(data);
    expect([...written]).toEqual([data.buffer]);
    conn.terminate();
  });

  describe.each(ROLES)('of text from a %s', (role) => {
    it.each(['ASCII ', 'ünïcödé ', '語'])('is encoded without a copy (%j)', async (text) => {
      expectAtMost(await perByteSent(role, text.repeat(200)), { copied: 0, allocated: 0 });
    });
  });
});
