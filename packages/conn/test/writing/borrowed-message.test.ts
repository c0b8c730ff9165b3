// A borrowed message that is sent: copied when it is small, else sent from its own memory.
import { BinaryMessage, sharedMessageBuffers, TextMessage } from '@ws/codec';
import { FakePlatform, naiveEncode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import type { BorrowedMessage } from '../../src/index.ts';
import { RESOLVED } from '../../src/time/promises.ts';
import { wired } from '../wired.ts';

/** A server that answers each message by `answer`. */
async function answering(answer: (message: BorrowedMessage) => void, mark?: number) {
  const end = wired('server', { maxBufferedAmount: 1 << 24 }, mark);
  void end.conn.receive((message) => answer(message));
  await end.platform.settle();
  return end;
}

describe('a borrowed message that is sent', () => {
  it.each([32_768, 65_535, 65_536, 300_000])(
    'of %d bytes leaves as one chunk, and its promise is settled already',
    async (size) => {
      const sent: Promise<void>[] = [];
      const end = await answering((message) => sent.push(end.conn.send(message)));
      const { lent } = sharedMessageBuffers();
      end.feed(end.frame(BinaryMessage, new Uint8Array(size).fill(7)));
      await end.platform.settle();
      const header = size < 65_536 ? 4 : 10;
      expect(end.transport.writes.map(({ length }) => length)).toEqual([header + size]);
      expect(end.sent()).toEqual([`binary <${size}>`]);
      expect(sent).toEqual([RESOLVED]);
      expect(sharedMessageBuffers().lent).toBe(lent);
    },
  );

  it.each([10, 40_000])(
    'of %d bytes stays as it is while a slow transport has it',
    async (size) => {
      const end = await answering((message) => void end.conn.send(message), 1 << 24);
      end.transport.block();
      const payloads = [1, 2, 3, 4].map((fill) => new Uint8Array(size).fill(fill));
      for (const payload of payloads) {
        end.feed(end.frame(BinaryMessage, payload));
        await end.platform.settle();
      }
      // A TestTransport checks held bytes at their release.
      end.transport.drain();
      const frames = payloads.map((payload) => naiveEncode(BinaryMessage, payload));
      expect(Buffer.compare(end.transport.sent, Buffer.concat(frames))).toBe(0);
    },
  );

  it('may be sent with several types and to several connections', async () => {
    const platform = new FakePlatform();
    const others = [0, 1].map(() => wired('server', {}, 1 << 24, platform));
    for (const { transport } of others) transport.block();
    const text = 'a'.repeat(40_000);
    const end = await answering((message) => {
      void others[0]!.conn.writeMessage(TextMessage, message);
      void others[0]!.conn.writeMessage(BinaryMessage, message);
      void others[1]!.conn.writeMessage(BinaryMessage, message);
      void others[1]!.conn.writeMessage(TextMessage, message);
    });
    end.feed(end.frame(TextMessage, text));
    await platform.settle();
    for (const { transport } of others) transport.drain();
    expect(others.map(({ sent }) => sent())).toEqual([
      ['text <40000>', 'binary <40000>'],
      ['binary <40000>', 'text <40000>'],
    ]);
  });

  it('waits for the drain of a transport above its high-water mark', async () => {
    const sent: Promise<void>[] = [];
    const end = await answering((message) => sent.push(end.conn.send(message)));
    end.transport.block();
    for (const size of [40_000, 100_000]) {
      end.feed(end.frame(BinaryMessage, new Uint8Array(size)));
      await end.platform.settle();
    }
    expect(sent.map((promise) => promise === RESOLVED)).toEqual([true, false]);
    end.transport.drain();
    await sent[1];
    expect(end.sent()).toEqual(['binary <40000>', 'binary <100000>']);
  });
});
