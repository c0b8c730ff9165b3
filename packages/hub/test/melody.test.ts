// The documented behaviour of melody (Go), case by case.
import { type Conn, connPair, type PreparedMessage } from '@ws/conn';
import { Hub, HubClosedError, type Session, SessionClosedError } from '@ws/hub';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

let hub: Hub;
beforeEach(() => void (hub = new Hub()));
afterEach(() => hub.close({ timeout: 100 }));

function dial(init: Parameters<Hub['add']>[1] = {}): { client: Conn; session: Session } {
  const [client, server] = connPair();
  return { client, session: hub.add(server, init) };
}

/** Reads up to the text 'end', which the hub broadcasts. */
async function received({ client }: { client: Conn }): Promise<(string | Uint8Array)[]> {
  const all: (string | Uint8Array)[] = [];
  for (;;) {
    const message = await client.readMessage();
    const data = message.isText ? message.text() : message.data;
    if (data === 'end') return all;
    all.push(data);
  }
}

const BYTES = Uint8Array.of(0, 255, 1);

describe('HandleRequest', () => {
  it('is hub.handler, which settles when the connection ends', async () => {
    const [client, server] = connPair();
    const handled = hub.handler(server, 'the request');
    const [session] = hub.sessions.values();
    expect(session?.request).toBe('the request');
    await client.close();
    await handled;
    expect(hub.sessions.size).toBe(0);
  });

  it('closes a connection of a closed hub', async () => {
    await hub.close();
    const [client, server] = connPair();
    const handled = hub.handler(server);
    await expect(client.readMessage()).rejects.toMatchObject({ closeCode: 1001 });
    await handled;
  });

  it('sets data before connect, as HandleRequestWithKeys sets keys', () => {
    const connected = vi.fn();
    hub.on('connect', ({ data }) => connected(data));
    dial({ data: { user: 'ada' } });
    expect(connected).toHaveBeenCalledExactlyOnceWith({ user: 'ada' });
  });
});

describe('HandleConnect and HandleDisconnect', () => {
  it('are called once for each session', async () => {
    const calls: unknown[] = [];
    hub.on('connect', (session) => calls.push(['connect', session]));
    hub.on('disconnect', (session, { code }) => calls.push(['disconnect', session, code]));
    const { client, session } = dial();
    await client.close(4001);
    await session.conn.closed;
    await session.close();
    expect(calls).toEqual([
      ['connect', session],
      ['disconnect', session, 4001],
    ]);
  });

  it('call disconnect, and not close, for a lost connection', async () => {
    const { client, session } = dial();
    const disconnected = new Promise((resolve) => hub.on('disconnect', (_, info) => resolve(info)));
    const closed = vi.fn();
    hub.on('close', closed);
    client.terminate();
    expect(await disconnected).toMatchObject({ code: 1006 });
    expect(closed).not.toHaveBeenCalled();
    expect(session.state).toBe('closed');
  });
});

describe('HandleMessage and HandleMessageBinary', () => {
  it('are one event: text and bytes are echoed with their type', async () => {
    hub.on('message', (session, message) => session.send(message));
    const { client } = dial();
    for (const data of ['grüße', BYTES]) {
      await client.send(data);
      const message = await client.readMessage();
      expect(message.isText ? message.text() : message.data).toEqual(data);
    }
  });
});

describe('HandleSentMessage and HandleSentMessageBinary', () => {
  it('are one event, for each message that the connection accepts', () => {
    const sent = vi.fn((_: Session, { type }: PreparedMessage) => type);
    hub.on('sent', sent);
    const { session } = dial();
    session.send('text');
    session.send(BYTES);
    expect(sent.mock.results.map(({ value }) => value)).toEqual([1, 2]);
    expect(sent.mock.calls.every(([given]) => given === session)).toBe(true);
  });
});

describe('HandlePong', () => {
  it('gets the pong of a session that connected before the listener was added', async () => {
    const { client, session } = dial();
    const ponged = new Promise((resolve) => hub.on('pong', (...args) => resolve(args)));
    void client.discardReads();
    await session.conn.ping();
    expect(await ponged).toEqual([session, expect.any(Number)]);
  });
});

describe('HandleClose', () => {
  it('gets the code and the reason of the peer', async () => {
    const closed = vi.fn();
    hub.on('close', closed);
    const { client, session } = dial();
    await client.close(4000, 'enough');
    await session.conn.closed;
    expect(closed).toHaveBeenCalledExactlyOnceWith(session, 4000, 'enough');
  });
});

