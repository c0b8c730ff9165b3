import { CloseError, CloseSentError, type Conn, connPair, TimeoutError } from '@ws/conn';
import { ReconnectingConn } from '@ws/reconnect';
import { contract, method } from '@ws/rpc';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { failure, nextOf, quietly, series, until } from './pairs.ts';

const jobs = contract({
  server: {
    once: method(z.string(), z.string()),
    again: method(z.string(), z.string(), { retry: true }),
  },
  client: { confirm: method(z.string(), z.string()) },
});

type Handlers = Parameters<typeof jobs.serve>[0];

/** A client that dials servers in this process. */
function setUp(handlers: Partial<Handlers> = {}) {
  const servers: Conn[] = [];
  const dials: (() => void)[] = [];
  const all = { once: (text: string) => text, again: (text: string) => text, ...handlers };
  const live = new ReconnectingConn(
    async () => {
      if (servers.length > 0) await new Promise<void>((resolve) => dials.push(resolve));
      const [client, server] = connPair();
      servers.push(server);
      quietly(jobs.serve(all)(server));
      return client;
    },
    { minDelay: 1, maxDelay: 1 },
  );
  const peer = jobs.connect(live, { confirm: (text) => text });
  const redial = async (): Promise<void> => {
    await until(() => expect(dials).toHaveLength(1));
    dials.shift()!();
  };
  return { live, peer, servers, redial };
}

const never = (): Promise<never> => new Promise(() => {});

describe('a contract on a ReconnectingConn', () => {
  it('waits for a connection', async () => {
    const { peer, live } = setUp();
    expect(await peer.once('a')).toBe('a');
    await live.close();
    await expect(peer.once('a')).rejects.toBeInstanceOf(CloseSentError);
  });

  it('rejects an open request when the connection breaks', async () => {
    const { peer, servers, redial, live } = setUp({ once: never });
    const call = failure(peer.once('a'));
    await until(() => expect(servers[0]?.stats.messagesIn).toBe(2));
    servers[0]!.terminate();
    expect(await call).toBeInstanceOf(CloseError);
    const later = peer.again('later');
    await redial();
    expect(await later).toBe('later');
    await live.close();
  });

  it('sends a request with retry again, with its id', async () => {
    const texts: string[] = [];
    const { peer, servers, redial, live } = setUp({
      again: (text) => {
        texts.push(text);
        return texts.length === 1 ? never() : text;
      },
    });
    const call = peer.again('a');
    await until(() => expect(texts).toHaveLength(1));
    servers[0]!.terminate();
    await redial();
    expect(await call).toBe('a');
    expect(texts).toEqual(['a', 'a']);
    await live.close();
  });

  it('times out while it waits for a connection', async () => {
    const { peer, servers, live } = setUp();
    await peer.once('a');
    servers[0]!.terminate();
    await until(() => expect(live.state).not.toBe('open'));
    const error = await failure(peer.once('b', { timeout: 20 }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(String(error)).toMatch(/was not sent/);
    await live.close();
  });

  it('answers no request of an earlier connection on a later one', async () => {
    let release: (() => void) | undefined;
    const { servers, live } = series();
    jobs.connect(live, {
      confirm: async (text) => {
        if (text === 'first') await new Promise<void>((resolve) => (release = resolve));
        return text;
      },
    });
    await until(() => expect(servers).toHaveLength(1));
    const ask = (server: Conn, text: string): Promise<void> =>
      server.writeJSON({ jsonrpc: '2.0', id: 1, method: 'confirm', params: [text] });
    await ask(servers[0]!, 'first');
    await until(() => expect(release).toBeDefined());
    servers[0]!.terminate();
    await until(() => expect(servers).toHaveLength(2));
    await ask(servers[1]!, 'second');
    release!();
    expect(await nextOf(servers[1]!)).toEqual({
      jsonrpc: '2.0',
      id: 1,
      result: 'second',
    });
    void servers[1]!.discardReads().catch(() => {});
    await live.close();
  });
});
