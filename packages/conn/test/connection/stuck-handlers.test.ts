// A handler that never settles keeps no pooled memory after the end of its connection.
import { sharedMessageBuffers } from '@ws/codec';
import { describe, expect, it } from 'vitest';
import { BinaryMessage, type BorrowedMessage } from '../../src/index.ts';
import { type Wired, wired } from '../wired.ts';

const SIZE = 100_000;

const ENDS: Readonly<Record<string, (test: Wired) => void>> = {
  'is terminated': ({ conn }) => conn.terminate(),
  breaks: ({ transport }) => transport.break(new Error('reset')),
  'is closed by both': ({ conn, feed, frame, transport }) => {
    void conn.close();
    feed(frame(8, Uint8Array.of(3, 232)));
    transport.feedEnd();
  },
  'is closed, without an answer': ({ conn }) => void conn.close(),
  fails: ({ feed, frame }) => feed(frame(3, 'x')),
};

/** A server whose handler got a message and never settles. */
async function stuck(handle: (message: BorrowedMessage, test: Wired) => void = () => {}) {
  const test = wired('server', { closeTimeout: 100, report: () => {} });
  let settle!: () => void;
  const before = sharedMessageBuffers().lent;
  let message!: BorrowedMessage;
  void test.conn
    .receive((borrowed) => {
      message = borrowed;
      handle(borrowed, test);
      return new Promise((resolve) => (settle = resolve));
    })
    .catch(() => {});
  await test.platform.settle();
  test.feed(test.frame(BinaryMessage, new Uint8Array(SIZE).fill(7)));
  await test.platform.settle();
  return { ...test, before, message, settle };
}

describe.each(Object.entries(ENDS))(
  'a connection that %s while its handler is pending',
  (_, end) => {
    it('gives its memory back, and the handler still has the message', async () => {
      const test = await stuck();
      const { message, before, platform } = test;
      expect(sharedMessageBuffers().lent).toBeGreaterThan(before);
      end(test);
      await platform.advance(1_000);
      expect(test.transport.closed).toBe(true);
      expect(sharedMessageBuffers().lent).toBe(before);
      // The memory may belong to another message now.
      sharedMessageBuffers().take(SIZE).fill(9);
      expect([...new Set(message.data)]).toEqual([7]);
      expect([message.length, message.isText]).toEqual([SIZE, false]);
      expect(message.borrow().length).toBe(SIZE);
      test.settle();
      await platform.settle();
      expect(() => message.data).toThrow('after its handler was done');
      expect(sharedMessageBuffers().lent).toBe(before + 1);
    });

    it('keeps the memory of a view until the handler has settled', async () => {
      let view!: Uint8Array;
      const test = await stuck((message) => (view = message.borrow()));
      end(test);
      await test.platform.advance(1_000);
      sharedMessageBuffers().take(SIZE).fill(9);
      expect([...new Set(view)]).toEqual([7]);
      test.settle();
      await test.platform.settle();
      expect(sharedMessageBuffers().lent).toBe(test.before + 1);
    });
  },
);

it('a connection that its handler ends within the call keeps the message for the handler', async () => {
  const test = await stuck((_message, { conn }) => conn.terminate());
  await test.platform.settle();
  expect([...new Set(test.message.data)]).toEqual([7]);
  expect(sharedMessageBuffers().lent).toBe(test.before);
});
