import { connPair } from '@ws/conn';
import { describe, expect, it } from 'vitest';
import { Session } from '../sessions.ts';

describe('a session that has ended', () => {
  it.each([
    ['after', false],
    ['before', true],
  ])('hears nothing of a connection that it got %s', async (_, early) => {
    const session = new Session('ada', Date.now() + 60_000);
    const [client, conn] = connPair();
    if (early) session.add(conn);
    const heard: string[] = [];
    conn.receive((message) => void heard.push(message.text())).catch(() => {});
    await client.send('hi');
    await new Promise(setImmediate);
    session.end('logged out');
    if (!early) session.add(conn as never);
    for (const text of ['1', '2']) void client.send(text);
    client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1008 });
    await new Promise(setImmediate);
    expect(heard).toEqual(['hi']);
  });
});
