// Without a read, the messages before a close frame or a FIN have nothing to wait for: the answer
// is sent at once, and later reads still return the messages.
import {
  identityPlatform,
  inWords,
  NO_TAKEOVER,
  naiveDecode,
  naiveEncode,
  TestTransport,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';

const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);
const TEXTS = ['one', 'two', 'three'];

function connected(role: 'server' | 'client', compressed: boolean, readAhead = 65_536) {
  const platform = identityPlatform();
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    role,
    platform,
    heartbeat: false,
    readAhead,
    ...(compressed && {
      compression: true,
      deflate: NO_TAKEOVER,
    }),
  });
  const frame = (opcode: number, payload: string | Uint8Array): Uint8Array =>
    naiveEncode(opcode, typeof payload === 'string' ? Buffer.from(payload) : payload, {
      ...(role === 'server' && { mask: 1 }),
      rsv: compressed && opcode === 1 ? 0x40 : 0,
    });
  const sent = (): string[] =>
    naiveDecode(transport.sent, role === 'server' ? 'client' : 'server').frames.map(inWords);
  const texts = TEXTS.map((text) => frame(1, text));
  return { conn, platform, transport, frame, sent, texts };
}

/** Reads all messages, then the error of the next read. */
const readers: Record<string, (conn: Conn) => Promise<unknown[]>> = {
  async readMessage(conn) {
    const read: unknown[] = [];
    for (;;) {
      try {
        read.push((await conn.readMessage()).text());
      } catch (error) {
        return [...read, error];
      }
    }
  },
  async nextReader(conn) {
    const read: unknown[] = [];
    for (;;) {
      try {
        read.push(await (await conn.nextReader()).text());
      } catch (error) {
        return [...read, error];
      }
    }
  },
  async 'for await'(conn) {
    const read: unknown[] = [];
    try {
      for await (const message of conn) read.push(message.text());
    } catch {}
    return [...read, await conn.readMessage().catch((error: unknown) => error)];
  },
  async receive(conn) {
    const read: unknown[] = [];
    await conn.receive((message) => void read.push(message.text())).catch(() => {});
    return [...read, await conn.readMessage().catch((error: unknown) => error)];
  },
};

const cases = (['server', 'client'] as const).flatMap((role) =>
  ['plain', 'compressed'].flatMap((form) =>
    ['close', 'FIN', 'close and FIN'].map((end) => ({ role, form, end })),
  ),
);

