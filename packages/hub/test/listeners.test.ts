import { BackpressureError, type Conn, connPair, PongMessage } from '@ws/conn';
import {
  BackplaneError,
  Hub,
  type HubOptions,
  OverflowError,
  type Session,
  SessionClosedError,
} from '@ws/hub';
import { MemoryBroker, memoryBackplane } from '@ws/hub/testing';
import { describe, expect, it, vi } from 'vitest';
import { useFakeTime } from './nodes.ts';

function enter(hub: Hub): { client: Conn; session: Session } {
  const [client, server] = connPair();
  return { client, session: hub.add(server) };
}

function hubWith(options: HubOptions = {}) {
  const hub = new Hub(options);
  const failed = vi.fn();
  hub.on('error', failed);
  return { hub, failed };
}

const turns = async (count = 5): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A backplane that refuses every message. */
function refusing() {
  const cause = new Error('not permitted');
  const publish = () => Promise.reject(cause);
  return { cause, backplane: { ...memoryBackplane(new MemoryBroker()), publish } };
}

describe('a listener of message', () => {
  it('that joins another session that has ended is reported, and the sender stays', async () => {
    const { hub, failed } = hubWith();
    const [sender, other] = [enter(hub), enter(hub)];
    await other.client.close();
    hub.on('message', () => other.session.join('r'));
    await sender.client.send('x');
    await expect.poll(() => failed.mock.calls.length).toBe(1);
    expect(failed).toHaveBeenCalledExactlyOnceWith(sender.session, expect.any(SessionClosedError));
    expect(sender.session.state).toBe('open');
  });

  it('may return a publication that the backplane refuses: the session stays open', async () => {
    const { cause, backplane } = refusing();
    const { hub, failed } = hubWith({ backplane });
    hub.on('message', (_, message) => hub.room('r').publish(message));
    const { client, session } = enter(hub);
    await client.send('x');
    await expect.poll(() => failed.mock.calls.length).toBe(1);
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, expect.any(BackplaneError));
    expect(failed.mock.calls[0]![1]).toMatchObject({ cause });
    expect(session.state).toBe('open');
  });

  it('may broadcast too much: the session stays open', async () => {
    const { hub, failed } = hubWith();
    const { client, session } = enter(hub);
    hub.on('message', () => {
      for (let i = 0; i < 10_002; i++) hub.broadcast('x');
    });
    await client.send('x');
    await expect.poll(() => failed.mock.calls.length).toBe(1);
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, expect.any(OverflowError));
    expect(client.state).toBe('open');
    expect(session.state).toBe('open');
    void client.discardReads().catch(() => {});
  });

  it('may publish while the hub closes: the client gets 1001', async () => {
    const { hub, failed } = hubWith();
    hub.on('message', (_, message) => hub.room('r').publish(message));
    hub.on('disconnect', () => void hub.broadcast('gone'));
    const clients = [enter(hub).client, enter(hub).client];
    const closed = hub.close({ over: 50, timeout: 5_000 });
    await clients[1]!.send('hi');
    for (const client of clients) {
      void client.discardReads();
      expect(await client.closed).toMatchObject({ code: 1001 });
    }
    await closed;
    expect(failed).not.toHaveBeenCalled();
  });
});

describe('a publication that is not awaited', () => {
  useFakeTime();

  it('is reported when the backplane refuses it, then at most once a second', async () => {
    const { cause, backplane } = refusing();
    const { hub, failed } = hubWith({ backplane });
    void enter(hub).session.join('r');
    await turns();
    for (let i = 0; i < 3; i++) void hub.room('r').publish('x');
    hub.broadcast('x');
    await turns();
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, expect.objectContaining({ cause }));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(failed).toHaveBeenCalledTimes(2);
    expect(String(failed.mock.calls[1]![1])).toContain('3 publications were refused');
  });

  it('of a listener of error is reported at most once a second', async () => {
    const { hub, failed } = hubWith();
    hub.on('error', (_, error) => {
      if (failed.mock.calls.length < 100) void hub.room('r').publish(error as string);
    });
    void hub.room('r').publish(7 as never);
    await turns();
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, expect.any(TypeError));
    await hub.close();
    expect(failed).toHaveBeenCalledTimes(2);
  });

  it('is reported when too many messages wait', async () => {
    const { hub, failed } = hubWith();
    const { client, session } = enter(hub);
    void session.join('r');
    for (let i = 0; i < 10_001; i++) void hub.room('r').publish('x');
    await turns();
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, expect.any(OverflowError));
    void client.discardReads().catch(() => {});
  });
});

describe('hub.add', () => {
  it('reports a connection that other code reads, and closes it', async () => {
    const { hub, failed } = hubWith();
    const [client, server] = connPair();
    void server.receive(() => {});
    const session = hub.add(server);
    void client.discardReads();
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(failed).toHaveBeenCalledExactlyOnceWith(
      session,
      expect.objectContaining({ code: 'WS_ERR_READ_PENDING' }),
    );
  });
});

