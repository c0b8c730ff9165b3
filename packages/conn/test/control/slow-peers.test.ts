// The heartbeat beside a kernel: our bytes wait there, out of sight, in front of a ping.
import { BinaryMessage, encodeFrame, PingMessage, PongMessage } from '@ws/codec';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, type Heartbeat } from '../../src/index.ts';
import { internalsOf } from '../../src/internal.ts';
import type { Transport, TransportSink } from '../../src/transport.ts';

const KB = 1_000;
const MB = 1_000_000;
const STEP_MS = 100;
/** The slowest peer for which the heartbeat waits, in bytes per second. */
const SLOWEST = 16_384;

/** Takes bytes at once while its kernel has room. A peer reads them from there, and answers pings. */
class KernelTransport implements Transport {
  readonly inTransit = 10_485_760;
  destroyed = false;
  /** Bytes that the peer has read. */
  read = 0;
  #sink: TransportSink | undefined;
  readonly #kernel: number;
  #written = 0;
  #taken = 0;
  readonly #waiting: { readonly end: number; readonly release: (() => void) | undefined }[] = [];
  readonly #pings: number[] = [];

  constructor(kernel: number) {
    this.#kernel = kernel;
  }

  get bufferedAmount(): number {
    return this.#written - this.#taken;
  }

  start(sink: TransportSink): void {
    this.#sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    this.#written += chunk.length;
    if (chunk[0] === (0x80 | PingMessage)) this.#pings.push(this.#written);
    this.#waiting.push({ end: this.#written, release });
    this.#take();
    return this.bufferedAmount === 0;
  }

  /** The kernel takes what it has room for. */
  #take(): void {
    this.#taken = Math.min(this.#written, this.read + this.#kernel);
    while (this.#waiting.length > 0 && this.#waiting[0]!.end <= this.#taken) {
      this.#waiting.shift()!.release?.();
    }
  }

  /** The peer reads up to `bytes`. */
  readByPeer(bytes: number): void {
    const waited = this.bufferedAmount > 0;
    this.read = Math.min(this.read + bytes, this.#taken);
    this.#take();
    if (waited && this.bufferedAmount === 0) this.#sink!.drain();
    while (this.#pings.length > 0 && this.#pings[0]! <= this.read) {
      this.#pings.shift();
      this.#sink!.data(encodeFrame(PongMessage, new Uint8Array(0), { maskKey: 1 }));
    }
  }

  /** Bytes of the peer arrive. */
  receive(bytes: Uint8Array): void {
    this.#sink!.data(bytes);
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.destroyed = true;
    this.#sink!.close();
  }
}

function connected(kernel: number, heartbeat: Heartbeat | false) {
  const platform = new FakePlatform();
  const transport = new KernelTransport(kernel);
  const conn = new Conn(transport, {
    role: 'server',
    platform,
    heartbeat,
    maxBufferedAmount: false,
  });
  /** The peer reads `speed` bytes per second for `ms`, or until `until` bytes are read. */
  const run = async (speed: number, ms: number, until = Infinity): Promise<number> => {
    let passed = 0;
    while (passed < ms && transport.read < until && !transport.destroyed) {
      await platform.advance(STEP_MS);
      passed += STEP_MS;
      transport.readByPeer((speed * STEP_MS) / 1_000);
    }
    return passed;
  };
  return { conn, transport, run };
}

const KERNELS = [64 * KB, 2_500 * KB, 10 * MB];
const HEARTBEATS: readonly Heartbeat[] = [
  { interval: 20_000, timeout: 20_000 },
  { interval: 300, timeout: 300 },
];
const LIVING = HEARTBEATS.flatMap((heartbeat) =>
  KERNELS.flatMap((kernel) =>
    [20 * KB, 27 * KB, 300 * KB, 5 * MB].flatMap((speed) =>
      [100 * KB, 3 * MB, 12 * MB]
        .filter((size) => size < 12 * MB || kernel === 10 * MB)
        .map((size) => ({ ...heartbeat, kernel, speed, size })),
    ),
  ),
);

