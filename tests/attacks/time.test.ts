import { getEventListeners } from 'node:events';
import {
  Conn,
  connPair,
  PongMessage,
  TextMessage,
  TimeoutError,
  type Transport,
  type TransportSink,
} from '@ws/conn';
import { nodePlatform } from '@ws/node-io';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakePlatform, turn } from '../kit/fake-platform.ts';
import { TestTransport } from '../kit/test-transport.ts';
import { atLeast, atMost, claim, survives } from './harness/index.ts';
import { frame, targetConn } from './target-conn.ts';

const DAY = 86_400_000;

/** A transport that discards everything. */
class Wire implements Transport {
  sink: TransportSink | undefined;
  readonly bufferedAmount = 0;

  start(sink: TransportSink): void {
    this.sink = sink;
  }

  write(_: Uint8Array, release?: () => void): boolean {
    release?.();
    return true;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

describe('the timers of many connections', () => {
  it('share one timer, and need none after their end', async () => {
    const platform = new FakePlatform();
    /** Opens and ends `count` connections with all kinds of timers. */
    const churn = async (count: number) => {
      let connections = 0;
      let most = 0;
      while (connections < count) {
        const wires: Wire[] = [];
        while (wires.length < 1_000) {
          const wire = new Wire();
          const conn = new Conn(wire, { role: 'server', platform });
          // Most deadlines are earlier than all previous ones.
          const later = Date.now() + 15_000 - 10 * wires.length;
          conn.setReadDeadline(later);
          conn.setWriteDeadline(later);
          void conn.ping();
          wires.push(wire);
          if (wires.length % 100 === 0) await turn();
        }
        most = Math.max(most, platform.timers);
        await platform.advance(1_000);
        most = Math.max(most, platform.timers);
        for (const [i, wire] of wires.entries()) {
          wire.sink?.close();
          if (i % 100 === 0) await turn();
        }
        connections += wires.length;
      }
      // A remaining timer may fire once without effect.
      const timers = platform.timers;
      await platform.advance(120_000);
      expect(platform.timers).toBe(0);
      return { connections, timers, most };
    };
    await churn(3_000);
    const attack = claim('20,000 connections with deadlines, pings and a heartbeat', 'CWE-772');
    // 64 KiB, and 1 byte for each of the 20,000 connections.
    const bound = {
      connections: atLeast(20_000),
      timers: atMost(2),
      most: atMost(2),
      memory: 85_536,
    };
    await survives(attack, bound, () => churn(20_000));
  });
});

describe('the clock of the system', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('does not change when connections end', async () => {
    const attack = { attack: 'a system clock that jumps by a day' };
    await survives(attack, { ends: '40000 20000 5000 3000 2000' }, async () => {
      const ends: number[] = [];
      for (const jump of [-DAY, DAY]) {
        const platform = new FakePlatform();
        let offset = 0;
        // The date follows the monotonic clock, plus a jump.
        const now = vi.spyOn(Date, 'now').mockImplementation(() => 1e12 + platform.now() + offset);
        const over = async (start: (conn: Conn) => Promise<unknown>): Promise<void> => {
          const transport = new TestTransport();
          const conn = new Conn(transport, { role: 'server', platform });
          const began = platform.now();
          let ended = Number.NaN;
          const stop = (): void => {
            ended = platform.now() - began;
          };
          void start(conn).then(stop, stop);
          await platform.advance(1_000);
          offset = jump;
          await platform.advance(60_000);
          ends.push(ended);
          offset = 0;
          transport.break();
          await conn.closed;
        };
        // A heartbeat of 20 s and 20 s, a ping of 20 s, a closing handshake of 5 s, a deadline, a
        // soft timeout.
        await over((conn) => conn.discardReads());
        await over((conn) => conn.ping());
        await over((conn) => conn.close());
        await over((conn) => {
          conn.setReadDeadline(Date.now() + 3_000);
          return conn.readMessage();
        });
        await over((conn) => conn.readMessage({ timeout: 2_000 }));
        now.mockRestore();
        await platform.advance(DAY);
        expect(platform.timers).toBe(0);
      }
      // Times of a second and more are rounded up to the tick.
      const rounded = ends.map((ms) => Math.floor(ms / 100) * 100);
      const platform = vi.spyOn(Date, 'now').mockReturnValue(0);
      const before = nodePlatform.now();
      platform.mockReturnValue(DAY);
      const passed = nodePlatform.now() - before;
      platform.mockRestore();
      expect(passed).toBeLessThan(DAY / 2);
      expect(passed).toBeGreaterThanOrEqual(0);
      return { ends: [...new Set(rounded)].join(' ') };
    });
  });
});

describe('an AbortSignal for many reads', () => {
  it('has at most one listener, for all kinds of reads', async () => {
    const message = frame('server', TextMessage, 'x');
    const attack = claim('1,000 reads with one AbortSignal', 'CWE-401');
    const bound = { reads: atLeast(1000), listeners: atMost(1), left: 0, warmUps: 3 };
    await survives(attack, bound, async () => {
      const { conn, platform, transport } = targetConn('server');
      const { signal } = new AbortController();
      let reads = 0;
      let listeners = 0;
      const count = (): void => {
        listeners = Math.max(listeners, getEventListeners(signal, 'abort').length);
      };
      const read = async (start: () => Promise<unknown>, bytes?: Uint8Array): Promise<void> => {
        const pending = start();
        count();
        if (bytes === undefined) {
          const failure = pending.catch((error: unknown) => error);
          await platform.advance(10);
          if (!((await failure) instanceof TimeoutError)) throw new Error('it did not time out');
        } else {
          transport.feed(bytes);
          await pending;
        }
        reads++;
      };
      for (let i = 0; i < 350; i++) {
        await read(() => conn.readMessage({ signal }), message);
        await read(() => conn.readJSON({ signal }).catch(() => {}), message);
        await read(() => conn.nextReader({ signal }).then((reader) => reader.text()), message);
        if (i % 10 === 0) await read(() => conn.readMessage({ signal, timeout: 5 }));
        void conn.send('x', { signal });
        const pong = conn.ping('p', { signal });
        count();
        transport.feed(frame('server', PongMessage, 'p'));
        await pong;
        transport.takeSent();
        if (i % 20 === 0) await turn();
      }
      const left = getEventListeners(signal, 'abort').length;
      transport.break();
      await conn.closed;
      return { reads, listeners, left };
    });
  });

  it('has no listener after the connection ends', async () => {
    const [client, server] = connPair();
    const { signal } = new AbortController();
    const reads = Array.from({ length: 8 }, () => server.readMessage({ signal }).catch(() => {}));
    client.terminate();
    await Promise.all(reads);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
