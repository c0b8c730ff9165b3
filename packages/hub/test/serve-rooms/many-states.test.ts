// A client that joins many rooms with a state at once.
import { describe, expect, it } from 'vitest';
import { useFakeTime, wait } from '../nodes.ts';
import { startClient, startNode, startRaw, turns } from './setup.ts';

useFakeTime();

const KiB = 1_024;

function startBoards(bytes: number) {
  const counts = { calls: 0 };
  const started = startNode({
    'board/*': {
      mayJoin: true,
      history: true,
      state: () => {
        counts.calls++;
        return 'x'.repeat(bytes);
      },
    },
  });
  return { ...started, counts };
}

describe('A9 states that exceed 256 KiB together', () => {
  it.each([
    [100, 10],
    [50, 50],
    [20, 300],
  ])('are fetched once for a client that reads: %i of %i KiB', async (count, size) => {
    const { node, counts } = startBoards(size * KiB);
    const { rooms } = startClient(node, 'ann', { readLimit: 1_024 * KiB });
    const live = Array.from({ length: count }, async (_, i) => {
      for await (const { kind } of rooms.join(`board/${i}`)) if (kind === 'live') return;
    });
    await Promise.all(live);
    expect(counts.calls).toBe(count);
  });

  it('are dropped after 1 s for a client that does not read, and fetched again when it does', async () => {
    const { node, counts } = startBoards(200 * KiB);
    const { client, send } = startRaw(node);
    for (let i = 0; i < 10; i++) await send('room.join', { room: `board/${i}` }, i + 1);
    await turns();
    expect(counts.calls).toBe(10);
    await wait(2_000);
    const answers = new Set<unknown>();
    await new Promise<void>((resolve) => {
      client
        .receive((message) => {
          const { id } = message.json() as { id?: number };
          if (id !== undefined) answers.add(id);
          if (answers.size === 10) resolve();
        })
        .catch(() => {});
    });
    expect(counts.calls).toBeGreaterThan(10);
    expect(counts.calls).toBeLessThan(20);
  });
});