describe('the heartbeat', () => {
  it.each(LIVING)(
    'of $interval ms keeps a peer that reads $size bytes at $speed B/s from a kernel of $kernel',
    async ({ interval, timeout, kernel, speed, size }) => {
      const { conn, transport, run } = connected(kernel, { interval, timeout });
      void conn.send(new Uint8Array(size)).catch(() => {});
      await run(speed, Infinity, size);
      expect([transport.read >= size, conn.state]).toEqual([true, 'open']);
      // Then the peer is silent between pings, and gets a second message.
      await run(speed, 3 * (interval + timeout));
      void conn.send(new Uint8Array(size)).catch(() => {});
      await run(speed, Infinity, 2 * size);
      expect([transport.read >= 2 * size, conn.state]).toEqual([true, 'open']);
      expect(conn.stats.pingsOut).toBeGreaterThan(0);
    },
  );

  const heartbeat = HEARTBEATS[0]!;
  const { interval, timeout } = heartbeat;

  it.each([0, 1 * KB, 100 * KB, 3 * MB, 12 * MB, 30 * MB])(
    'ends a peer that reads nothing of %i bytes, in the time of the slowest that reads',
    async (size) => {
      for (const kernel of KERNELS) {
        const { conn, transport, run } = connected(kernel, heartbeat);
        void conn.send(new Uint8Array(size)).catch(() => {});
        const passed = await run(0, 1_000_000);
        expect(transport.destroyed).toBe(true);
        const inKernel = size > kernel ? 0 : Math.min(size, transport.inTransit);
        expect(passed).toBeGreaterThanOrEqual(interval + timeout);
        expect(passed).toBeLessThanOrEqual(
          interval + timeout + (1_000 * inKernel) / SLOWEST + 2 * STEP_MS,
        );
      }
    },
  );

  it('EA7 says that a peer takes no bytes when its own are not read', async () => {
    const { conn, transport, run } = connected(64 * KB, heartbeat);
    void conn.send(new Uint8Array(MB)).catch(() => {});
    // Without a reader the connection pauses.
    for (let i = 0; i < 3; i++)
      transport.receive(encodeFrame(BinaryMessage, new Uint8Array(100 * KB), { maskKey: 1 }));
    const passed = await run(0, 1_000_000);
    expect(transport.destroyed).toBe(true);
    const { error } = await conn.closed;
    const [, ms] = /the peer has taken no bytes for (\d+) ms/.exec(String(error?.message)) ?? [];
    expect([String(error?.message), Number(ms) >= timeout]).toEqual([expect.anything(), true]);
    expect(Number(ms)).toBeLessThanOrEqual(passed);
  });

  it('does not wait for bytes that left before the peer was heard last', async () => {
    const { conn, transport, run } = connected(10 * MB, heartbeat);
    for (const size of [3 * MB, 100 * KB, 3 * MB, 10 * KB]) {
      void conn.send(new Uint8Array(size)).catch(() => {});
      await run(5 * MB, 3 * (interval + timeout));
    }
    const passed = await run(0, 1_000_000);
    expect(transport.destroyed).toBe(true);
    expect(passed).toBeLessThanOrEqual(interval + timeout + 1_000);
  });
});

describe('101.7 the question after a sleep', () => {
  const heartbeat = HEARTBEATS[0]!;

  it.each([100, 5_000, 30_000])(
    'ends a silent connection within 6 s, asked after %i ms',
    async (ms) => {
      const { conn, transport, run } = connected(64 * KB, heartbeat);
      // After 30 s a ping of the heartbeat waits already.
      await run(0, ms);
      internalsOf(conn).wake();
      const passed = await run(0, 60_000);
      expect(transport.destroyed).toBe(true);
      expect([passed >= 5_000, passed <= 6_000]).toEqual([true, true]);
    },
  );

  it('keeps a peer that answers, which then has the usual time again', async () => {
    const { conn, transport, run } = connected(64 * KB, heartbeat);
    internalsOf(conn).wake();
    await run(MB, 10_000);
    expect([conn.state, conn.stats.pingsOut]).toEqual(['open', 1]);
    const passed = await run(0, 60_000);
    expect(transport.destroyed).toBe(true);
    expect(passed).toBeGreaterThan(25_000);
  });

  it.each(LIVING.filter(({ interval }) => interval === 20_000))(
    'keeps a peer that reads $size bytes at $speed B/s from a kernel of $kernel',
    async ({ interval, timeout, kernel, speed, size }) => {
      const { conn, transport, run } = connected(kernel, { interval, timeout });
      void conn.send(new Uint8Array(size)).catch(() => {});
      await run(speed, 1_000);
      internalsOf(conn).wake();
      await run(speed, Infinity, size);
      expect([transport.read >= size, conn.state]).toEqual([true, 'open']);
    },
  );

  it('is not asked without a heartbeat', async () => {
    const { conn, run } = connected(64 * KB, false);
    internalsOf(conn).wake();
    await run(0, 60_000);
    expect([conn.state, conn.stats.pingsOut]).toEqual(['open', 0]);
  });
});
