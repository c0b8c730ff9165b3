import { nothingLeft } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { pair } from './support.ts';

const MIB = 1024 * 1024;

describe.each(['frames', 'bytes', 'messages'] as const)('backpressure, mode %s', (mode) => {
  nothingLeft();

  it.each(['client', 'target'] as const)('stops a %s whose peer does not read', async (who) => {
    const { proxied, ...opened } = await pair({ mode });
    const [from, to] = opened.from(who);
    to.stream.pause();
    const frame = from.encode(2, Buffer.alloc(MIB, 1));
    const all = 32;
    const flow = () => proxied.stats[who === 'client' ? 'in' : 'out'].bytes;
    let written = 0;
    const writing = (async () => {
      for (let i = 0; i < all; i++) {
        await from.write(frame);
        written++;
      }
    })();
    // The kernel's buffers and the proxy's mark fill up; then nothing moves.
    let before = -1;
    let calm = 0;
    while (calm < 10) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      calm = flow() === before ? calm + 1 : 0;
      before = flow();
    }
    expect(written).toBeLessThan(all - 4);
    to.stream.resume();
    await writing;
    await to.until(({ frames }) => frames.filter(({ fin }) => fin).length === all);
    expect(flow()).toBe(all * frame.length);
  });
});
