import { type Conn, connPair } from '@ws/conn';
import { Hub, type Session, SessionClosedError } from '@ws/hub';
import { describe, expect, it } from 'vitest';

function enter<D>(hub: Hub<D>, id?: string): { client: Conn; session: Session<D> } {
  const [client, server] = connPair();
  return { client, session: hub.add(server, id === undefined ? {} : { id }) };
}

async function texts(conn: Conn, count: number): Promise<string[]> {
  const read: string[] = [];
  while (read.length < count) read.push((await conn.readMessage()).text());
  return read;
}

describe('a hub', () => {
  it('takes the data of a session from conn.data, else from the context of its handler', async () => {
    const hub = new Hub();
    const data: unknown[] = [];
    hub.on('connect', (session) => void data.push(session.data));
    for (const own of [undefined, 'own']) {
      const [, server] = connPair();
      server.data = own;
      void hub.handler(server, {}, { auth: 'auth' });
    }
    expect(data).toEqual(['auth', 'own']);
  });

  it('delivers to the members of a room, in the order of publication', async () => {
    const hub = new Hub();
    const [a, b, c] = [enter(hub), enter(hub), enter(hub)];
    const { room } = await a.session.join('r');
    void room.publish('0');
    void b.session.join('r');
    for (const text of ['1', '2', '3']) void room.publish(text, { except: a.session });
    void room.publish('4', { filter: (session) => session === a.session });
    await room.publish('5');
    expect(await texts(a.client, 3)).toEqual(['0', '4', '5']);
    expect(await texts(b.client, 4)).toEqual(['1', '2', '3', '5']);
    hub.broadcast('all');
    expect(await texts(c.client, 1)).toEqual(['all']);
    b.session.leave('r');
    await room.publish('6');
    hub.broadcast('all');
    expect(await texts(b.client, 2)).toEqual(['all', 'all']);
    await hub.close({ timeout: 50 });
    expect(hub.stats).toMatchObject({ sessions: 0, rooms: 0, dropped: 0 });
  });

  it('calls the listeners of a session in order', async () => {
    const hub = new Hub<string>();
    const events: string[] = [];
    hub.on('connect', (session) => events.push(`connect ${session.id}`));
    hub.on('message', (session, message) => events.push(`message ${session.id} ${message.text()}`));
    hub.on('entered', (session, room) => events.push(`entered ${session.id} ${room}`));
    hub.on('left', (session, room) => events.push(`left ${session.id} ${room}`));
    hub.on('close', (session, code, reason) =>
      events.push(`close ${session.id} ${code} ${reason}`),
    );
    hub.on('disconnect', (session, { code }) => events.push(`disconnect ${session.id} ${code}`));
    const { client, session } = enter(hub, 'one');
    void session.join('r');
    await client.send('hi');
    await client.close(4000, 'bye');
    await session.conn.closed;
    await Promise.resolve();
    expect(events).toEqual([
      'connect one',
      'entered one r',
      'message one hi',
      'left one r',
      'close one 4000 bye',
      'disconnect one 4000',
    ]);
    expect(session.send('late')).toBe(false);
    await expect(session.join('late')).rejects.toThrow(SessionClosedError);
  });

  it('keeps the history of a room, within its size', async () => {
    const hub = new Hub({ rooms: { 'h/*': { history: { size: 2 } } } });
    const room = hub.room('h/1');
    const first = await room.publish('1');
    await room.publish('2');
    const { messages, complete } = await room.history({ since: first });
    expect(messages.map(({ message }) => message.text())).toEqual(['2']);
    expect(complete).toBe(true);
    await room.publish('3');
    expect((await room.history()).complete).toBe(false);
    expect((await room.history({ since: first })).messages).toHaveLength(2);
  });
});
