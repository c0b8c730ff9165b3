import { BackpressureError, CloseError, type Conn, connPair, TimeoutError } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { contract, method } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import {
  chat,
  clientHandlers,
  failure,
  serverHandlers,
  settled,
  until,
  useFakeClock,
} from './pairs.ts';

useFakeClock();

type Handlers = Parameters<typeof chat.listener<Session>>[0];

function setUp(handlers: Partial<Handlers> = {}) {
  const hub = new Hub();
  const errors: unknown[] = [];
  hub.on('error', (_, error) => void errors.push(error));
  hub.on('message', chat.listener<Session>({ ...serverHandlers, ...handlers }));
  const add = (): { client: Conn; session: Session } => {
    const [client, conn] = connPair();
    return { client, session: hub.add(conn) };
  };
  return { hub, errors, add, ...add() };
}

/** Messages that wait for a slow session. */
const WAITING = 4;

/** A session with a client that reads nothing, and a connection that accepts no more. */
function slow() {
  const hub = new Hub({ overflow: 'latest', maxQueuedMessages: WAITING });
  const added: number[] = [];
  const handlers = { ...serverHandlers, add: ([a, b]: [number, number]) => added.push(a + b) };
  hub.on('message', chat.listener<Session>(handlers, { concurrency: 8 }));
  const reports: unknown[] = [];
  const [client, conn] = connPair({ report: (error) => void reports.push(error) });
  const session = hub.add(conn);
  const full = 'x'.repeat(256 * 1024);
  let overflows = 0;
  hub.on('overflow', () => void overflows++);
  while (overflows === 0) session.send(full);
  return { client, session, reports, added };
}

describe('a contract on a hub', () => {
  it('answers by the session, whose data is auth', async () => {
    const { client, session } = setUp({
      twice: (_, context) => `${String(context.auth)} ${context.session.id}`,
    });
    session.data = 'ann';
    const peer = chat.connect(client, clientHandlers);
    expect(await peer.twice('')).toBe(`ann ${session.id}`);
  });

  it('asks a session at once, before its first message', async () => {
    const { client, session } = setUp();
    const answer = chat.peer(session).confirm({ question: '' });
    chat.connect(client, clientHandlers);
    expect(await answer).toBe(true);
    expect(chat.peer(session)).toBe(chat.peer(session.conn));
  });

  it('says that no listener reads the session', async () => {
    const hub = new Hub();
    const [client, conn] = connPair();
    const session = hub.add(conn);
    chat.connect(client, clientHandlers);
    const failed = chat
      .peer(session)
      .confirm({ question: '' }, { timeout: 1_000 })
      .catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(1_100);
    const error = await failed;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(String(error)).toMatch(/no listener/);
  });

  it('sends answers in order with publications', async () => {
    const { client, hub, session } = setUp({
      twice: (text, context) => {
        context.session.send('before');
        return text;
      },
    });
    await session.join('r');
    void hub;
    await client.send('{"jsonrpc":"2.0","id":1,"method":"twice","params":["a"]}');
    expect((await client.readMessage()).text()).toBe('before');
    expect((await client.readMessage()).json()).toMatchObject({ id: 1 });
  });

  it('rejects calls after the end of the session', async () => {
    const { client, session } = setUp();
    const peer = chat.peer(session);
    const open = failure(peer.confirm({ question: '' }));
    await settled(client);
    await client.close(4000, 'bye');
    expect(await open).toBeInstanceOf(CloseError);
    await expect(peer.confirm({ question: '' })).rejects.toMatchObject({ closeCode: 4000 });
    await expect(peer.said({ text: '' })).rejects.toBeInstanceOf(CloseError);
  });

  it('rejects a call that the hub drops', async () => {
    const { session } = slow();
    const question = 'x'.repeat(2 ** 20);
    await expect(chat.peer(session).confirm({ question })).rejects.toBeInstanceOf(
      BackpressureError,
    );
  });

  it('rejects a call that the hub drops for later messages', async () => {
    const { session } = slow();
    const asked = chat.peer(session).confirm({ question: '' });
    for (let i = 0; i < WAITING; i++) session.send('later');
    await expect(asked).rejects.toBeInstanceOf(BackpressureError);
  });

  it('reports the answers that the hub drops, once a second', async () => {
    const { client, session, reports, added } = slow();
    const ask = async (id: number): Promise<void> => {
      await client.writeJSON({ jsonrpc: '2.0', id, method: 'add', params: [1, 2] });
      await until(() => expect(added).toHaveLength(id + 1));
      for (let i = 0; i < WAITING; i++) session.send('later');
    };
    await ask(0);
    await ask(1);
    await until(() => expect(reports).toEqual([expect.any(BackpressureError)]));
    await vi.advanceTimersByTimeAsync(1_001);
    await ask(2);
    await until(() => expect(reports).toHaveLength(2));
  });

  it('asks a session by a part of the contract that reads it', async () => {
    const whole = contract({ server: { more: method(z.string(), z.string()) } }, chat);
    const hub = new Hub();
    hub.on('message', whole.listener({ ...serverHandlers, more: (text) => text }));
    const [client, conn] = connPair();
    const session = hub.add(conn);
    const early = chat.peer(session).confirm({ question: '' });
    const peer = whole.connect(client, clientHandlers);
    expect(await early).toBe(true);
    expect(await peer.more('a')).toBe('a');
    expect(await whole.peer(session).confirm({ question: '' })).toBe(true);
  });

  it('refuses a second contract', async () => {
    const { hub, client, errors, session } = setUp();
    const other = contract({ server: { other: method(z.string(), z.string()) } });
    hub.on('message', other.listener({ other: (text) => text }));
    await client.send('{"jsonrpc":"2.0","method":"typing","params":{"room":"r"}}');
    await session.conn.closed;
    expect(String(errors[0])).toMatch(/merge two contracts/);
  });

  it('runs nothing that waits after a close that revokes', async () => {
    const release: (() => void)[] = [];
    const ran: string[] = [];
    const { client, session } = setUp({
      twice: async (text) => {
        ran.push(text);
        await new Promise<void>((resolve) => release.push(resolve));
        return text;
      },
    });
    const peer = chat.connect(client, clientHandlers);
    const calls = ['a', 'b'].map((text) => failure(peer.twice(text)));
    await until(() => expect(release).toHaveLength(1));
    void session.close(4401, 'logged out');
    release[0]!();
    expect((await Promise.all(calls)).every((error) => error instanceof CloseError)).toBe(true);
    expect(ran).toEqual(['a']);
  });

  it('counts in hub.close while its handlers run', async () => {
    const release: (() => void)[] = [];
    const { client, hub } = setUp({
      twice: async (text) => {
        await new Promise<void>((resolve) => release.push(resolve));
        return text;
      },
    });
    const peer = chat.connect(client, clientHandlers);
    const call = failure(peer.twice('a'));
    await until(() => expect(release).toHaveLength(1));
    const closing = hub.close({ timeout: 1_000 });
    expect(await call).toMatchObject({ closeCode: 1001 });
    await vi.advanceTimersByTimeAsync(2_500);
    expect(await closing).toMatchObject({ handlersPending: 1 });
  });
});
