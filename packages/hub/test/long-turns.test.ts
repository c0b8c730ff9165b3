import { Conn } from '@ws/conn';
import { Hub } from '@ws/hub';
import { FakePlatform, naiveEncode, TestTransport } from '@ws/tests';
import { describe, expect, it } from 'vitest';

describe('B6-4 a listener that computes between its messages', () => {
  it('has each session.send after the first written at once', async () => {
    const platform = new FakePlatform();
    const transport = new TestTransport({ highWaterMark: 1_000 });
    const conn = new Conn(transport, { role: 'server', heartbeat: false, platform });
    const hub = new Hub();
    const writes: number[] = [];
    hub.on('message', (session) => {
      for (let i = 0; i < 4; i++) {
        session.send(`${i}`);
        writes.push(transport.writes.length);
        platform.compute(150);
      }
    });
    hub.add(conn);
    await platform.settle();
    transport.feed(naiveEncode(1, Buffer.from('go'), { mask: 1 }));
    await platform.settle();
    expect(writes).toEqual([0, 1, 2, 3]);
  });
});
