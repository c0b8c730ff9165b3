// A pull reader has handled a message when it asks for the next one. A close frame or a FIN that
// arrived directly after the message waits for that, so that the answer is sent.
import {
  type FakePlatform,
  identityPlatform,
  inWords,
  NO_TAKEOVER,
  naiveDecode,
  naiveEncode,
  TestTransport,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn } from '../../src/index.ts';

const CLOSE_1000 = Uint8Array.of(0x03, 0xe8);

function server(compressed: boolean) {
  const platform = identityPlatform();
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    role: 'server',
    platform,
    heartbeat: false,
    closeTimeout: 5000,
    ...(compressed && {
      compression: true,
      deflate: NO_TAKEOVER,
    }),
  });
  const frame = (opcode: number, payload: string | Uint8Array): Uint8Array =>
    naiveEncode(opcode, typeof payload === 'string' ? Buffer.from(payload) : payload, {
      mask: 1,
      rsv: compressed && opcode === 1 ? 0x40 : 0,
    });
  const sent = (): string[] => naiveDecode(transport.sent, 'client').frames.map(inWords);
  return { conn, platform, transport, frame, sent };
}

/** Answers every message after 100 ms of work. Resolves when reading has ended. */
const loops: Record<string, (conn: Conn, work: () => Promise<void>) => Promise<unknown>> = {
  receive: (conn, work) =>
    conn.receive(async (message) => {
      const text = message.text();
      await work();
      await conn.send(text, { compress: false });
    }),
  async 'for await'(conn, work) {
    for await (const message of conn) {
      await work();
      await conn.send(message.text(), { compress: false });
    }
  },
  async readMessage(conn, work) {
    for (;;) {
      const message = await conn.readMessage();
      await work();
      await conn.send(message.text(), { compress: false });
    }
  },
  async readJSON(conn, work) {
    for (;;) {
      const value = await conn.readJSON();
      await work();
      await conn.send(JSON.stringify(value), { compress: false });
    }
  },
  async nextReader(conn, work) {
    for (;;) {
      const text = await (await conn.nextReader()).text();
      await work();
      await conn.send(text, { compress: false });
    }
  },
  async 'nextReader, in pieces'(conn, work) {
    for (;;) {
      const pieces: Uint8Array[] = [];
      for await (const piece of await conn.nextReader()) {
        await work();
        pieces.push(piece);
      }
      await work();
      await conn.send(Buffer.concat(pieces).toString(), { compress: false });
    }
  },
};

const workOf = (platform: FakePlatform) => (): Promise<void> =>
  new Promise((resolve) => {
    platform.setTimer(100, resolve);
  });

const ends = ['close', 'FIN', 'close and FIN'] as const;
const cases = Object.keys(loops).flatMap((loop) =>
  ends.flatMap((end) =>
    ['plain', 'compressed'].flatMap((form) =>
      ['together', 'later'].map((arrival) => ({ loop, end, form, arrival })),
    ),
  ),
);

describe('the answer to the last message', () => {
  it.each(cases)('is sent: $loop, $end, $form, $arrival', async ({ loop, end, form, arrival }) => {
    const { conn, platform, transport, frame, sent } = server(form === 'compressed');
    const failure = loops[loop]!(conn, workOf(platform)).catch((error: unknown) => error);
    await platform.settle();
    const close = end === 'FIN' ? [] : [frame(8, CLOSE_1000)];
    const texts = [frame(1, '"first"'), frame(1, '"last"')];
    if (arrival === 'together') transport.feed(Buffer.concat([...texts, ...close]));
    else {
      for (const text of texts) transport.feed(text);
      await platform.settle();
      for (const bytes of close) transport.feed(bytes);
    }
    if (end !== 'close') transport.feedEnd();
    await platform.advance(1000);
    const closes = end === 'FIN' ? [] : ['close 1000'];
    expect(sent()).toEqual(['text "first"', 'text "last"', ...closes]);
    if (end === 'FIN') {
      expect(await failure).toMatchObject({ closeCode: 1006 });
    } else if (loop !== 'for await' && loop !== 'receive') {
      expect(await failure).toMatchObject({ closeCode: 1000 });
    }
    transport.break();
    await platform.settle();
    expect(await conn.closed).toMatchObject({ code: end === 'FIN' ? 1006 : 1000 });
  });

  it('is waited for from the close frame on, not again from the FIN', async () => {
    const { conn, platform, transport, frame, sent } = server(false);
    const message = conn.readMessage();
    transport.feed(frame(1, 'last'));
    await message;
    transport.feed(frame(8, CLOSE_1000));
    await platform.advance(2_000);
    transport.feedEnd();
    await platform.advance(400);
    expect(sent()).toEqual([]);
    await platform.advance(200);
    expect(sent()).toEqual(['close 1000']);
  });

  it('is waited for after a break', async () => {
    const { conn, platform, transport, frame, sent } = server(false);
    transport.feed(Buffer.concat([frame(1, 'last'), frame(8, CLOSE_1000)]));
    for await (const message of conn) if (message.text() === 'last') break;
    await platform.advance(100);
    await conn.send('answer');
    await expect(conn.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(sent()).toEqual(['text answer', 'close 1000']);
  });

  it.each(ends)('is not waited for when the message is cut: %s', async (end) => {
    const { conn, platform, transport, frame, sent } = server(false);
    const next = conn.nextReader();
    transport.feed(naiveEncode(1, Buffer.from('begun'), { mask: 1, fin: false }));
    const all = (await next).bytes();
    if (end !== 'FIN') transport.feed(frame(8, CLOSE_1000));
    if (end !== 'close') transport.feedEnd();
    const told = end === 'FIN' ? { closeCode: 1006 } : { cause: { closeCode: 1000 } };
    await expect(all).rejects.toMatchObject(told);
    await platform.settle();
    expect(sent()).toEqual(end === 'FIN' ? [] : ['close 1000']);
    expect(conn.state).not.toBe('open');
  });
});
