import { setTimeout as sleep } from 'node:timers/promises';
import {
  type Conn,
  connPair,
  JSONError,
  ProtocolError,
  ReadLimitError,
  WebSocketError,
} from '@ws/conn';
import { describe, expect, it, vi } from 'vitest';
import { reconnecting } from '../src/index.ts';
import { connOfAnotherClass, dials, fast } from './dials.ts';

const texts = async (conn: Conn, into: string[]): Promise<void> => {
  for await (const message of conn) into.push(message.text());
};

describe('reconnecting with a handler', () => {
  it('dials again after a connection that broke, and ends by a stop code', async () => {
    const all = dials(new Error('refused'));
    const seen: string[] = [];
    const running = reconnecting(all.dial, fast, (conn) => texts(conn, seen));
    const first = await all.server(0);
    await first.send('one');
    await first.close(1012);
    const second = await all.server(1);
    await second.send('two');
    await second.close(1008);
    await running;
    expect(seen).toEqual(['one', 'two']);
    expect(all.signals).toHaveLength(3);
  });

  it('waits for the end of a connection whose handler has returned', async () => {
    const all = dials();
    let handled = 0;
    const running = reconnecting(all.dial, fast, () => void handled++);
    const first = await all.server(0);
    await first.close(4000);
    const second = await all.server(1);
    await second.close(1008);
    await running;
    expect(handled).toBe(2);
  });

  it('closes with 1011 and rejects for another error of the handler', async () => {
    const all = dials();
    const failure = new Error('mine');
    const running = reconnecting(all.dial, fast, () => Promise.reject(failure));
    const server = await all.server(0);
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1011 });
    await expect(running).rejects.toBe(failure);
    expect(all.signals).toHaveLength(1);
  });

  it('rejects for the end of another connection', async () => {
    const all = dials();
    const [other, peer] = connPair();
    const running = reconnecting(all.dial, fast, () => other.readMessage());
    const server = await all.server(0);
    void server.discardReads().catch(() => {});
    peer.terminate();
    await expect(running).rejects.toBeInstanceOf(WebSocketError);
    expect(all.signals).toHaveLength(1);
  });

  it.each<[string, Error]>([
    ['a refused handshake', new WebSocketError('bad handshake: 401', 'WS_ERR_BAD_HANDSHAKE')],
    ['a refused request', new WebSocketError('401: no cookie', 'WS_ERR_HANDSHAKE')],
    ['a broken rule of another peer', new ProtocolError(1002, ['RSV2 set'])],
    ['a long message of another peer', new ReadLimitError(5)],
  ])('rejects for %s, which is no error of this open connection', async (_, failure) => {
    const all = dials();
    const running = reconnecting(all.dial, fast, () => Promise.reject(failure));
    void (await all.server(0)).discardReads().catch(() => {});
    const first = Promise.race([running, all.server(1)]);
    await expect(first).rejects.toBe(failure);
  });

  it('dials again after a message over the read limit of this connection', async () => {
    const all = dials();
    const running = reconnecting(all.dial, fast, async (conn) => {
      conn.setReadLimit(5);
      await conn.readMessage();
    });
    const server = await all.server(0);
    void server.discardReads().catch(() => {});
    await server.send('123456');
    await (await all.server(1)).close(1008);
    await running;
  });

  it('closes with 1011 and dials again for a message that is no JSON', async () => {
    const all = dials();
    const errors: unknown[] = [];
    const running = reconnecting(all.dial, fast, (conn) =>
      conn.readJSON().catch((error: unknown) => {
        errors.push(error);
        throw error;
      }),
    );
    const first = await all.server(0);
    await first.send('{');
    await expect(first.readMessage()).rejects.toMatchObject({ closeCode: 1011 });
    const second = await all.server(1);
    await second.close(1008);
    await running;
    expect(errors[0]).toBeInstanceOf(JSONError);
  });

  it.each([
    ['a function', null],
    ['a function', 'x'],
  ])('rejects without %s', async (_, handler) => {
    const all = dials();
    await expect(reconnecting(all.dial, fast, handler as never)).rejects.toThrow(
      'handler: expected a function',
    );
    expect(all.signals).toHaveLength(0);
  });

  it('ends without an error when the signal aborts, also if the handler rejects with its reason', async () => {
    const all = dials();
    const leaving = new AbortController();
    const { signal } = leaving;
    const running = reconnecting(all.dial, { ...fast, signal }, async (conn) => {
      await conn.send('hello');
      await new Promise((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      );
    });
    const server = await all.server(0);
    expect((await server.readMessage()).text()).toBe('hello');
    leaving.abort();
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    await running;
  });

  it('rejects with the error of the dial for which retry returns false', async () => {
    const failures = [new Error('first'), new Error('second')];
    const all = dials(...failures);
    const retry = (error: unknown) => error === failures[0];
    await expect(reconnecting(all.dial, { ...fast, retry }, () => {})).rejects.toBe(failures[1]);
  });
});

