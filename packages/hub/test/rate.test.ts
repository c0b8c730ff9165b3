import { type Conn, connPair } from '@ws/conn';
import { checkRate, limitRate } from '@ws/conn/internal';
import { Hub } from '@ws/hub';
import { describe, expect, it } from 'vitest';

describe('the option rate of a hub', () => {
  it('bounds the messages of each session, and replaces that of the server', async () => {
    const hub = new Hub<string>({ rate: { messages: 2, per: 60_000 } });
    const got: string[] = [];
    hub.on('message', (session, message) => void got.push(`${session.data} ${message.text()}`));
    const clients: Conn[] = [];
    for (const data of ['a', 'b']) {
      const [client, server] = connPair();
      limitRate(server, checkRate({ messages: 1, over: 'close' }));
      hub.add(server, { data });
      clients.push(client);
    }
    for (let i = 0; i < 3; i++) for (const client of clients) await client.send(`${i}`);
    await expect.poll(() => got.length).toBe(4);
    expect(clients.map((client) => client.state)).toEqual(['open', 'open']);
  });

  it('closes a session with 1013, and the event disconnect has it', async () => {
    const hub = new Hub({ rate: { messages: 1, per: 60_000, over: 'close' } });
    const ended = new Promise((resolve) =>
      hub.on('disconnect', (_session, info) => resolve(info.error)),
    );
    const [client, server] = connPair();
    hub.add(server);
    void client.send('1');
    void client.send('2');
    expect(await client.closed).toMatchObject({ code: 1013 });
    expect(await ended).toMatchObject({ closeCode: 1013 });
  });

  it('names a bad value', () => {
    expect(() => new Hub({ rate: {} })).toThrow('rate: expected messages, bytes or both');
  });
});
