import { Conn, PreparedMessage, TextMessage, type Transport } from '@ws/conn';
import { nodeHost } from '@ws/node-io';
import { describe, expect, it } from 'vitest';
import { turn } from '../../src/fake-host.ts';
import { survives } from '../../src/hostile/index.ts';

const FRAMES = 1_000_000;
/** Of a masked frame with a byte of payload. */
const HEADER = 6;
const SLOTS = 1 << 21;

/** Counts the masking keys of frames of one byte that were there before. */
class KeyCounter implements Transport {
  frames = 0;
  repeats = 0;
  readonly bufferedAmount = 0;
  readonly #keys = new Uint32Array(SLOTS);
  readonly #taken = new Uint8Array(SLOTS);

  start(): void {}

  write(chunk: Uint8Array, release?: () => void): boolean {
    const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let at = 0; at < chunk.length; at += HEADER + 1) this.#count(view.getUint32(at + 2));
    release?.();
    return true;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}

  clear(): void {
    this.#taken.fill(0);
    this.frames = 0;
    this.repeats = 0;
  }

  #count(key: number): void {
    this.frames++;
    let slot = Math.imul(key, 0x9e3779b1) >>> 11;
    for (; this.#taken[slot] === 1; slot = (slot + 1) & (SLOTS - 1)) {
      if (this.#keys[slot] !== key) continue;
      this.repeats++;
      return;
    }
    this.#taken[slot] = 1;
    this.#keys[slot] = key;
  }
}

describe('the masking keys of a client', () => {
  it('are new for each frame, and repeat no more and no less than by chance', async () => {
    const counter = new KeyCounter();
    const conn = new Conn(counter, { role: 'client', host: nodeHost });
    const prepared = new PreparedMessage(TextMessage, 'x');
    // The birthday problem: so many pairs are expected, with so much of a deviation.
    const expected = (FRAMES * (FRAMES - 1)) / 2 / 2 ** 32;
    const { repeats } = await survives(51, async () => {
      counter.clear();
      while (counter.frames < FRAMES) {
        for (let i = 0; i < 250; i++) {
          void conn.send('x');
          void conn.writePreparedMessage(prepared);
        }
        await turn();
      }
      const off = Math.abs(counter.repeats - expected);
      const beyond = Math.max(0, off - 6 * Math.sqrt(expected));
      return { masks: counter.frames, 'beyond chance': beyond, repeats: counter.repeats };
    });
    expect(repeats).toBeGreaterThan(0);
    conn.terminate();
  });
});
