import { CloseError, connPair, ReadPendingError } from '@ws/conn';
import { dial } from '@ws/node-client';
import { serve } from '@ws/node-server';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, event, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { chat, clientHandlers, failure, never, serverHandlers, setUp, until } from './pairs.ts';

describe('one connection', () => {
  const other = contract({ server: { other: method(z.any(), z.any()) }, client: {} });

  it('has one contract, at each end and by each function', async () => {
    const { clientConn, serverConn, peer } = setUp();
    expect(() => other.connect(clientConn, {})).toThrow(/merge two contracts/);
    expect(() => other.connect(serverConn, {})).toThrow(/merge two contracts/);
    await expect(other.serve({ other: () => 1 })(serverConn)).rejects.toThrow(/merge/);
    const session = { conn: serverConn, data: undefined, send: () => true };
    expect(() => other.listener({ other: () => 1 })(session, undefined as never)).toThrow(/merge/);
    expect(() => chat.peer(clientConn)).toThrow(/result of connect/);
    expect(() => contract({ client: { more: event(z.any()) } }).peer(serverConn)).toThrow(/lacks/);
    expect(await peer.add([1, 2])).toBe(3);
  });

  it('is no client of a ReconnectingConn', async () => {
    const live = new ReconnectingConn(async () => connPair()[0]);
    await until(() => expect(live.conn).toBeDefined());
    expect(() => chat.peer(live as never)).toThrow(/result of connect/);
    await live.close();
  });

  it('that the application reads, too, fails the call of serve', async () => {
    const [client, server] = connPair();
    const read = server.readMessage();
    await expect(chat.serve(serverHandlers)(server)).rejects.toBeInstanceOf(ReadPendingError);
    await client.send('x');
    expect((await read).text()).toBe('x');
  });

  it('answers what came before the close of its peer', async () => {
    const { peer, serverConn } = setUp({
      server: {
        add: ([a, b], { peer }) => {
          void peer.said({ text: 'bye' });
          setImmediate(() => void serverConn.close(1001));
          return a + b;
        },
      },
    });
    expect(await peer.add([1, 2])).toBe(3);
  });
});

describe('server.close', () => {
  it('waits for a handler within its timeout, and its caller gets 1001', async () => {
    let release: (() => void) | undefined;
    let signal: AbortSignal | undefined;
    const handler = chat.serve({
      ...serverHandlers,
      twice: async (text, context) => {
        signal = context.signal;
        await new Promise<void>((resolve) => (release = resolve));
        return text;
      },
    });
    const server = await serve({ host: '127.0.0.1' }, handler);
    const peer = chat.connect(await dial(server.url), clientHandlers);
    const answer = failure(peer.twice('a'));
    await until(() => expect(release).toBeDefined());
    const closing = server.close({ timeout: 60_000 });
    expect(await answer).toMatchObject({ closeCode: 1001 });
    await until(() => expect(signal?.aborted).toBe(true));
    release!();
    expect(await closing).toMatchObject({ handlersPending: 0, terminated: 0 });
  });

  it('counts a handler that does not end', async () => {
    let runs = 0;
    const twice = (): Promise<string> => {
      runs++;
      return never();
    };
    const server = await serve({ host: '127.0.0.1' }, chat.serve({ ...serverHandlers, twice }));
    const peer = chat.connect(await dial(server.url), clientHandlers);
    const answer = failure(peer.twice('a'));
    await until(() => expect(runs).toBe(1));
    expect(await server.close({ timeout: 50 })).toMatchObject({ handlersPending: 1 });
    expect(await answer).toBeInstanceOf(CloseError);
  });
});
