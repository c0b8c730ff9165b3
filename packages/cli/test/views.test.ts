import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { OutputBuffer } from '../src/output-buffer.ts';
import { PipeView, type Source } from '../src/views.ts';

/** A message whose bytes come when the test says so. */
class Arriving implements Source {
  readonly type = 1;
  readonly #pieces: Buffer[] = [];
  #wake = (): void => {};

  arrive(bytes: number): void {
    this.#pieces.push(Buffer.alloc(bytes, 'a'));
    this.#wake();
  }

  async read(into: Uint8Array): Promise<number> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        const read = piece.copy(into);
        if (read < piece.length) this.#pieces.unshift(piece.subarray(read));
        return read;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function short(text: string): Source {
  const pieces = [Buffer.from(text)];
  return { type: 1, read: async (into) => pieces.shift()?.copy(into) ?? 0 };
}

describe('PipeView', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }));
  afterEach(() => void vi.useRealTimers());

  function setUp() {
    const view = new PipeView(new OutputBuffer(new PassThrough().resume()), 'lines');
    const long = new Arriving();
    const terminate = vi.fn();
    void view.take(long, Buffer.alloc(16_384), { number: 1, terminate });
    long.arrive(2 ** 20);
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    return { view, long, terminate, turn };
  }

  it('disconnects a client that stalls in a message above 1 MiB while others wait', async () => {
    const { view, terminate, turn } = setUp();
    await turn();
    vi.advanceTimersByTime(60_000);
    expect(terminate).not.toHaveBeenCalled();
    void view.take(short('next'), Buffer.alloc(16_384), { number: 2, terminate: vi.fn() });
    await turn();
    vi.advanceTimersByTime(4_999);
    expect(terminate).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(terminate).toHaveBeenCalledOnce();
  });

  it('keeps a client that sends 16 KiB a second', async () => {
    const { view, long, terminate, turn } = setUp();
    void view.take(short('next'), Buffer.alloc(16_384), { number: 2, terminate: vi.fn() });
    await turn();
    for (let second = 0; second < 20; second++) {
      long.arrive(16 * 1024);
      await turn();
      vi.advanceTimersByTime(1_000);
    }
    expect(terminate).not.toHaveBeenCalled();
  });
});