describe('a listener that throws or rejects', () => {
  const mistake = new Error('mistake');
  const fail = (): never => {
    throw mistake;
  };

  it.each<['connect' | 'message' | 'sent' | 'entered' | 'left' | 'pong']>([
    ['connect'],
    ['message'],
    ['sent'],
    ['entered'],
    ['left'],
    ['pong'],
  ])('closes the session with 1011, and error reports it (%s)', async (event) => {
    const { hub, failed } = hubWith();
    const other = enter(hub);
    hub.on(event, fail);
    const { client, session } = enter(hub);
    if (event === 'message') await client.send('x');
    if (event === 'sent') session.send('x');
    if (event === 'entered') await expect(session.join('r')).rejects.toThrow(SessionClosedError);
    if (event === 'left') {
      void session.join('r');
      session.leave('r');
    }
    if (event === 'pong') await client.writeMessage(PongMessage, '');
    void client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(failed).toHaveBeenCalledWith(session, mistake);
    expect(other.session.state).toBe('open');
  });

  it('sends what waits before it closes, however many messages there are (sent)', async () => {
    const { hub, failed } = hubWith();
    hub.on('sent', fail);
    const { client, session } = enter(hub);
    void session.join('r');
    let received = 0;
    client.receive(() => void received++).catch(() => {});
    for (let i = 0; i < 10_000; i++) void hub.room('r').publish('x');
    await session.close(undefined, undefined, { timeout: 60_000 });
    expect(failed.mock.calls.every(([, error]) => error === mistake)).toBe(true);
    expect(received).toBe(10_000);
  });

  it('closes the session when its promise rejects', async () => {
    const { hub, failed } = hubWith();
    hub.on('message', () => Promise.reject(mistake));
    const { client, session } = enter(hub);
    await client.send('x');
    void client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(failed).toHaveBeenCalledExactlyOnceWith(session, mistake);
  });

  it('closes the session with 1013 when it does not catch a BackpressureError', async () => {
    const { hub } = hubWith();
    hub.on('message', () => Promise.reject(new BackpressureError('full')));
    const { client } = enter(hub);
    await client.send('x');
    void client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1013 });
  });

  it.each(['gap', 'error', 'disconnect', 'close'] as const)(
    'without an open session is reported (%s)',
    async (event) => {
      const { hub, failed } = hubWith({ backplane: memoryBackplane(new MemoryBroker()) });
      const reported = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
      const { client, session } = enter(hub);
      hub.on(event, fail);
      await turns();
      if (event === 'error') {
        void hub.room('r').publish({} as never);
        await expect.poll(() => failed.mock.calls.length).toBe(1);
      } else if (event !== 'gap') {
        await client.close();
        await expect.poll(() => failed.mock.calls.length).toBe(1);
        expect(failed).toHaveBeenCalledWith(session, mistake);
      }
      reported.mockRestore();
    },
  );
});

describe('a filter that throws', () => {
  const mistake = new Error('mistake');
  const filter = (): never => {
    throw mistake;
  };

  it('rejects the publication, which reaches no session', async () => {
    const { hub } = hubWith();
    const { client, session } = enter(hub);
    void session.join('r');
    await expect(hub.room('r').publish('x', { filter })).rejects.toBe(mistake);
    expect(() => hub.broadcast('x', { filter })).toThrow(mistake);
    await hub.room('r').publish('next');
    expect((await client.readMessage()).text()).toBe('next');
    expect(hub.stats.delivered).toBe(1);
  });

  it('in a listener that awaits the publication closes the session, and is reported once', async () => {
    const { hub, failed } = hubWith();
    hub.on('message', () => hub.room('r').publish('x', { filter }));
    const { client, session } = enter(hub);
    void session.join('r');
    await client.send('x');
    void client.discardReads().catch(() => {});
    expect(await client.closed).toMatchObject({ code: 1011 });
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, mistake);
  });
});

describe('a publication of invalid data', () => {
  it('is reported, also if its promise is not awaited', async () => {
    const { hub, failed } = hubWith();
    void hub.room('r').publish({ text: 'x' } as never);
    await expect.poll(() => failed.mock.calls.length).toBe(1);
    expect(failed).toHaveBeenCalledExactlyOnceWith(undefined, expect.any(TypeError));
  });

  it('on a closed hub rejects and throws', async () => {
    const { hub, failed } = hubWith();
    const { session } = enter(hub);
    await hub.close({ timeout: 1 });
    const closed = { code: 'WS_ERR_HUB_CLOSED' };
    await expect(hub.room('r').publish('x')).rejects.toMatchObject(closed);
    expect(() => hub.broadcast('x')).toThrow(expect.objectContaining(closed));
    expect(() => hub.multiple([session], 'x')).toThrow(expect.objectContaining(closed));
    expect(session.send('x')).toBe(false);
    expect(failed).not.toHaveBeenCalled();
  });
});