describe('reconnecting', () => {
  it('ends by its signal during a dial that never settles', async () => {
    const leaving = new AbortController();
    const dial = () => new Promise<Conn>(() => {});
    const running = reconnecting(dial, { signal: leaving.signal }, () => {});
    await new Promise((resolve) => void setImmediate(resolve));
    leaving.abort();
    await running;
  });

  it('ends by its signal when the handler rejects with an AbortError of Node', async () => {
    const all = dials();
    const leaving = new AbortController();
    const { signal } = leaving;
    const running = reconnecting(all.dial, { ...fast, signal }, () =>
      sleep(1_000_000, undefined, { signal }),
    );
    void (await all.server(0)).discardReads();
    leaving.abort(new Error('mine'));
    await running;
  });

  it('ends with a TypeError for a dial that returns no connection', async () => {
    const dial = () => Promise.resolve({ conn: 1 } as unknown as Conn);
    const iterator = reconnecting(dial, fast)[Symbol.asyncIterator]();
    await expect(iterator.next()).rejects.toThrow('dial: expected a promise of a Conn, got Object');
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it('causes no unhandled rejection when the error of next is ignored', async () => {
    const all = dials(new Error('refused'));
    const retry = vi.fn(() => false);
    const iterator = reconnecting(all.dial, { ...fast, retry })[Symbol.asyncIterator]();
    void iterator.next();
    await expect.poll(() => retry).toHaveBeenCalled();
    await new Promise((resolve) => void setImmediate(resolve));
    expect(await iterator.next()).toEqual({ done: true, value: undefined });
  });

  it.each([
    [undefined, {}, 'dial: expected a function, got undefined'],
    [() => {}, { minDelay: 0 }, 'minDelay: expected a whole number of 1 or more'],
    [() => {}, { delay: 1 }, 'reconnecting: unknown option delay'],
    [() => {}, { signal: 5 }, 'signal'],
    [() => {}, { retry: 5 }, 'retry: expected a function, got number'],
    [() => {}, { minDelay: 5, maxDelay: 3 }, 'minDelay: 5 is more than maxDelay, 3'],
    [() => {}, { stopCodes: 1008 }, 'stopCodes: expected an array of close codes'],
    [() => {}, { stopCodes: ['1008'] }, 'stopCodes: expected an array of close codes'],
  ])('throws for %s, %j', (dial, options, message) => {
    expect(() => reconnecting(dial as never, options as never)).toThrow(message);
  });

  it('takes connections of a class of the application', async () => {
    const all = dials();
    const dial = (options: { signal: AbortSignal }) => all.dial(options).then(connOfAnotherClass);
    const failure = new Error('mine');
    let connections = 0;
    const running = reconnecting(dial, fast, async (conn) => {
      if (++connections === 2) throw failure;
      for await (const message of conn) await conn.send(message.text());
    });
    const first = await all.server(0);
    await first.send('hello');
    expect((await first.readMessage()).text()).toBe('hello');
    await first.close(1012);
    const second = await all.server(1);
    await expect(second.readMessage()).rejects.toMatchObject({ closeCode: 1011 });
    await expect(running).rejects.toBe(failure);
  });

  it('closes with 1000 where a class of the application cannot close with 1011', async () => {
    const all = dials();
    const dial = async (options: { signal: AbortSignal }) => {
      const conn = connOfAnotherClass(await all.dial(options));
      const close = (code?: number) =>
        code === 1011 ? Promise.reject(new RangeError('1011')) : conn.close(code);
      return new Proxy(conn, {
        get: (_, name) => (name === 'close' ? close : Reflect.get(conn, name)),
      });
    };
    const failure = new Error('mine');
    const running = reconnecting(dial, fast, () => Promise.reject(failure));
    const server = await all.server(0);
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    await expect(running).rejects.toBe(failure);
  });

  it('closes a connection that was dialed after the end', async () => {
    let connected!: (conn: Conn) => void;
    const dial = () => new Promise<Conn>((resolve) => void (connected = resolve));
    const iterator = reconnecting(dial, fast)[Symbol.asyncIterator]();
    const next = iterator.next();
    // The dial starts in a later microtask.
    await new Promise((resolve) => void setImmediate(resolve));
    await iterator.return!();
    const [client, server] = connPair();
    connected(client);
    await expect(server.readMessage()).rejects.toMatchObject({ closeCode: 1000 });
    expect(await next).toEqual({ done: true, value: undefined });
  });
});
