import { connPair, TextMessage } from '@ws/conn';
import { Hub } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';
import { turns } from './nodes.ts';

function setUp(maxBufferedAmount?: number) {
  const hub = new Hub({ maxQueuedMessages: 4 });
  const overflow = vi.fn();
  hub.on('overflow', overflow);
  const [client, conn] = connPair(maxBufferedAmount === undefined ? {} : { maxBufferedAmount });
  const session = hub.add(conn);
  const received: string[] = [];
  client.receive((message) => void received.push(message.text())).catch(() => {});
  return { session, overflow, received, client };
}

describe('a message that the application streams over session.conn', () => {
  it('makes no slow client of its peer, and the messages of the hub follow it', async () => {
    const { session, overflow, received } = setUp();
    const writer = await session.conn.nextWriter(TextMessage);
    await writer.write('begin ');
    const sent = Array.from({ length: 100 }, (_, i) => `${i}`);
    expect(sent.map((text) => session.send(text))).not.toContain(false);
    await turns();
    expect(received).toEqual([]);
    await writer.write('end');
    await writer.close();
    await turns();
    expect(received).toEqual(['begin end', ...sent]);
    expect([overflow.mock.calls.length, session.state]).toEqual([0, 'open']);
  });

  it('bounds what waits for it by maxBufferedAmount', async () => {
    const { session, client } = setUp(50_000);
    await session.conn.nextWriter(TextMessage);
    let sent = 0;
    while (session.send('') && sent < 10_000) sent++;
    expect(sent).toBeGreaterThan(100);
    expect(sent).toBeLessThan(1_000);
    expect(await client.closed).toMatchObject({ code: 1013 });
  });
});
