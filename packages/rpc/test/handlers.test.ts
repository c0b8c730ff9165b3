import { connPair } from '@ws/conn';
import { Hub, type Session } from '@ws/hub';
import { serveRooms } from '@ws/hub/rooms';
import { contract, event, method, RpcError } from '@ws/rpc';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { inHub } from './in-hub.ts';
import { chat, nextOf, serverHandlers, setUpRaw, throws } from './pairs.ts';

const names = { who: method(z.undefined(), z.array(z.string())), note: event(z.number()) };
const both = contract({ server: names, client: names });

describe('the context of a handler', () => {
  it.each(['serve', 'listener', 'connect'])(
    'has its parts when it is spread, in %s',
    async (way) => {
      const [raw, ours] = connPair();
      ours.data = 'ann';
      const spread: Record<string, unknown>[] = [];
      const handlers = {
        who: (_: undefined, context: object) => {
          const { ...parts } = context as Record<string, unknown>;
          spread.push({ ...parts, db: 1 });
          return Object.keys(parts).toSorted();
        },
        note: () => undefined,
      };
      if (way === 'connect') both.connect(ours, handlers);
      else if (way === 'serve') void both.serve(handlers)(ours, undefined, { auth: 'ann' });
      else inHub(ours, both.listener<Session>(handlers));
      await raw.send('{"jsonrpc":"2.0","id":1,"method":"who"}');
      expect(await nextOf(raw)).toMatchObject({
        result: ['auth', 'peer', 'session', 'signal', 'version'],
      });
      const [{ auth, peer, session, signal, db }] = spread as [Record<string, unknown>];
      expect([db, auth]).toEqual([1, way === 'connect' ? undefined : 'ann']);
      expect(signal).toBeInstanceOf(AbortSignal);
      expect(Object.keys(peer as object)).toEqual(['who', 'note']);
      expect((session as Session | undefined)?.conn).toBe(way === 'listener' ? ours : undefined);
      raw.terminate();
    },
  );
});

class Base {
  readonly db = { users: ['ann'] };
  cache: Map<string, number> | undefined;
}

class Users extends Base {
  who() {
    return this.db.users;
  }

  note() {
    return undefined;
  }
}

describe('handlers of a class with fields', () => {
  it.each(['serve', 'listener', 'connect', 'serveRooms'])('work in %s', async (way) => {
    const [raw, ours] = connPair();
    const handlers = new Users();
    if (way === 'connect') both.connect(ours, handlers);
    else if (way === 'serve') void both.serve(handlers)(ours);
    else if (way === 'listener') {
      const hub = new Hub();
      hub.on('message', both.listener<Session>(handlers));
      hub.add(ours);
    } else serveRooms({}, { contract: both, handlers }).hub.add(ours);
    await raw.send('{"jsonrpc":"2.0","id":1,"method":"who"}');
    expect(await nextOf(raw)).toMatchObject({ result: ['ann'] });
    raw.terminate();
  });

  it('are refused with a function that is no name', () => {
    const handlers = { ...serverHandlers, sya: () => undefined };
    expect(() => chat.serve(handlers)).toThrow('serve: the contract has no sya at this end');
  });
});

describe('another copy of the package', () => {
  it('throws errors that the caller gets, and makes contracts that are merged', async () => {
    vi.resetModules();
    const other = await import('@ws/rpc');
    expect(other.RpcError).not.toBe(RpcError);
    const { ask, reports } = setUpRaw({
      say: throws(new other.RpcError(404, 'no such room', { room: 1 })),
    });
    expect(await ask({ jsonrpc: '2.0', id: 1, method: 'say', params: { text: '' } })).toMatchObject(
      { error: { code: 404, message: 'no such room', data: { room: 1 } } },
    );
    expect(reports).toEqual([]);
    const theirs = other.contract({ server: { more: other.method(z.number(), z.number()) } });
    const merged = contract({ server: { say: chat.server.say } }, theirs as never);
    expect(Object.keys(merged.server)).toEqual(['more', 'say']);
    const asks = other.contract({ client: { ask: other.method(z.number(), z.number()) } });
    const server = serveRooms({}, { contract: asks as never });
    const [client, conn] = connPair();
    const session = server.hub.add(conn);
    asks.connect(client, { ask: (n) => n + 1 });
    const peer = server.peer(session) as { ask(n: number): Promise<number> };
    expect(await peer.ask(1)).toBe(2);
    client.terminate();
  });
});

describe('a mistake', () => {
  const [conn] = connPair();
  const session = new Hub().add(conn);

  it.each<[string, () => unknown, RegExp]>([
    [
      'chat.serve as the handler',
      () => {
        // oxlint-disable-next-line typescript/unbound-method -- that is the mistake
        const serve = chat.serve as (conn: unknown) => unknown;
        return serve(conn);
      },
      /pass chat\.serve\(handlers\), not chat\.serve/,
    ],
    [
      'a listener as the handler',
      () => (chat.listener(serverHandlers) as (conn: unknown) => unknown)(connPair()[0]),
      /listener\(handlers\) is for hub\.on\('message'\), got Object; a server takes serve\(handlers\)/,
    ],
    [
      'a code that is none',
      () => new RpcError('no' as never, 403 as never),
      /RpcError\(code, message\): code: expected/,
    ],
    ...['constructor', 'toString', 'valueOf', 'hasOwnProperty', '__proto__', 'then'].map(
      (name): [string, () => unknown, RegExp] => [
        `the name ${name}`,
        () => contract({ server: Object.fromEntries([[name, chat.server.say]]) }),
        new RegExp(
          `"${name}" is no name; .* not then, .*${name}`.replace('not then, .*then', 'not then'),
        ),
      ],
    ),
  ])('says what to write: %s', (_, act, message) => {
    expect(act).toThrow(message);
  });

  it('says what to write: serve as a listener of a hub', async () => {
    const serve = chat.serve(serverHandlers) as (session: unknown) => Promise<void>;
    await expect(serve(session)).rejects.toThrow(
      /expected a Conn, got Object; hub\.on\('message'\) takes chat\.listener\(handlers\)/,
    );
  });
});
