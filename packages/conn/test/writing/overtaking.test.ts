import { sharedSlabPool } from '@ws/codec';
import { FakePlatform, inWords, naiveDecode } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { Conn, PingMessage } from '../../src/index.ts';
import type { Transport, TransportSink } from '../../src/transport.ts';

/** A transport that takes one write at a time: each one blocks it. */
class OneAtATime implements Transport {
  readonly writes: Uint8Array[] = [];
  sink: TransportSink | undefined;
  #held: { chunk: Uint8Array; release: (() => void) | undefined } | undefined;

  get bufferedAmount(): number {
    return this.#held === undefined ? 0 : this.#held.chunk.length;
  }

  start(sink: TransportSink): void {
    this.sink = sink;
  }

  write(chunk: Uint8Array, release?: () => void): boolean {
    // The bytes are read when they leave: they must be unchanged until then.
    if (this.#held !== undefined) this.#leave();
    this.#held = { chunk, release };
    return false;
  }

  /** The held write leaves, and the next one comes. False when there was none. */
  drain(): boolean {
    if (this.#held === undefined) return false;
    this.#leave();
    this.sink!.drain();
    return true;
  }

  #leave(): void {
    const { chunk, release } = this.#held!;
    this.#held = undefined;
    this.writes.push(Uint8Array.from(chunk));
    release?.();
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {
    this.#held?.release?.();
    this.#held = undefined;
    this.sink!.close();
  }
}

describe.each([
  ['client', 'bytes', new Uint8Array(100_000)],
  ['client', 'text', 'a'.repeat(100_000)],
  ['server', 'bytes', new Uint8Array(100_000)],
  ['server', 'text', 'a'.repeat(100_000)],
] as const)('a ping of a blocked %s with large messages of %s', (role, _says, data) => {
  async function underWay() {
    const lent = sharedSlabPool().lent;
    const platform = new FakePlatform();
    const transport = new OneAtATime();
    const conn = new Conn(transport, { role, platform, heartbeat: false });
    await platform.settle();
    void conn.send('go');
    await platform.settle();
    for (let i = 0; i < 8; i++) void conn.send(data);
    // The first message is under way.
    transport.drain();
    void conn.writeControl(PingMessage, 'now');
    return { conn, transport, platform, lent };
  }

  it('is sent after the message under way', async () => {
    const { conn, transport, lent } = await underWay();
    while (transport.drain());
    const from = role === 'server' ? 'client' : 'server';
    const frames = naiveDecode(Buffer.concat(transport.writes), from).frames;
    expect(frames.map((frame) => inWords(frame).slice(0, 8).trim())).toEqual([
      'text go',
      expect.not.stringMatching('ping'),
      'ping now',
      ...Array.from({ length: 7 }, () => expect.not.stringMatching('ping')),
    ]);
    expect(frames.filter((frame) => frame.payload.length === 100_000)).toHaveLength(8);
    expect(conn.bufferedAmount).toBe(0);
    expect(sharedSlabPool().lent).toBe(lent);
  });

  it('leaves no pooled memory when the connection ends after a split', async () => {
    for (let steps = 0; steps < 6; steps++) {
      const { conn, transport, platform, lent } = await underWay();
      for (let i = 0; i < steps; i++) transport.drain();
      conn.terminate();
      await platform.settle();
      expect(sharedSlabPool().lent).toBe(lent);
    }
  });
});
