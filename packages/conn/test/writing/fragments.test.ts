// The option fragmentationThreshold: no frame has a longer payload.
import { naiveDecode, ToyExtension } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import {
  broadcast,
  CloseMessage,
  PongMessage,
  PreparedMessage,
  TextMessage,
} from '../../src/index.ts';
import { wired } from '../wired.ts';

const TEXT = 'abcdefghij';
const PARTS = ['text... abcd', 'cont... efgh', 'cont ij'];

describe.each(['server', 'client'] as const)(
  'B7-296 a message above the bound, of a %s',
  (role) => {
    const settings = { fragmentationThreshold: 4 };

    it('is several frames, whoever sends it', async () => {
      const bytes = Buffer.from(TEXT);
      const ways = {
        send: (conn) => conn.send(TEXT),
        writeMessage: (conn) => conn.writeMessage(TextMessage, bytes),
        writeJSON: (conn) => conn.writeJSON(12_345_678),
        prepared: (conn) => conn.writePreparedMessage(new PreparedMessage(TextMessage, TEXT)),
        broadcast: async (conn) => void broadcast([conn], TEXT),
        writer: async (conn) => {
          const writer = await conn.nextWriter(TextMessage);
          await writer.write(TEXT);
          await writer.close();
        },
      } satisfies Record<string, (conn: ReturnType<typeof wired>['conn']) => Promise<void>>;
      for (const [name, write] of Object.entries(ways)) {
        const { conn, output } = wired(role, settings);
        await write(conn);
        const parts = name === 'writeJSON' ? ['text... 1234', 'cont 5678'] : PARTS;
        expect(await output(), name).toEqual(parts);
        expect(conn.stats).toMatchObject({ messagesOut: 1, framesOut: parts.length });
      }
    });

    it('counts the bytes of a text, not its letters', async () => {
      const { conn, output } = wired(role, settings);
      await conn.send('abcd');
      await conn.send('äöü');
      expect(await output()).toEqual(['text abcd', 'text... äö', 'cont ü']);
    });

    it('is not changed by its caller after the call', async () => {
      const { conn, platform, transport } = wired(role, { fragmentationThreshold: 40_000 });
      const bytes = Buffer.alloc(100_000, 'a');
      void conn.send(bytes);
      bytes.fill('b');
      await platform.settle();
      const { frames } = naiveDecode(transport.sent, role === 'server' ? 'client' : 'server');
      const sent = frames.map(({ payload }) => Buffer.from(payload).toString());
      expect(sent).toEqual(['a'.repeat(40_000), 'a'.repeat(40_000), 'a'.repeat(20_000)]);
    });

    it('is sent in one step: a message, an abort and a close come after it', async () => {
      const { conn, platform, transport, output } = wired(role, settings);
      await platform.settle();
      const abort = new AbortController();
      const sent = conn.send(TEXT, { signal: abort.signal });
      abort.abort();
      void conn.send('next');
      void conn.close();
      await sent;
      expect(transport.writes).toHaveLength(0);
      expect(await output()).toEqual([...PARTS, 'text next', 'close 1000']);
    });

    it('is more frames than a turn has', async () => {
      const { conn, output } = wired(role, { fragmentationThreshold: 1 });
      const sent = conn.send('x'.repeat(2_500));
      void conn.send('y');
      await sent;
      const frames = await output();
      expect(frames).toHaveLength(2_501);
      expect(frames.slice(2_498)).toEqual(['cont... x', 'cont x', 'text y']);
    });

    it('lets a pong pass between two frames of a blocked transport', async () => {
      const { conn, block, drain, output } = wired(role, settings);
      await block('go');
      void conn.send(TEXT);
      void conn.writeControl(PongMessage, 'pong');
      await drain();
      expect((await output()).filter((text) => text !== 'pong pong')).toEqual([
        'text go',
        ...PARTS,
      ]);
    });

    it('is not queued at all when a key fails', async () => {
      if (role === 'server') return;
      const { conn, platform, output } = wired(role, settings);
      await conn.send('one');
      const randomFill = platform.randomFill.bind(platform);
      platform.randomFill = () => {
        throw new Error('no words');
      };
      // Many keys are made at a time.
      const results = await Promise.allSettled(
        Array.from({ length: 2_000 }, () => conn.send('x'.repeat(12))),
      );
      platform.randomFill = randomFill;
      const count = results.filter(({ status }) => status === 'fulfilled').length;
      expect(count).toBeLessThan(2_000);
      const frames = await output();
      expect(frames).toHaveLength(1 + 3 * count);
      expect(frames.at(-1)).toBe('cont xxxx');
      await conn.writeControl(CloseMessage);
    });
  },
);

describe('B7-296 a compressed message above the bound', () => {
  it('has RSV1 in its first frame only', async () => {
    const extension = new ToyExtension(0x40, 1);
    const { conn, platform, transport } = wired('server', { fragmentationThreshold: 4, extension });
    await conn.send('abcde');
    await platform.settle();
    // Each byte became two.
    expect(Buffer.from(transport.sent).toString('hex')).toBe(
      ['4104', '61606263', '0004', '63626465', '8002', '6564'].join(''),
    );
    expect(extension.log).toContain('sent');
  });
});

describe('B7-296 a prepared message', () => {
  it('keeps its frames for one bound, and is sent alone to others', async () => {
    const message = new PreparedMessage(TextMessage, TEXT);
    for (const fragmentationThreshold of [4, 4, 8, 4, false] as const) {
      const { conn, output } = wired('server', { fragmentationThreshold });
      await conn.writePreparedMessage(message);
      const parts = {
        4: PARTS,
        8: ['text... abcdefgh', 'cont ij'],
        false: [`text ${TEXT}`],
      }[`${fragmentationThreshold}`];
      expect(await output()).toEqual(parts);
    }
  });

  it('shares the memory of its frames', async () => {
    const message = new PreparedMessage(TextMessage, 'x'.repeat(100_000));
    const given = await Promise.all(
      [1, 2].map(async () => {
        const { conn, platform, transport } = wired('server', { fragmentationThreshold: 50_000 });
        const buffers: ArrayBufferLike[] = [];
        const write = transport.write.bind(transport);
        transport.write = (bytes, release) => {
          buffers.push(bytes.buffer);
          return write(bytes, release);
        };
        await conn.writePreparedMessage(message);
        await platform.settle();
        return buffers;
      }),
    );
    expect(given[0]).toHaveLength(2);
    expect(given[1]).toEqual(given[0]);
    expect(given[1]![0]).toBe(given[0]![0]);
  });
});

describe('the option fragmentationThreshold', () => {
  it.each([
    [0, RangeError],
    [1.5, RangeError],
    ['4', TypeError],
  ])('rejects %j', (value, error) => {
    expect(() => wired('server', { fragmentationThreshold: value as number })).toThrow(error);
    expect(() => wired('server', { fragmentationThreshold: value as number })).toThrow(
      /^fragmentationThreshold: /,
    );
  });
});
