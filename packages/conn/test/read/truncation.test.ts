// No way to read a message ever ends as if the message were complete when it is not.
import { identityPlatform, NO_TAKEOVER, naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, type MessageReader, ReadPendingError, TextMessage } from '../../src/index.ts';

const PIECE = '"xxxxxxxx'.padEnd(3000, 'x');
const LAST = `${'x'.repeat(2999)}"`;
const TOTAL = 9000;

/** A server whose peer sends a text of three fragments of 3,000 bytes. */
function server(compressed: boolean) {
  const platform = identityPlatform();
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    role: 'server',
    platform,
    heartbeat: false,
    ...(compressed && {
      compression: true,
      deflate: NO_TAKEOVER,
    }),
  });
  const send = (opcode: number, text: string, fin: boolean): void => {
    const rsv = compressed && opcode !== 0 ? 0x40 : 0;
    transport.feed(naiveEncode(opcode, Buffer.from(text), { rsv, fin, mask: 0x01020304 }));
  };
  return { conn, platform, transport, send };
}

/** Reads a message and calls `cut` after its first bytes. Returns the number of bytes. */
const ways: Record<string, (reader: MessageReader, cut: () => void) => Promise<number>> = {
  async 'read(into)'(reader, cut) {
    const into = new Uint8Array(1000);
    let total = await reader.read(into);
    cut();
    for (let n = await reader.read(into); n > 0; n = await reader.read(into)) total += n;
    return total;
  },
  async 'bytes()'(reader, cut) {
    const all = reader.bytes();
    cut();
    return (await all).length;
  },
  async 'text()'(reader, cut) {
    const all = reader.text();
    cut();
    return (await all).length;
  },
  async 'json()'(reader, cut) {
    const all = reader.json();
    cut();
    return ((await all) as string).length + 2;
  },
  async 'read(into), then bytes()'(reader, cut) {
    const first = await reader.read(new Uint8Array(1000));
    cut();
    return first + (await reader.bytes()).length;
  },
  async 'for await'(reader, cut) {
    let total = 0;
    for await (const piece of reader) {
      if (total === 0) cut();
      total += piece.length;
    }
    return total;
  },
  async 'readable()'(reader, cut) {
    let total = 0;
    for await (const piece of reader.readable()) {
      if (total === 0) cut();
      total += piece.length;
    }
    return total;
  },
  async 'pipeTo()'(reader, cut) {
    let total = 0;
    await reader.readable().pipeTo(
      new WritableStream<Uint8Array>({
        write(piece) {
          if (total === 0) cut();
          total += piece.length;
        },
      }),
    );
    return total;
  },
};

type Server = ReturnType<typeof server>;

const cuts: Record<string, (server: Server) => void> = {
  'close()': ({ conn }) => void conn.close(1001),
  'terminate()': ({ conn }) => conn.terminate(),
  'a read deadline': ({ conn }) => conn.setReadDeadline(Date.now() - 1),
  'a failed ping handler': ({ conn, transport }) => {
    conn.setPingHandler(() => {
      throw Object.assign(new Error('ping handler'), { code: 'handler' });
    });
    transport.feed(naiveEncode(9, new Uint8Array(0), { mask: 1 }));
  },
  'an aborted writer': ({ conn }) => {
    void (async () => {
      const writer = await conn.nextWriter(TextMessage);
      void writer.write('x'.repeat(70_000));
      writer.abort();
    })();
  },
  'a fault of the peer': ({ transport }) => transport.feed(Uint8Array.of(0xff, 0xff)),
  'a reset': ({ transport }) => transport.break(new Error('reset')),
  'readMessage()': ({ conn }) => void conn.readMessage().catch(() => {}),
  'nextReader()': ({ conn }) => void conn.nextReader().catch(() => {}),
  'receive()': ({ conn }) => void conn.receive(() => {}).catch(() => {}),
  'discardReads()': ({ conn }) => void conn.discardReads().catch(() => {}),
  'a loop over messages': ({ conn }) => {
    void conn[Symbol.asyncIterator]()
      .next()
      .catch(() => {});
  },
};

