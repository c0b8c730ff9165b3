import { createHook } from 'node:async_hooks';
import { afterEach, describe, expect, it } from 'vitest';
import type { Conn, Message } from '../../src/index.ts';
import { messageBlocks } from '../../src/read/message-blocks.ts';
import { type Wired, wired } from '../wired.ts';

/**
 * A connection to which messages come, of these sizes and in one chunk; each is filled with its
 * number.
 */
async function batch(sizes: readonly number[]): Promise<{ wire: Wired; feed: () => void }> {
  const wire = wired('server');
  // The first turn of a connection parses nothing.
  await wire.platform.settle();
  const frames = sizes.map((size, i) => wire.frame(2, new Uint8Array(size).fill(i + 1)));
  return { wire, feed: () => wire.feed(...frames) };
}

/** The next `count` messages, read one right after the other, as `feed` brings them. */
async function readAll(conn: Conn, count: number, feed: () => void): Promise<Message[]> {
  const messages: Message[] = [];
  let next = conn.readMessage();
  feed();
  for (let i = 0; i < count; i++) {
    messages.push(await next);
    if (i < count - 1) next = conn.readMessage();
  }
  return messages;
}

function intact(messages: readonly Message[], sizes: readonly number[]): boolean {
  return messages.every(({ data }, i) => {
    return data.length === sizes[i] && data.every((byte) => byte === i + 1);
  });
}

afterEach(() => {
  expect(messageBlocks.blockSize, 'memory held at the end of a turn').toBe(0);
});

describe('messages that are read in sequence', () => {
  it('share memory in groups of eight below 256 bytes', async () => {
    const sizes = Array<number>(16).fill(200);
    const { wire, feed } = await batch(sizes);
    const messages = await readAll(wire.conn, 16, feed);
    expect(intact(messages, sizes)).toBe(true);
    expect(new Set(messages.map(({ data }) => data.buffer)).size).toBe(2);
    expect(messageBlocks.blockSize).toBe(1600);
    await wire.platform.settle();
  });

  it('have memory of their own, or memory that the platform has marked', async () => {
    for (const marks of [true, false]) {
      const sizes = [65, 66, 100, 200, 200, 1000, 1000, 1000, 4095, 4096, 5000, 64, 1, 200];
      const { wire, feed } = await batch(sizes);
      const { platform } = wire;
      if (!marks) Object.assign(platform, { markUntransferable: undefined });
      const messages = await readAll(wire.conn, sizes.length, feed);
      const shared = messages.filter(({ data }) => data.buffer.byteLength !== data.length);
      expect(shared.length > 0).toBe(marks);
      expect(shared.filter(({ data }) => !platform.marked.has(data.buffer))).toEqual([]);
      await platform.settle();
    }
  });

  it('can be changed without an effect on each other', async () => {
    const sizes = [100, 101, 103, 107, 1000, 999, 70, 4096, 4096, 65, 66];
    const { wire, feed } = await batch(sizes);
    const messages = await readAll(wire.conn, sizes.length, feed);
    expect(intact(messages, sizes)).toBe(true);
    for (const [i, message] of messages.entries()) {
      message.data.fill(200);
      const others = messages.filter((other) => other !== message);
      expect(others.some(({ data }) => data.includes(200))).toBe(false);
      message.data.fill(i + 1);
    }
    expect(intact(messages, sizes)).toBe(true);
    await wire.platform.settle();
  });

  it('start at multiples of eight bytes', async () => {
    const sizes = [100, 101, 103, 107, 109, 111, 300, 304, 301, 305, 1000, 1001, 1002, 5000];
    const { wire, feed } = await batch(sizes);
    const messages = await readAll(wire.conn, sizes.length, feed);
    expect(intact(messages, sizes)).toBe(true);
    expect(messages.filter(({ data }) => data.byteOffset % 8 !== 0)).toEqual([]);
    await wire.platform.settle();
  });

  it('retain at most 8 times their bytes below 256 bytes, at most 20 times above', async () => {
    const sizes = [65, 4096, 65, 900, 66, 4096, 4096, 4095, 100, 1, 0, 64, 4097, 520, 70, 9000, 80];
    const { wire, feed } = await batch([...sizes, ...sizes, ...sizes]);
    for (const { data } of await readAll(wire.conn, sizes.length * 3, feed)) {
      const ratio = data.length < 256 ? 8 : 20;
      expect(data.buffer.byteLength).toBeLessThanOrEqual(data.length * ratio);
    }
    await wire.platform.settle();
  });

  it('have memory of their own from 4 KiB on', async () => {
    const sizes = [4097, 5000, 70_000];
    const { wire, feed } = await batch(sizes);
    const messages = await readAll(wire.conn, sizes.length, feed);
    expect(intact(messages, sizes)).toBe(true);
    expect(messages.map(({ data }) => data.buffer.byteLength)).toEqual(sizes);
    await wire.platform.settle();
  });

  it('of two connections never share memory, even when reads alternate', async () => {
    const sizes = Array<number>(12).fill(300);
    const one = await batch(sizes);
    const two = await batch(sizes);
    const [ones, twos] = await Promise.all([
      readAll(one.wire.conn, 12, one.feed),
      readAll(two.wire.conn, 12, two.feed),
    ]);
    expect([intact(ones, sizes), intact(twos, sizes)]).toEqual([true, true]);
    const buffers = new Set(ones.map(({ data }) => data.buffer));
    expect(twos.filter(({ data }) => buffers.has(data.buffer))).toEqual([]);
    await one.wire.platform.settle();
    await two.wire.platform.settle();
  });

  it('stay intact when the buffer of a neighbour was transferred before they were read', async () => {
    const sizes = Array<number>(16).fill(200);
    const { wire, feed } = await batch(sizes);
    let next = wire.conn.readMessage();
    feed();
    const seen: number[] = [];
    for (let i = 0; i < 16; i++) {
      const { data } = await next;
      seen.push(data.length, data[0]!, data[199]!);
      const buffer = data.buffer;
      structuredClone(buffer, { transfer: [buffer] });
      expect(data.length).toBe(0);
      if (i < 15) next = wire.conn.readMessage();
    }
    expect(seen).toEqual(sizes.flatMap((size, i) => [size, i + 1, i + 1]));
    await wire.platform.settle();
  });

  it('share no memory with those of the next turn', async () => {
    const { wire, feed } = await batch([200, 200, 200]);
    const [first] = await readAll(wire.conn, 3, feed);
    expect(messageBlocks.blockSize).toBeGreaterThan(0);
    await wire.platform.settle();
    expect(messageBlocks.blockSize).toBe(0);
    const [later] = await readAll(wire.conn, 3, feed);
    expect(later!.data.buffer).not.toBe(first!.data.buffer);
    await wire.platform.settle();
  });
});

