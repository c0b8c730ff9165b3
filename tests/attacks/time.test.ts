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
import { nodeHost } from '@ws/node-io';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { FakeHost, turn } from '../../src/fake-host.ts';
import { survives } from '../../src/hostile/index.ts';
import { naiveEncode } from '../../src/naive-encoder.ts';
import { TestTransport } from '../../src/test-transport.ts';
import { warm } from './warm.ts';

const KEY = { mask: 0x01020304 };
const DAY = 86_400_000;

/** A transport that takes everything and gives nothing back. */
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
  it('are one, and none once they are closed', async () => {
    const host = new FakeHost();
    /** Opens and loses so many connections, with all that sets a timer. */
    const churn = async (count: number) => {
      let connections = 0;
      let most = 0;
      while (connections < count) {
        const wires: Wire[] = [];
        while (wires.length < 1_000) {
          const wire = new Wire();
          const conn = new Conn(wire, { role: 'server', host });
          // Most are due before all that were set before them.
          const later = Date.now() + 15_000 - 10 * wires.length;
          conn.setReadDeadline(later);
          conn.setWriteDeadline(later);
          void conn.ping();
          wires.push(wire);
          if (wires.length % 100 === 0) await turn();
        }
        most = Math.max(most, host.timers);
        await host.advance(1_000);
        most = Math.max(most, host.timers);
        for (const [i, wire] of wires.entries()) {
          wire.sink?.close();
          if (i % 100 === 0) await turn();
        }
        connections += wires.length;
      }
      // What is left may ring for nothing, once.
      const timers = host.timers;
      await host.advance(120_000);
      expect(host.timers).toBe(0);
      return { connections, timers, most };
    };
    await churn(3_000);
    await survives(127, () => churn(100_000));
  }, 60_000);
});

describe('the clock of the system', () => {
  afterEach(() => void vi.restoreAllMocks());

  it('may jump by a day either way, and nothing ends early or late', async () => {
    await survives(129, async () => {
      const ends: number[] = [];
      for (const jump of [-DAY, DAY]) {
        const host = new FakeHost();
        let offset = 0;
        // The clock that tells the date moves with the other one, but for the jump.
        const now = vi.spyOn(Date, 'now').mockImplementation(() => 1e12 + host.now() + offset);
        const over = async (start: (conn: Conn) => Promise<unknown>): Promise<void> => {
          const transport = new TestTransport();
          const conn = new Conn(transport, { role: 'server', host });
          const began = host.now();
          let ended = Number.NaN;
          const stop = (): void => {
            ended = host.now() - began;
          };
          void start(conn).then(stop, stop);
          await host.advance(1_000);
          offset = jump;
          await host.advance(60_000);
          ends.push(ended);
          offset = 0;
          transport.break();
          await conn.closed;
        };
        // A heartbeat of 20 s and 20 s, a ping of 20 s, a closing handshake of 5 s, a deadline, a soft timeout.
        await over((conn) => conn.discardReads());
        await over((conn) => conn.ping());
        await over((conn) => conn.close());
        await over((conn) => {
          conn.setReadDeadline(Date.now() + 3_000);
          return conn.readMessage();
        });
        await over((conn) => conn.readMessage({ timeout: 2_000 }));
        now.mockRestore();
        await host.advance(DAY);
        expect(host.timers).toBe(0);
      }
      // Times from a second on are rounded up to the tick that many share.
      const rounded = ends.map((ms) => Math.floor(ms / 100) * 100);
      const platform = vi.spyOn(Date, 'now').mockReturnValue(0);
      const before = nodeHost.now();
      platform.mockReturnValue(DAY);
      const passed = nodeHost.now() - before;
      platform.mockRestore();
      expect(passed).toBeLessThan(DAY / 2);
      expect(passed).toBeGreaterThanOrEqual(0);
      return { ends: [...new Set(rounded)].join(' ') };
    });
  });
});

describe('an AbortSignal for many reads', () => {
  it('has one listener at a time, whatever the reads come to', async () => {
    const message = naiveEncode(TextMessage, Buffer.from('x'), KEY);
    const attack = await warm(async () => {
      const host = new FakeHost();
      const transport = new TestTransport();
      const conn = new Conn(transport, { role: 'server', host, heartbeat: false });
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
          await host.advance(10);
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
        transport.feed(naiveEncode(PongMessage, Buffer.from('p'), KEY));
        await pong;
        transport.takeSent();
        if (i % 20 === 0) await turn();
      }
      const left = getEventListeners(signal, 'abort').length;
      transport.break();
      await conn.closed;
      return { reads, listeners, left };
    }, 3);
    await survives(132, attack);
  });

  it('is let go of by reads that end with the connection', async () => {
    const [client, server] = connPair();
    const { signal } = new AbortController();
    const reads = Array.from({ length: 8 }, () => server.readMessage({ signal }).catch(() => {}));
    client.terminate();
    await Promise.all(reads);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