const variants = ['plain', 'compressed'].flatMap((form) =>
  ['whole', 'in part', 'piece by piece'].flatMap((arrival) =>
    Object.keys(cuts).map((cut) => ({ form, arrival, cut })),
  ),
);

describe.each(Object.keys(ways))('a message that is read by %s', (way) => {
  it.each(variants)('is never truncated: $form, arrived $arrival, by $cut', async (variant) => {
    const peer = server(variant.form === 'compressed');
    const { conn, platform, transport, send } = peer;
    const next = conn.nextReader();
    send(1, PIECE, false);
    const reader = await next;
    const rest = async (): Promise<void> => {
      send(0, 'x'.repeat(3000), false);
      await platform.settle();
      if (variant.arrival === 'in part') return;
      send(0, LAST, true);
      await platform.settle();
    };
    if (variant.arrival !== 'piece by piece') await rest();
    let end: number | Error | undefined;
    const reading = ways[way]!(reader, () => cuts[variant.cut]!(peer)).then(
      (total) => (end = total),
      (error: Error) => (end = error),
    );
    await platform.settle();
    if (variant.arrival === 'piece by piece') await rest();
    if (end === undefined) transport.feedEnd();
    await platform.advance(60_000);
    await reading;
    if (typeof end === 'number') expect(end).toBe(TOTAL);
    else expect(end).toMatchObject({ code: expect.stringMatching(/^WS_ERR_|handler/) });
    conn.terminate();
  });
});

describe('a MessageReader that another read has left', () => {
  it('rejects with an error that names the read and the cure', async () => {
    for (const how of ['readMessage', 'nextReader', 'discardReads'] as const) {
      const { conn, send } = server(false);
      const next = conn.nextReader();
      send(1, PIECE, false);
      const reader = await next;
      void conn[how]();
      const into = new Uint8Array(9);
      for (const read of [() => reader.read(into), () => reader.bytes(), () => reader.text()]) {
        const error: unknown = await read().catch((e: unknown) => e);
        expect(error).toBeInstanceOf(ReadPendingError);
        expect(() => {
          throw error;
        }).toThrow(
          `the rest of this message was dropped, because ${how} began; read it to its end first`,
        );
      }
    }
  });

  it('still reports the end of a message that it has read to the end', async () => {
    const { conn, send } = server(false);
    const next = conn.nextReader();
    send(1, 'whole', true);
    const reader = await next;
    expect(await reader.text()).toBe('whole');
    void conn.readMessage();
    expect(await reader.read(new Uint8Array(9))).toBe(0);
    await expect(reader.text()).rejects.toThrow('the message was read before');
  });

  it('rejects after a loop or a web stream left it', async () => {
    const { conn, send } = server(false);
    const next = conn.nextReader();
    send(1, PIECE, false);
    const reader = await next;
    for await (const piece of reader) if (piece.length > 0) break;
    await expect(reader.bytes()).rejects.toThrow('its loop was left');
    const second = conn.nextReader();
    send(0, LAST, true);
    send(1, PIECE, false);
    const left = await second;
    await left.readable().cancel();
    await expect(left.bytes()).rejects.toThrow('its web stream was cancelled');
  });
});

describe('a message that is read to its end', () => {
  it.each([
    ['a read of a message', 'bytes()'],
    ['a loop over a message', 'for await'],
    ['a web stream of a message', 'readable()'],
    ['a web stream of a message', 'pipeTo()'],
  ] as const)('is held by %s: another read of the connection rejects', async (name, way) => {
    const { conn, platform, send } = server(false);
    const next = conn.nextReader();
    send(1, PIECE, false);
    const reader = await next;
    let clash: Promise<unknown> | undefined;
    const reading = ways[way]!(reader, () => {
      clash = conn.readMessage();
    });
    await platform.settle();
    await expect(clash).rejects.toThrow(`readMessage while ${name} is pending`);
    send(0, 'x'.repeat(3000), false);
    await platform.settle();
    const late = conn.readMessage();
    await expect(late).rejects.toBeInstanceOf(ReadPendingError);
    send(0, LAST, true);
    expect(await reading).toBe(TOTAL);
    send(1, 'next', true);
    expect((await conn.readMessage()).text()).toBe('next');
  });
});
