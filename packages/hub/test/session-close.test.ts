import { connPair } from '@ws/conn';
import { Hub, type Session, SessionClosedError } from '@ws/hub';
import { describe, expect, it, vi } from 'vitest';
import { enter, entered, turns } from './nodes.ts';

/** Messages that the listeners get of a client that sends them before it sees the close frame. */
async function heardAfter(close: (session: Session) => unknown): Promise<string[]> {
  const hub = new Hub();
  const heard: string[] = [];
  hub.on('error', () => {});
  hub.on('message', (session, message) => {
    const text = message.text();
    if (text === 'close') return close(session);
    return void heard.push(text);
  });
  const { client } = await entered(hub, 'r');
  for (const text of ['close', '1', '2']) void client.send(text);
  await client.closed;
  await turns();
  return heard;
}

describe('session.close', () => {
  it.each<[code: number | undefined, options: object | undefined, heard: string[]]>([
    [undefined, undefined, ['1', '2']],
    [1000, undefined, ['1', '2']],
    [1001, undefined, ['1', '2']],
    [1008, undefined, []],
    [1011, undefined, []],
    [4401, undefined, []],
    [4401, { discard: false }, ['1', '2']],
    [1000, { discard: true }, []],
  ])('with code %s and options %j hears %j', async (code, options, heard) => {
    const close = (session: Session): void => void session.close(code, '', options);
    expect(await heardAfter(close)).toEqual(heard);
  });

  it('drops what arrives when it is called again with a code that ends a login', async () => {
    const close = (session: Session): void => {
      void session.close();
      void session.close(4401);
    };
    expect(await heardAfter(close)).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('mistake');
      },
    ],
    ['rejects', () => Promise.reject(new Error('mistake'))],
  ])('of the hub, after a listener that %s, drops what arrives', async (_, fail) => {
    expect(await heardAfter(fail)).toEqual([]);
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('unknown user');
      },
    ],
    ['rejects', () => Promise.reject(new Error('unknown user'))],
    ['rejects later', () => turns().then(() => Promise.reject(new Error('unknown user')))],
  ])('of the hub, after a listener of connect that %s, hears nothing', async (_, fail) => {
    const hub = new Hub();
    const heard = vi.fn();
    hub.on('error', () => {});
    hub.on('connect', fail);
    hub.on('message', heard);
    const [client, conn] = connPair();
    for (const text of ['1', '2']) void client.send(text);
    hub.add(conn);
    void client.send('3');
    client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1011 });
    await turns();
    expect(heard).not.toHaveBeenCalled();
  });

  it('of the hub, after a slow reader, drops what arrives and leaves the rooms', async () => {
    const hub = new Hub({ maxQueuedMessages: 1 });
    const heard = vi.fn();
    hub.on('message', heard);
    const left = vi.fn();
    hub.on('left', (_, room) => left(room));
    const [client, conn] = connPair({ highWaterMark: 1 });
    const session = hub.add(conn);
    await session.join('r');
    for (let i = 0; session.state === 'open' && i < 100; i++) session.send('x'.repeat(1_000));
    expect(left.mock.calls).toEqual([['r']]);
    void client.send('late');
    client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1013 });
    expect(heard).not.toHaveBeenCalled();
  });

  it('refuses bad options, and the session stays a member', async () => {
    const hub = new Hub();
    const { session } = enter(hub, 'r');
    await expect(session.close(4401, '', { discard: 1 } as never)).rejects.toThrow('discard');
    await expect(session.close(1005)).rejects.toThrow('1005');
    expect([session.state, [...session.rooms]]).toEqual(['open', ['r']]);
  });
});

describe('a session that takes no more messages', () => {
  it.each<[string, (session: Session) => unknown]>([
    ['session.close', (session) => session.close(4401)],
    ['conn.close', (session) => session.conn.close(4401)],
    ['conn.terminate', (session) => session.conn.terminate()],
    ['a fault', ({ conn }) => conn.writeControl(8, new Uint8Array())],
  ])('has left its rooms after %s, and a loop over the members goes on', async (_, close) => {
    const hub = new Hub();
    const events: string[] = [];
    hub.on('left', () => void events.push('left'));
    hub.on('disconnect', () => void events.push('disconnect'));
    const members = [enter(hub, 'r'), enter(hub, 'r'), enter(hub, 'r')];
    const dead = members[1]!.session;
    void close(dead);
    for (const member of hub.room('r').members) member.send('notice');
    await new Promise(setImmediate);
    expect(hub.room('r').members).not.toContain(dead);
    expect(dead.rooms.size).toBe(0);
    expect(hub.broadcast('all')).toBe(2);
    await turns();
    expect(members.map(({ received }) => received)).toEqual([
      ['notice', 'all'],
      [],
      ['notice', 'all'],
    ]);
    expect(events).toEqual(['left', 'disconnect']);
  });

  it('sends nothing: send and writeJSON return false, join rejects', async () => {
    const { session } = enter(new Hub(), 'r');
    void session.close();
    expect([session.send('x'), session.writeJSON({})]).toEqual([false, false]);
    await expect(session.join('r')).rejects.toThrow(SessionClosedError);
    await session.conn.closed;
    expect([session.send('x'), session.writeJSON({})]).toEqual([false, false]);
  });

  it('gets the messages that were published in the turn of its close', async () => {
    const hub = new Hub();
    const { session, received } = enter(hub, 'r');
    void hub.room('r').publish('before');
    await session.close();
    expect(received).toEqual(['before']);
  });
});
