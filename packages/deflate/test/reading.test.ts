// Inflated messages. The fake engine doubles every byte of the wire.

import { Conn } from '@ws/conn';
import {
  inflatingPlatform,
  NO_TAKEOVER,
  naiveEncode,
  RepeatingInflater,
  TestTransport,
} from '@ws/tests';
import { describe, expect, it } from 'vitest';

/** A client that inflates what it is sent. */
function inflating() {
  const outputs = new Set<Uint8Array>();
  const platform = inflatingPlatform(() => new RepeatingInflater(2, outputs));
  const transport = new TestTransport();
  const conn = new Conn(transport, {
    heartbeat: false,
    role: 'client',
    platform,
    compression: true,
    deflate: NO_TAKEOVER,
  });
  /** The peer sends a frame; the first of a message says that it is compressed. */
  const feed = (opcode: number, text: string, fin = true): void => {
    const rsv = opcode === 0 ? 0 : 0x40;
    transport.feed(naiveEncode(opcode, Buffer.from(text), { rsv, fin }));
  };
  return { conn, platform, transport, feed, outputs };
}

describe('a compressed message that is read as a stream', () => {
  it('arrives in pieces, and each piece stays intact when the next is inflated', async () => {
    const { conn, feed } = inflating();
    const next = conn.nextReader();
    const pieces: string[] = [];
    feed(1, 'ab', false);
    const reader = await next;
    const kept: Uint8Array[] = [];
    const reading = (async () => {
      for await (const piece of reader) {
        kept.push(piece);
        pieces.push(Buffer.from(piece).toString());
      }
    })();
    feed(0, 'cd', false);
    feed(0, 'ef');
    await reading;
    expect(pieces.join('')).toBe('aabbccddeeff');
    expect(Buffer.concat(kept).toString()).toBe('aabbccddeeff');
  });

  it('keeps its unread pieces while others are inflated, in memory outside the inflater', async () => {
    const { conn, feed, platform, outputs } = inflating();
    const next = conn.nextReader();
    feed(1, 'a'.repeat(3000), false);
    const reader = await next;
    for (const letter of 'bcd') {
      feed(0, letter.repeat(3000), false);
      await platform.settle();
    }
    feed(0, 'e');
    await platform.settle();
    expect(await reader.text()).toBe(
      ['a', 'b', 'c', 'd']
        .map((letter) => letter.repeat(6000))
        .join('')
        .concat('ee'),
    );
    expect(outputs.size).toBe(1);
  });

  it('can become a stream after its first part was inflated', async () => {
    const { conn, feed, platform } = inflating();
    feed(1, 'ab', false);
    await platform.settle();
    const reader = await conn.nextReader();
    feed(0, 'cd');
    expect(await reader.text()).toBe('aabbccdd');
  });

  it('can be abandoned, and the next one is read', async () => {
    const { conn, feed, platform } = inflating();
    const next = conn.nextReader();
    feed(1, 'ab', false);
    for await (const _ of await next) break;
    feed(0, 'cd', false);
    feed(0, 'ef');
    feed(1, 'next');
    await platform.settle();
    expect((await conn.readMessage()).text()).toBe('nneexxtt');
  });
});

describe('a compressed message that a handler borrows', () => {
  it('is inflated into the same memory as the previous one', async () => {
    const { conn, feed, platform, outputs } = inflating();
    const seen: string[] = [];
    void conn.receive((message) => void seen.push(message.text()));
    await platform.settle();
    for (const text of ['ab', 'cd', 'ef']) feed(1, text);
    await platform.settle();
    expect(seen).toEqual(['aabb', 'ccdd', 'eeff']);
    expect(outputs.size).toBe(1);
  });

  it('stays intact while the handler runs', async () => {
    const { conn, feed, platform } = inflating();
    const seen: string[] = [];
    const open: (() => void)[] = [];
    void conn.receive((message) => {
      return new Promise<void>((resolve) => {
        open.push(() => {
          seen.push(message.text());
          resolve();
        });
      });
    });
    await platform.settle();
    for (const text of ['ab', 'cd', 'ef']) feed(1, text);
    for (let i = 0; i < 3; i++) {
      await platform.settle();
      open[i]!();
    }
    await platform.settle();
    expect(seen).toEqual(['aabb', 'ccdd', 'eeff']);
  });
});

describe('a large compressed message whose read is cancelled during inflation', () => {
  it('keeps the transport paused for idleReadTimeout and no longer', async () => {
    const { conn, feed, platform, transport } = inflating();
    await platform.settle();
    const stop = new AbortController();
    const read = conn.readMessage({ signal: stop.signal });
    feed(2, 'x'.repeat(1 << 20));
    stop.abort(new Error('enough'));
    await expect(read).rejects.toThrow('enough');
    await platform.advance(299_000);
    expect([transport.paused, conn.state]).toEqual([true, 'open']);
    await platform.advance(2_000);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });
});