describe('Broadcast', () => {
  it('reaches every session, with text and with bytes', async () => {
    const all = [dial(), dial(), dial()];
    expect(hub.broadcast('text')).toBe(3);
    expect(hub.broadcast(BYTES)).toBe(3);
    hub.broadcast('end');
    for (const one of all) expect(await received(one)).toEqual(['text', BYTES]);
  });

  it('Filter: reaches the sessions that pass', async () => {
    const [even, odd] = [dial({ data: 2 }), dial({ data: 1 })];
    const filter = ({ data }: Session) => (data as number) % 2 === 0;
    expect(hub.broadcast('even', { filter })).toBe(1);
    expect(hub.broadcast(BYTES, { filter })).toBe(1);
    hub.broadcast('end');
    expect(await received(even)).toEqual(['even', BYTES]);
    expect(await received(odd)).toEqual([]);
  });

  it('Others: reaches all but the sender', async () => {
    const [sender, other] = [dial(), dial()];
    hub.on('message', (session, message) => hub.broadcast(message, { except: session }));
    await sender.client.send('hello');
    await expect.poll(() => hub.stats.published).toBe(1);
    hub.broadcast('end');
    expect(await received(sender)).toEqual([]);
    expect(await received(other)).toEqual(['hello']);
  });

  it('Multiple: reaches the given sessions, and skips a session that has ended', async () => {
    const [one, two, gone, none] = [dial(), dial(), dial(), dial()];
    await gone.session.close();
    expect(hub.multiple([one.session, two.session, gone.session], 'hi')).toBe(2);
    hub.broadcast('end');
    for (const member of [one, two]) expect(await received(member)).toEqual(['hi']);
    expect(await received(none)).toEqual([]);
  });
});

describe('Sessions and Len', () => {
  it('are the open sessions', async () => {
    const [one, two] = [dial({ id: 'one' }), dial({ id: 'two' })];
    expect([...hub.sessions.keys()]).toEqual(['one', 'two']);
    await one.client.close();
    await one.session.conn.closed;
    expect([...hub.sessions.values()]).toEqual([two.session]);
    expect(hub.sessions.size).toBe(1);
  });
});

describe('Close, CloseWithMsg and IsClosed', () => {
  it('close every session with the code and the reason', async () => {
    const { client } = dial();
    const closing = hub.close({ code: 1012, reason: 'restart' });
    expect(hub.closed).toBe(true);
    await expect(client.readMessage()).rejects.toMatchObject({
      closeCode: 1012,
      reason: 'restart',
    });
    await closing;
    expect(hub.sessions.size).toBe(0);
  });

  it('refuse all later calls with HubClosedError, as ErrClosed', async () => {
    const { session } = dial();
    const { room } = await session.join('r');
    await hub.close();
    expect(() => hub.broadcast('x')).toThrow(HubClosedError);
    expect(() => hub.multiple([session], 'x')).toThrow(HubClosedError);
    expect(() => hub.add(connPair()[1])).toThrow(HubClosedError);
    await expect(room.publish('x')).rejects.toThrow(HubClosedError);
    await expect(hub.close()).resolves.toMatchObject({ closed: 1 });
  });
});

describe('Session', () => {
  it('Write and WriteBinary: sends to one session', async () => {
    const [one, two] = [dial(), dial()];
    expect(one.session.send('text')).toBe(true);
    expect(one.session.send(BYTES)).toBe(true);
    hub.broadcast('end');
    expect(await received(one)).toEqual(['text', BYTES]);
    expect(await received(two)).toEqual([]);
  });

  it('Close and CloseWithMsg: closes with a code, then refuses calls, as ErrSessionClosed', async () => {
    const { client, session } = dial();
    const closed = session.close(4002, 'bye');
    await expect(client.readMessage()).rejects.toMatchObject({ closeCode: 4002, reason: 'bye' });
    expect(await closed).toMatchObject({ code: 4002 });
    expect(session.state).toBe('closed');
    expect(session.send('x')).toBe(false);
    await expect(session.join('r')).rejects.toThrow(SessionClosedError);
  });

  it('Set, Get and UnSet: stores values', () => {
    const { session } = dial();
    expect(session.get('user')).toBeUndefined();
    session.set('user', 'ada');
    expect(session.get('user')).toBe('ada');
    expect([...session.keys()]).toEqual([['user', 'ada']]);
    session.keys().delete('user');
    expect(session.get('user')).toBeUndefined();
    expect(dial().session.keys().size).toBe(0);
  });

  it('Request, RemoteAddr and WebsocketConnection: has request and conn', () => {
    const request = {};
    const { session } = dial({ request });
    expect(session.request).toBe(request);
    expect(session.conn.remoteAddr).toBe('near');
  });
});

describe('ErrMessageBufferFull', () => {
  it('is a check of session.queued before send: the application drops the message itself', async () => {
    hub = new Hub();
    const [client, server] = connPair({ readAhead: 1_000, highWaterMark: 2_000 });
    const session = hub.add(server);
    const write = (text: string): boolean => session.queued.messages < 4 && session.send(text);
    let count = 0;
    while (write(`${count}`.padEnd(1_000))) {
      if (++count > 1_000) throw new Error('the transport is never blocked');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(session.queued.messages).toBe(4);
    expect(session.state).toBe('open');
    for (let i = 0; i < count; i++) {
      expect((await client.readMessage()).text().trim()).toBe(`${i}`);
    }
    expect(hub.stats).toMatchObject({ delivered: count, dropped: 0 });
  });
});
