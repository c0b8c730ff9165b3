import { Conn } from '@ws/conn';
import { contract, stream } from '@ws/rpc';
import { FakePlatform, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const agent = contract({ server: { ask: stream(z.string(), z.number()) } });

describe('B6-4 a generator that computes between its items', () => {
  it('has each item after the first written at once', async () => {
    const platform = new FakePlatform();
    const [near, far] = [new TestTransport(), new TestTransport()];
    const server = new Conn(near, { role: 'server', heartbeat: false, platform });
    const client = new Conn(far, { role: 'client', heartbeat: false, platform });
    const writes: number[] = [];
    const serving = agent.serve({
      async *ask() {
        for (let i = 0; i < 4; i++) {
          yield i;
          writes.push(near.writes.length);
          platform.compute(150);
        }
      },
    })(server);
    const items = agent.connect(client, {}).ask('go')[Symbol.asyncIterator]();
    const first = items.next();
    await platform.settle();
    near.feed(far.takeSent());
    await platform.settle();
    // The answer to the hello comes first.
    expect(writes).toEqual([1, 2, 3, 4]);
    far.feed(near.takeSent());
    expect(await first).toEqual({ done: false, value: 0 });
    server.terminate();
    client.terminate();
    await platform.settle();
    await expect(serving).rejects.toMatchObject({ code: 'WS_ERR_CLOSE' });
  });
});
