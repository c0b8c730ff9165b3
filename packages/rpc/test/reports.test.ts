import { CloseError, type Conn, connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, event, method, RpcError } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { forgetPrintedErrors } from '../../../tests/kit/printed-errors.ts';
import { failure, quietly, settled, throws, until, useFakeClock } from './pairs.ts';

useFakeClock();

const disk = contract({
  server: { save: method(z.object({ n: z.number() }), z.number()), said: event(z.number()) },
  client: { said: event(z.number()) },
});
type Reported = [message: string, where: string];

const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A client of a server with a full disk. */
function setUp(way: 'connect' | 'ReconnectingConn') {
  const reports: Reported[] = [];
  const report = (error: unknown, { where }: { where: string }) =>
    void reports.push([String(error), where]);
  const [near, far] = connPair({ client: { report } });
  const save = throws(new RpcError(507, 'disk full'));
  quietly(disk.serve({ save, said: () => undefined })(far));
  const target = way === 'connect' ? near : new ReconnectingConn(async () => near);
  return { near, peer: disk.connect(target, { said: () => undefined }), reports };
}

describe.each(['connect', 'ReconnectingConn'] as const)('a call through %s', (way) => {
  it('that fails and that no code awaits is reported once a second and kind', async () => {
    const { near, peer, reports } = setUp(way);
    await until(() => expect(near.state).toBe('open'));
    for (let i = 0; i < 3; i++) void peer.save({ n: 1 });
    void peer.save({ n: 'x' as never });
    void peer.save(1n as never);
    await until(() => expect(reports).toHaveLength(3));
    await settled(near);
    await turns();
    expect(reports.map(([, where]) => where)).toEqual(['save', 'save', 'save']);
    expect(reports.map(([message]) => message).toSorted()).toEqual([
      expect.stringMatching(/JSONError.*bigint/i),
      expect.stringMatching(/RpcError: Invalid params/),
      expect.stringMatching(/RpcError: disk full/),
    ]);
  });

  it('that code awaits, or that its own signal ends, is not reported; nor is an event', async () => {
    const { near, peer, reports } = setUp(way);
    const control = new AbortController();
    const { signal } = control;
    void peer.save({ n: 1 }, { signal });
    control.abort(new Error('left'));
    void peer.save({ n: 1 }, { signal });
    await expect(peer.save({ n: 1 })).rejects.toThrow('disk full');
    await Promise.allSettled([peer.save({ n: 1 }), peer.save({ n: 2 }).finally(() => {})]);
    peer.save({ n: 1 }).catch(() => {});
    void peer.said(1n as never);
    near.terminate();
    await near.closed;
    void peer.said(1);
    await turns();
    expect(reports).toEqual([]);
  });
});

describe('a peer that fails each call with another code', () => {
  it('is reported 101 times a second at most', async () => {
    const reports: unknown[] = [];
    const [raw, ours] = connPair({ report: (error) => void reports.push(error) });
    const peer = disk.connect(ours, { said: () => undefined });
    void raw.receive((message) => {
      const { id } = message.json() as { id: number };
      void raw.writeJSON({ jsonrpc: '2.0', id, error: { code: id, message: '' } });
    });
    const calls = Array.from({ length: 300 }, (_, n) => peer.save({ n }));
    await until(() => expect(reports).toHaveLength(101));
    await settled(ours);
    await turns();
    expect(reports).toHaveLength(101);
    await Promise.allSettled(calls);
    raw.terminate();
  });
});

describe('a call on a connection that no contract reads', () => {
  it('is reported when no code awaits it', async () => {
    const reports: string[] = [];
    const [raw, ours] = connPair({ report: (error) => void reports.push(String(error)) });
    const merged = contract({ client: { ask: method(z.undefined(), z.number()) } }, disk);
    void merged.peer(ours).ask();
    void merged.peer(ours).said(1);
    merged
      .peer(ours)
      .ask()
      .catch(() => {});
    await until(() => expect(reports).toHaveLength(1));
    await turns();
    expect(reports).toEqual([expect.stringMatching(/no contract reads this connection/)]);
    raw.terminate();
  });
});

describe('a call after the end of its connection', () => {
  it('says so, and is reported when no code awaits it', async () => {
    const { near, peer, reports } = setUp('connect');
    await near.close();
    const error = await failure(peer.save({ n: 1 }));
    expect(error).toBeInstanceOf(CloseError);
    expect(String(error)).toMatch(/the connection has ended/);
    expect(await peer.said(1).catch(String)).toMatch(/the connection has ended/);
    void peer.save({ n: 1 });
    await until(() => expect(reports).toHaveLength(1));
  });
});

const send = (conn: Conn, name: string) =>
  void conn.send(JSON.stringify({ jsonrpc: '2.0', method: name }));

describe.each(['serve', 'listener', 'connect'])('an event that %s does not know', (way) => {
  it('is reported once for each name, at most 100', async () => {
    const reports: string[] = [];
    const report = (error: unknown) => void reports.push(String(error));
    const handlers = { save: () => 1, said: () => undefined };
    const serve = disk.serve(handlers);
    const hub = new Hub();
    hub.on('message', disk.listener<Session>(handlers));
    // Two connections of one server. A page has one.
    const raws = (way === 'connect' ? [1] : [1, 2]).map(() => {
      const [raw, ours] = connPair({ report });
      if (way === 'connect') disk.connect(ours, { said: () => undefined });
      else if (way === 'listener') hub.add(ours);
      else serve(ours).catch(() => {});
      return raw;
    });
    for (const raw of raws) {
      for (let i = 0; i < 3; i++) send(raw, 'shouted');
      send(raw, '$/progress');
      await settled(raw);
    }
    expect(reports).toEqual([
      expect.stringMatching(/event "shouted" was dropped.*none at this end/),
    ]);
    for (let i = 0; i < 300; i++) send(raws[0]!, `x${i}`);
    send(raws[0]!, 'x'.repeat(100_000));
    await settled(raws[0]!);
    expect(reports).toHaveLength(100);
    expect(Math.max(...reports.map(({ length }) => length))).toBeLessThan(300);
    for (const raw of raws) raw.terminate();
  });
});

describe('a publication', () => {
  it('that fails and that no code awaits is reported once a second and kind', async () => {
    const server = serveRooms({ 'chat/*': { mayJoin: true } });
    server.hub.on('error', () => {});
    const live = new ReconnectingConn(async () => {
      const [client, conn] = connPair();
      server.hub.add(conn);
      return client;
    });
    const rooms = roomsOf(live);
    const loop = rooms.join('chat/a');
    const warnings: string[] = [];
    forgetPrintedErrors();
    const warn = vi.spyOn(console, 'error').mockImplementation((text) => void warnings.push(text));
    try {
      await expect(rooms.publish('chat/a', 1)).rejects.toMatchObject({ code: -32_001 });
      const control = new AbortController();
      void rooms.publish('chat/a', 1, { signal: control.signal });
      control.abort();
      await turns();
      expect(warnings).toEqual([]);
      for (let i = 0; i < 3; i++) void rooms.publish('chat/a', 1);
      void rooms.publish('chat/b', 1);
      await until(() => expect(warnings).toHaveLength(2));
      await settled(live.conn as Conn);
      await turns();
      expect(warnings).toHaveLength(2);
      expect(warnings.join(' ')).toMatch(/no loop is in "chat\/b"/);
    } finally {
      warn.mockRestore();
      void loop.return?.();
      await live.close();
      await server.hub.close();
    }
  });
});
