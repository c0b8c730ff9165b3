import { describe, expect, it } from 'vitest';
import { type Outcome, survives, type Watch } from '../../src/hostile/index.ts';
import { turn } from '../../src/index.ts';
import { pack } from '../compression/support.ts';
import { deflatingHost, frame, SHARED, victim, warmUp } from './victim.ts';

const READ_AHEAD = 64 * 1024;
const RSV1 = 0x40;
const MEGABYTE = Buffer.alloc(1_000_000, 'a');

/** What is sent to a connection that nobody reads, frame by frame. */
const SHAPES: readonly (readonly [says: string, frames: readonly Buffer[]])[] = [
  ['one big frame', [frame('server', 2, MEGABYTE)]],
  [
    'many fragments',
    Array.from({ length: 200 }, (_, i) =>
      frame('server', i === 0 ? 2 : 0, MEGABYTE.subarray(0, 5_000), { fin: false }),
    ),
  ],
  [
    'empty messages',
    Array.from({ length: 100 }, () => Buffer.alloc(6 * 100, frame('server', 2, '', { key: 0 }))),
  ],
  ['compressed', [frame('server', 2, pack(MEGABYTE), { rsv: RSV1 })]],
  [
    'controls interleaved',
    Array.from({ length: 400 }, (_, i) =>
      frame('server', i % 2 === 0 ? 2 : 9, MEGABYTE.subarray(0, i % 2 === 0 ? 5_000 : 125)),
    ),
  ],
  ['claimed but not sent', [frame('server', 2, '', { claims: 1_000_000 })]],
];

describe('the read-ahead of a connection that nobody reads', () => {
  it.each(SHAPES)('holds no more than it may of %s', async (says, frames) => {
    const lending = deflatingHost();
    const bytes = Buffer.concat(frames);
    const rounds = 4;
    const ready = Array.from({ length: rounds + 2 }, () =>
      victim('server', { deflate: SHARED }, lending),
    );
    await lending.settle();
    const attack = async (watch: Watch): Promise<Outcome> => {
      const target = ready.pop()!;
      const { transport, conn, host } = target;
      // A peer that minds the window: it stops when the transport is paused.
      let sent = 0;
      for (; sent < bytes.length && !transport.paused; sent += 4_096) {
        transport.feed(bytes.subarray(sent, sent + 4_096));
        await host.settle();
        await turn();
      }
      // Compressed, what counts is the plain text: the read-ahead is full of it.
      watch.sent(says === 'compressed' ? READ_AHEAD : Math.min(sent, READ_AHEAD));
      watch.weigh();
      expect(sent).toBeLessThanOrEqual(Math.min(bytes.length + 4_096, READ_AHEAD + 3 * 4_096));
      expect(conn.state).toBe('open');
      if (says !== 'compressed' && bytes.length > READ_AHEAD) expect(transport.paused).toBe(true);
      await target.end();
      return {};
    };
    await warmUp(attack, 2);
    await survives(55, attack, { rounds });
  });
});