describe('a chunk', () => {
  const long = 'c'.repeat(500);
  const reads: Record<string, (wire: Wired) => Promise<string>> = {
    readMessage: async ({ conn }) => {
      const message = await conn.readMessage();
      return message.text() + (await conn.readMessage()).text();
    },
    nextReader: async ({ conn }) => {
      const reader = await conn.nextReader();
      return (await reader.text()) + (await (await conn.nextReader()).text());
    },
    receive: async ({ conn, platform }) => {
      let all = '';
      void conn.receive((message) => void (all += message.text()));
      await platform.settle();
      return all;
    },
  };

  it.each(
    Object.entries(reads).flatMap(([name, read]) => {
      return (['server', 'client'] as const).map((role) => ({ name, role, read }));
    }),
  )('is lent to the $role for its call: $name', async ({ role, read }) => {
    const wire = wired(role);
    const { conn, frame, platform, sent, transport } = wire;
    await platform.settle();
    const first = conn.readMessage();
    const frames = [
      frame(2, new Uint8Array(1000).fill(1)),
      frame(1, 'a', { fin: false }),
      frame(9, 'p'),
      frame(0, 'b'),
      frame(1, long),
      frame(8, Uint8Array.of(0x03, 0xe8)),
    ];
    const all = new Uint8Array(Buffer.concat(frames));
    for (let at = 0; at < all.length; at += 700) {
      const chunk = all.slice(at, at + 700);
      transport.sink!.data(chunk);
      chunk.fill(0xff);
    }
    expect((await first).data).toEqual(new Uint8Array(1000).fill(1));
    expect(await read(wire)).toBe(`ab${long}`);
    await platform.settle();
    expect(sent()[0]).toContain('pong');
  });
});

describe('a separate buffer', () => {
  const own = ({ data }: Message): boolean => data.buffer.byteLength === data.length;

  it('belongs to a message below 256 bytes that arrives alone', async () => {
    const { wire, feed } = await batch([200]);
    expect((await readAll(wire.conn, 1, feed)).map(own)).toEqual([true]);
  });

  it('belongs to each message that is read ahead', async () => {
    const sizes = Array<number>(8).fill(1000);
    const { wire, feed } = await batch(sizes);
    feed();
    await wire.platform.settle();
    const messages = await readAll(wire.conn, 8, () => {});
    expect(intact(messages, sizes)).toBe(true);
    expect(messages.every(own)).toBe(true);
  });

  it('belongs to each message that is too small or too large for sharing', async () => {
    const sizes = [1, 64, 64, 4097, 4097, 4097, 64, 5000];
    const { wire, feed } = await batch(sizes);
    const messages = await readAll(wire.conn, sizes.length, feed);
    expect(intact(messages, sizes)).toBe(true);
    expect(messages.every(own)).toBe(true);
    await wire.platform.settle();
  });

  it('belongs to each message of several fragments', async () => {
    const { wire } = await batch([]);
    const { conn, frame } = wire;
    const half = new Uint8Array(150).fill(1);
    const frames = [frame(2, half, { fin: false }), frame(0, half)];
    const messages = await readAll(conn, 3, () => wire.feed(...frames, ...frames, ...frames));
    expect(intact(messages.slice(0, 1), [300])).toBe(true);
    expect(messages.every(own)).toBe(true);
    await wire.platform.settle();
  });
});