describe.each(cases)('without a read: $role, $form, $end', ({ role, form, end }) => {
  const answer = end === 'FIN' ? [] : ['close 1000'];
  const code = end === 'FIN' ? 1006 : 1000;

  it('answers at once in every segmentation', async () => {
    const total = connected(role, form === 'compressed');
    const bytes = Buffer.concat([
      ...total.texts,
      ...(end === 'FIN' ? [] : [total.frame(8, CLOSE_1000)]),
    ]);
    for (let size = 1; size <= bytes.length; size++) {
      const { conn, platform, transport, sent } = connected(role, form === 'compressed');
      for (let at = 0; at < bytes.length; at += size) {
        transport.feed(bytes.subarray(at, at + size));
        if (size % 2 === 0) await platform.settle();
      }
      if (end !== 'close') transport.feedEnd();
      await platform.settle();
      expect([size, sent(), conn.state === 'open']).toEqual([size, answer, false]);
    }
  });

  it.each(Object.keys(readers))('keeps the messages before it for %s', async (reader) => {
    for (const closed of [false, true]) {
      const { conn, platform, transport, frame, texts } = connected(role, form === 'compressed');
      for (const text of texts) transport.feed(text);
      if (end !== 'FIN') transport.feed(frame(8, CLOSE_1000));
      if (end !== 'close') transport.feedEnd();
      await platform.settle();
      if (closed) {
        transport.break();
        expect(await conn.closed).toMatchObject({ code });
      }
      const all = readers[reader]!(conn);
      await platform.settle();
      transport.break();
      const read = await all;
      expect(read.slice(0, -1)).toEqual(TEXTS);
      expect(read.at(-1)).toMatchObject({ name: 'CloseError', closeCode: code });
    }
  });

  it.each([
    [
      'returns its answer',
      (conn: Conn, got: string[]) => (m: { text(): string }) => {
        got.push(m.text());
        return conn.send('answer');
      },
    ],
    [
      'awaits its answer',
      (conn: Conn, got: string[]) => async (m: { text(): string }) => {
        got.push(m.text());
        await conn.send('answer');
      },
    ],
    [
      'throws the error of its answer',
      (conn: Conn, got: string[]) => (m: { text(): string }) => {
        got.push(m.text());
        return conn.send('answer').catch((error: unknown) => {
          throw error;
        });
      },
    ],
  ])('delivers all messages to a late receive whose handler %s', async (_, handler) => {
    for (const closed of [false, true]) {
      const { conn, platform, transport, frame, texts } = connected(role, form === 'compressed');
      for (const text of texts) transport.feed(text);
      if (end !== 'FIN') transport.feed(frame(8, CLOSE_1000));
      if (end !== 'close') transport.feedEnd();
      await platform.settle();
      if (closed) transport.break();
      const got: string[] = [];
      const receiving = conn.receive(handler(conn, got)).catch((error: unknown) => error);
      await platform.settle();
      transport.break();
      expect(await receiving).toMatchObject(
        end === 'FIN' ? { closeCode: 1006 } : { code: 1000, wasClean: true },
      );
      expect(got).toEqual(TEXTS);
    }
  });

  if (end !== 'FIN') {
    it('keeps the messages for a close handler that answers by itself', async () => {
      const { conn, platform, transport, frame, sent, texts } = connected(
        role,
        form === 'compressed',
      );
      conn.setCloseHandler(() => void conn.close(4001));
      for (const text of texts) transport.feed(text);
      transport.feed(frame(8, CLOSE_1000));
      if (end !== 'close') transport.feedEnd();
      await platform.settle();
      expect(sent()).toEqual(['close 4001']);
      const got: string[] = [];
      for await (const message of conn) got.push(message.text());
      expect(got).toEqual(TEXTS);
    });
  }

  it('waits while the handler of the connection runs, and answers when it settles', async () => {
    const { conn, platform, transport, frame, sent, texts } = connected(
      role,
      form === 'compressed',
    );
    internalsOf(conn).connHandlerStarted();
    for (const text of texts) transport.feed(text);
    if (end !== 'FIN') transport.feed(frame(8, CLOSE_1000));
    if (end !== 'close') transport.feedEnd();
    await platform.advance(1_000);
    expect([sent(), conn.state]).toEqual([[], 'open']);
    internalsOf(conn).connHandlerSettled();
    await platform.settle();
    expect([sent(), conn.state === 'open']).toEqual([answer, false]);
  });

  it('waits for the other messages once a read was started', async () => {
    const { conn, platform, transport, frame, sent, texts } = connected(
      role,
      form === 'compressed',
    );
    const first = conn.readMessage();
    for (const text of texts) transport.feed(text);
    if (end !== 'FIN') transport.feed(frame(8, CLOSE_1000));
    if (end !== 'close') transport.feedEnd();
    expect((await first).text()).toBe('one');
    await platform.advance(1_000);
    expect([sent(), conn.state]).toEqual([[], 'open']);
    await platform.advance(2_000);
    expect(sent()).toEqual(answer);
  });
});

it('a close frame beyond readAhead is not answered before the messages are read', async () => {
  const { conn, platform, transport, frame, sent } = connected('server', false, 4_096);
  for (let i = 0; i < 10; i++) transport.feed(frame(1, 'x'.repeat(1_000)));
  transport.feed(frame(8, CLOSE_1000));
  await platform.settle();
  expect([sent(), conn.state]).toEqual([[], 'open']);
});
