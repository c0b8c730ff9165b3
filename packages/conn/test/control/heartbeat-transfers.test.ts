import { encodeFrame, PingMessage } from '@ws/codec';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, type ConnSettings } from '../../src/index.ts';
import type { Transport, TransportSink } from '../../src/transport.ts';

// The heartbeat while bytes of ours wait in front of its ping.

/** A transport that sends `step` bytes per call of `send`, and holds the rest. */
class SlowTransport implements Transport {
  bufferedAmount = 0;
  destroyed = false;
  sink: TransportSink | undefined;
  readonly inTransit: number;
  readonly #held: { left: number; release: (() => void) | undefined }[] = [];

  constructor(inTransit: number) {
    this.inTransit = inTransit;
  }

  start(sink: TransportSink): void {
    this.sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    this.#held.push({ left: chunk.length, release });
    this.bufferedAmount += chunk.length;
    return false;
  }

  send(step: number): void {
    let rest = step;
    while (rest > 0 && this.#held.length > 0) {
      const first = this.#held[0]!;
      const size = Math.min(rest, first.left);
      first.left -= size;
      rest -= size;
      this.bufferedAmount -= size;
      if (first.left > 0) continue;
      this.#held.shift();
      first.release?.();
    }
    if (this.#held.length === 0) this.sink!.drain();
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.destroyed = true;
    this.sink!.close();
  }
}

const heartbeat = { interval: 1_000, timeout: 1_000 };

describe.each(['server', 'client'] as const)('the heartbeat of a %s', (role) => {
  function slow(settings: ConnSettings = {}, inTransit = 0) {
    const platform = new FakePlatform();
    const transport = new SlowTransport(inTransit);
    const conn = new Conn(transport, { role, platform, heartbeat, ...settings });
    return { conn, platform, transport };
  }

  it('keeps a connection while a long message leaves slowly', async () => {
    const { conn, platform, transport } = slow();
    void conn.send(new Uint8Array(1 << 20));
    await platform.settle();
    // 64 KiB per 500 ms: the message takes 8 s. The peer is silent until its end.
    for (let i = 0; i < 16; i++) {
      await platform.advance(500);
      expect(conn.state).toBe('open');
      transport.send(65_536);
    }
    transport.send(1 << 20);
    expect(conn.stats.pingsOut).toBe(1);
    transport.send(1 << 20);
    expect(transport.bufferedAmount).toBe(0);
    // The timeout of the ping starts when the ping has left.
    await platform.advance(900);
    expect(conn.state).toBe('open');
    await platform.advance(1_500);
    expect(transport.destroyed).toBe(true);
    const { error } = await conn.closed;
    expect((error as Error).message).toMatch(/\(option heartbeat: interval 1000, timeout 1000\)$/);
  });

  it('counts a lower bufferedAmount of one chunk as progress', async () => {
    const { conn, platform, transport } = slow();
    void conn.send(new Uint8Array(40_000));
    await platform.settle();
    for (let i = 0; i < 8; i++) {
      await platform.advance(1_500);
      expect(conn.state).toBe('open');
      transport.send(4_000);
    }
  });

  it('ends a connection that makes no progress for interval + timeout', async () => {
    const { conn, platform, transport } = slow();
    void conn.send(new Uint8Array(1 << 20));
    await platform.advance(1_900);
    transport.send(65_536);
    await platform.advance(1_900);
    expect(conn.state).toBe('open');
    await platform.advance(1_200);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });

  it('keeps a connection whose peer reads nothing but sends', async () => {
    const { conn, platform, transport } = slow();
    void conn.send(new Uint8Array(1 << 20));
    // The peer pings a little later than each interval. So the heartbeat is due before each ping.
    const ping = encodeFrame(PingMessage, new Uint8Array(0), {
      maskKey: role === 'server' ? 1 : undefined,
    });
    for (let i = 0; i < 10; i++) {
      await platform.advance(1_100);
      expect(conn.state).toBe('open');
      transport.sink!.data(ping.slice());
    }
    await platform.advance(2_200);
    expect(transport.destroyed).toBe(true);
  });

  it('counts from the moment the transport was blocked, not from the ping', async () => {
    const { conn, platform, transport } = slow();
    void conn.send(new Uint8Array(1000));
    await platform.advance(1_900);
    expect(conn.state).toBe('open');
    await platform.advance(200);
    expect(transport.destroyed).toBe(true);
  });

  it('gives a slow peer time to read what the kernels hold', async () => {
    const { conn, platform, transport } = slow({}, 65_536);
    void conn.send(new Uint8Array(1 << 20));
    await platform.settle();
    // 64 KiB per 500 ms, and then 64 KiB at the same speed from the kernels.
    for (let i = 0; i < 16; i++) {
      await platform.advance(500);
      transport.send(65_536);
    }
    await platform.advance(1_600);
    expect(conn.state).toBe('open');
    await platform.advance(1_500);
    expect(transport.destroyed).toBe(true);
  });

  it('does not let later messages extend the wait', async () => {
    const { conn, platform, transport } = slow();
    void conn.send(new Uint8Array(1000));
    await platform.advance(1_100);
    for (let i = 0; i < 60 && !transport.destroyed; i++) {
      void conn.send(new Uint8Array(1000));
      transport.send(1_000);
      await platform.advance(100);
    }
    expect(transport.destroyed).toBe(true);
  });

  it('is on by default: 20 s and 20 s', async () => {
    const { conn, platform, transport } = slow({ heartbeat: undefined });
    await platform.advance(19_900);
    expect(conn.stats.pingsOut).toBe(0);
    await platform.advance(200);
    expect(conn.stats.pingsOut).toBe(1);
    transport.send(1_000);
    await platform.advance(41_000);
    expect(await conn.closed).toMatchObject({ code: 1006, error: { code: 'WS_ERR_TIMEOUT' } });
  });
});