describe('a loop that echoes', () => {
  const loops = {
    async 'for await'(conn: Conn) {
      for await (const message of conn) await conn.send(message.data);
    },
    async readMessage(conn: Conn) {
      for (;;) await conn.send((await conn.readMessage()).data);
    },
    async 'for await, without waiting for its writes'(conn: Conn) {
      for await (const message of conn) void conn.send(message.data);
    },
  };

  for (const [name, loop] of Object.entries(loops)) {
    it(`answers each chunk with one write: ${name}`, async () => {
      for (const size of [16, 1024]) {
        const { wire, feed } = await batch(Array<number>(16).fill(size));
        const { conn, transport, platform } = wire;
        loop(conn).catch(() => {});
        for (let chunk = 1; chunk <= 5; chunk++) {
          feed();
          await platform.settle();
          expect([transport.writes.length, conn.stats.messagesOut]).toEqual([chunk, chunk * 16]);
        }
      }
    });
  }
});

describe('a message that is available', () => {
  /** How many promises `work` makes. */
  function promises(work: () => void): number {
    let made = 0;
    const hook = createHook({
      init(_id, type) {
        if (type === 'PROMISE') made++;
      },
    }).enable();
    work();
    hook.disable();
    return made;
  }

  it('costs one promise for every way to read', async () => {
    const { wire, feed } = await batch(Array<number>(9).fill(100));
    const { conn, platform } = wire;
    const iterator = conn[Symbol.asyncIterator]();
    const first = iterator.next();
    feed();
    expect((await first).value!.data[0]).toBe(1);
    const results: Promise<IteratorResult<Message, undefined>>[] = [];
    const iterating = promises(() => {
      for (let i = 0; i < 4; i++) results.push(iterator.next());
    });
    const messages: Promise<Message>[] = [];
    const reading = promises(() => {
      for (let i = 0; i < 4; i++) messages.push(conn.readMessage());
    });
    expect([iterating, reading]).toEqual([4, 4]);
    const values = (await Promise.all(results)).map(({ value }) => value!);
    const all = [...values, ...(await Promise.all(messages))];
    expect(all.map(({ data }) => data[0])).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    await platform.settle();
  });
});

describe('an iterator', () => {
  it('is done, permanently, when the connection closes normally during a wait', async () => {
    const { wire } = await batch([]);
    const iterator = wire.conn[Symbol.asyncIterator]();
    const next = iterator.next();
    wire.feed(wire.frame(8, Uint8Array.of(0x03, 0xe8)));
    expect(await next).toEqual({ done: true, value: undefined });
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('throws the error that ended the connection during a wait, at every call', async () => {
    const { wire } = await batch([]);
    const iterator = wire.conn[Symbol.asyncIterator]();
    const next = iterator.next();
    wire.feed(wire.frame(8, Uint8Array.of(0x03, 0xea)));
    await expect(next).rejects.toThrow('close 1002');
    await expect(iterator.next()).rejects.toThrow('close 1002');
  });

  it('rejects a second call while one waits', async () => {
    const { wire } = await batch([]);
    const iterator = wire.conn[Symbol.asyncIterator]();
    const next = iterator.next();
    await expect(iterator.next()).rejects.toThrow('for await while for await is pending');
    wire.feed(wire.frame(1, 'still there'));
    expect((await next).value!.text()).toBe('still there');
  });

  it('gives the message to the next read when an iterator is left while it waits', async () => {
    const { wire } = await batch([]);
    const iterator = wire.conn[Symbol.asyncIterator]();
    const next = iterator.next();
    expect(await iterator.return!()).toEqual({ done: true, value: undefined });
    expect(await next).toEqual({ done: true, value: undefined });
    wire.feed(wire.frame(1, 'kept'));
    expect((await wire.conn.readMessage()).text()).toBe('kept');
  });

  it('leaves the call of another iterator pending when it is left', async () => {
    const { wire } = await batch([]);
    const next = wire.conn[Symbol.asyncIterator]().next();
    await wire.conn[Symbol.asyncIterator]().return!();
    wire.feed(wire.frame(1, 'kept'));
    expect((await next).value!.text()).toBe('kept');
  });
});
