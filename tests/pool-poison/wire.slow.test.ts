// Foreign memory never reaches a wire or a reader. `planted.slow.test.ts` shows that the search finds
// it.
import { describe, expect, it } from 'vitest';
import { ACTS, ENDS } from './acts.ts';
import { socketWires } from './socket-wire.ts';
import { type Seen, traffic } from './traffic.ts';

/** Every action ran and no foreign byte was found. */
function nothingFound(seen: Seen, frames: number): void {
  console.log(
    `${seen.frames} frames, ${seen.bytes} bytes and ${seen.messages} messages of ${seen.connections} connections`,
  );
  expect(seen.found).toEqual([]);
  expect(seen.hits).toBe(0);
  expect(seen.frames).toBeGreaterThanOrEqual(frames);
  expect(seen.messages).toBeGreaterThan(frames / 100);
  for (const act of [...ACTS, ...ENDS]) expect(seen.acts.has(act), act.says).toBe(true);
}

describe('a million random frames contain no byte of another connection or of old memory', () => {
  it('on wires in memory', async () => {
    nothingFound(await traffic(1_000_000, 0x5eed), 1_000_000);
  }, 120_000);

  it('on sockets', async () => {
    const { wire, close } = await socketWires();
    nothingFound(await traffic(100_000, 0x50cc, { wire }), 100_000);
    await close();
  }, 120_000);
});
