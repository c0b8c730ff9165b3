import { connPair } from '@ws/conn';
import { Hub } from '@ws/hub';
import { FakePlatform } from '@ws/tests';
import { describe, expect, it } from 'vitest';

const COUNT = 100_000;
const LARGE = 4 * 1024 * 1024;

describe('C9 the queue of a slow session', () => {
  it('leaves at most 1,000 messages in a turn, all in order', async () => {
    const platform = new FakePlatform({ automatic: false });
    const [client, server] = connPair({
      platform,
      heartbeat: false,
      readAhead: 1,
      highWaterMark: LARGE,
      maxBufferedAmount: 4 * LARGE,
    });
    const hub = new Hub({ maxQueuedMessages: COUNT, maxQueuedBytes: LARGE });
    const session = hub.add(server);
    // The client's read-ahead takes the first. The second is above the high-water mark.
    for (let i = 0; i < 2; i++) {
      session.send(new Uint8Array(LARGE + 1));
      await platform.settle();
    }
    for (let i = 0; i < COUNT; i++) session.send(`${i}`);
    expect(session.queued.messages).toBe(COUNT);
    const numbers: number[] = [];
    const reading = client.receive((message) => {
      const text = message.text();
      if (text.length < LARGE) numbers.push(Number(text));
    });
    reading.catch(() => {});
    let most = 0;
    const inOneTurn = async (run: () => void): Promise<void> => {
      const { messages } = session.queued;
      run();
      await new Promise(setImmediate);
      most = Math.max(most, messages - session.queued.messages);
    };
    for (let turns = 0; session.queued.messages > 0 && turns < COUNT; turns++) {
      await inOneTurn(() => platform.runDeferred());
      await inOneTurn(() => platform.runYielded());
    }
    await platform.settle();
    expect(most).toBe(1_000);
    expect(numbers).toEqual(Array.from({ length: COUNT }, (_, i) => i));
    expect(hub.stats).toMatchObject({ delivered: COUNT + 2, dropped: 0 });
  });
});
