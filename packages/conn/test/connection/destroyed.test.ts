import { perMessageDeflate } from '@ws/deflate';
import { FakePlatform, NO_TAKEOVER, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { collectGarbage } from '../../../../tests/kit/heap.ts';
import { Conn } from '../../src/index.ts';
import { PendingBytesMistake } from '../../src/internal.ts';
import { wired } from '../wired.ts';

// Connections whose transport is destroyed, or never starts.

describe.each(['server', 'client'] as const)('a destroyed transport of a %s', (role) => {
  it('makes the state closing at once, and silences the heartbeat', async () => {
    for (const how of ['terminate', 'signal', 'write deadline'] as const) {
      const { conn, platform, transport } = wired(role, {
        heartbeat: { interval: 100, timeout: 100 },
      });
      await platform.settle();
      // This transport never reports its close.
      transport.destroy = () => {};
      if (how === 'terminate') conn.terminate();
      else if (how === 'signal') {
        const control = new AbortController();
        void conn.close(1000, '', { signal: control.signal });
        control.abort();
      } else {
        transport.block();
        void conn.send('unsent');
        conn.setWriteDeadline(1);
      }
      expect(conn.state).toBe('closing');
      const { pingsOut } = conn.stats;
      await platform.advance(1_000);
      expect(conn.stats.pingsOut).toBe(pingsOut);
      expect(conn.state).toBe('closing');
    }
  });
});

describe('a transport that closes because bytes of a write were detached', () => {
  it('is reported once, although the close waits for the input', async () => {
    const reports: unknown[] = [];
    const test = wired('server', { report: (error) => void reports.push(error) });
    const { conn, transport, platform, frame } = test;
    // The first pass has not run: the close waits for it.
    transport.feed(frame(1, 'x'));
    transport.sink!.close(new PendingBytesMistake());
    await platform.settle();
    expect(conn.state).toBe('closed');
    expect(reports).toEqual([expect.any(PendingBytesMistake)]);
  });
});

describe('a transport whose start throws', () => {
  it('leaves no timer', async () => {
    const platform = new FakePlatform();
    const transport = new TestTransport();
    transport.start = () => {
      throw new Error('no');
    };
    expect(() => new Conn(transport, { role: 'server', platform })).toThrow('no');
    expect([platform.timers, platform.deferred, platform.yielded]).toEqual([0, 0, 0]);
    await platform.advance(60_000);
    expect(transport.writes).toEqual([]);
  });
});

describe('300 connections that die with an unfinished message', () => {
  it.each([
    ['plain', {}],
    ['compressed', { deflate: NO_TAKEOVER }],
  ] as const)('leave nothing: %s', async (_says, options) => {
    // The frames are not compressed, so that no engine works.
    const deflate = perMessageDeflate({
      memoryBudget: Infinity,
      generation: 0,
      inflater: () => expect.unreachable(),
      deflater: () => expect.unreachable(),
    });
    const platform = Object.assign(new FakePlatform(), { deflate });
    const bytes = (): number => {
      collectGarbage();
      return process.memoryUsage().arrayBuffers;
    };
    const die = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i++) {
        const transport = new TestTransport();
        // Nothing reads it.
        void new Conn(transport, { role: 'client', platform, heartbeat: false, ...options });
        await platform.settle();
        const frame = new Uint8Array(90_010);
        frame.set([0x02, 127, 0, 0, 0, 0, 0, 1, 0x5f, 0x90]);
        transport.feed(frame);
        await platform.settle();
        transport.feedLate(Uint8Array.of(0x00, 100, ...new Uint8Array(100)));
        await platform.settle();
        transport.break(new Error('reset'));
        await platform.settle();
      }
    };
    await die(10);
    const before = bytes();
    await die(100);
    // Before, each left its 86 KB.
    expect(bytes() - before).toBeLessThan(2 << 20);
  });
});
