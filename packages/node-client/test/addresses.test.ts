import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { AddressRace, findAddresses } from '../src/addresses.ts';
import type { GuardedStream } from '../src/guarded-stream.ts';
import { Dialer, type DialerOptions, dial, TransportError } from '../src/index.ts';
import { inVain, listeners } from './leftovers.ts';
import { certificate, rawServer, rawTlsServer, says } from './servers.ts';

type Lookup = NonNullable<DialerOptions['lookup']>;

/** A lookup that finds these addresses for every name, and the options that it got. */
function finds(...addresses: string[]): { readonly lookup: Lookup; readonly asked: object[] } {
  const asked: object[] = [];
  const lookup: Lookup = (_name, options, done) => {
    asked.push(options);
    done(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
  return { lookup, asked };
}

describe('AddressRace', () => {
  interface Running {
    readonly sockets: Map<string, Socket>;
    readonly winner: Promise<GuardedStream>;
    readonly end: (except?: GuardedStream) => void;
  }

  function race(...addresses: string[]): Running {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const sockets = new Map<string, Socket>();
    const running = new AddressRace(addresses, (address) => {
      const socket = new Socket();
      sockets.set(address, socket);
      return socket;
    });
    running.winner.catch(() => {});
    return { sockets, winner: running.winner, end: (except) => running.stop(except) };
  }

  it('starts the next attempt after 250 ms, while the earlier one continues and wins', async () => {
    const { sockets, winner, end } = race('a', 'b');
    expect([...sockets.keys()]).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(249);
    expect(sockets.size).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect([...sockets.keys()]).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([...sockets.values()].map(({ destroyed }) => destroyed)).toEqual([false, false]);
    sockets.get('a')!.emit('connect');
    const won = await winner;
    end(won);
    expect(won.stream).toBe(sockets.get('a'));
    expect([...sockets.values()].map(({ destroyed }) => destroyed)).toEqual([false, true]);
    won.unguard();
    expect(listeners(won.stream)).toEqual({});
    expect(vi.getTimerCount()).toBe(0);
  });

  it('starts the next attempt at once when one fails', async () => {
    const { sockets, winner, end } = race('a', 'b', 'c');
    sockets.get('a')!.destroy(new Error('refused'));
    await vi.advanceTimersByTimeAsync(0);
    expect([...sockets.keys()]).toEqual(['a', 'b']);
    sockets.get('b')!.emit('connect');
    end(await winner);
    await vi.advanceTimersByTimeAsync(1000);
    expect([...sockets.keys()]).toEqual(['a', 'b']);
  });

  it('fails when every attempt has failed, also the last one left', async () => {
    const { sockets, winner, end } = race('a', 'b');
    await vi.advanceTimersByTimeAsync(250);
    const [first, second] = [new Error('first'), new Error('second')];
    sockets.get('b')!.destroy(second);
    await vi.advanceTimersByTimeAsync(60_000);
    sockets.get('a')!.destroy(Object.assign(first, { code: 'ETIMEDOUT' }));
    const error = await winner.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(AggregateError);
    expect((error as AggregateError).errors).toEqual([second, first]);
    end();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('destroys every attempt at its end, and starts no other', async () => {
    const { sockets, end } = race('a', 'b', 'c');
    await vi.advanceTimersByTimeAsync(250);
    end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect([...sockets.values()].map(({ destroyed }) => destroyed)).toEqual([true, true]);
  });

  it('continues after an attempt that throws', async () => {
    const fault = new Error('no socket');
    const socket = new Socket();
    const running = new AddressRace(['a', 'b'], (address) => {
      if (address === 'a') throw fault;
      return socket;
    });
    socket.emit('connect');
    expect((await running.winner).stream).toBe(socket);
    running.stop();
    const failing = new AddressRace(['a'], () => {
      throw fault;
    });
    await expect(failing.winner).rejects.toBe(fault);
  });
});

describe('findAddresses', () => {
  it.each<[string, string[], string[]]>([
    [
      'families take turns',
      ['::1', '::2', '1.1.1.1', '1.1.1.2'],
      ['::1', '1.1.1.1', '::2', '1.1.1.2'],
    ],
    ['the first family is that of the lookup', ['1.1.1.1', '::1'], ['1.1.1.1', '::1']],
    [
      'the longer family is tried to its end',
      ['::1', '1.1.1.1', '1.1.1.2'],
      ['::1', '1.1.1.1', '1.1.1.2'],
    ],
    ['an address is tried once', ['::1', '::1', '1.1.1.1'], ['::1', '1.1.1.1']],
    ['what is no address is left out', ['nowhere', '::1'], ['::1']],
  ])('returns the order to try: %s', async (_, found, order) => {
    expect(await findAddresses('h', finds(...found), 'lookup')).toEqual(order);
  });

  it('takes one address, too', async () => {
    const lookup = ((_name: string, _options: object, done: (...found: unknown[]) => void) =>
      done(null, '127.0.0.1', 4)) as unknown as Lookup;
    expect(await findAddresses('h', { lookup }, 'lookup')).toEqual(['127.0.0.1']);
  });

  it('rejects a promise of addresses, which would wait for ever', async () => {
    const lookup = (async () => [{ address: '127.0.0.1', family: 4 }]) as unknown as Lookup;
    await expect(findAddresses('h', { lookup }, 'lookup')).rejects.toEqual(
      new TypeError('lookup: expected addresses by the callback, got a promise of them'),
    );
    const calls = (async (_name: string, _options: object, done: (...found: unknown[]) => void) => {
      done(null, '127.0.0.1', 4);
      return 'ignored';
    }) as unknown as Lookup;
    expect(await findAddresses('h', { lookup: calls }, 'lookup')).toEqual(['127.0.0.1']);
  });

  it.each<[DialerOptions, number]>([
    [{}, 0],
    [{ family: 4 }, 4],
    [{ localAddress: '127.0.0.1' }, 4],
    [{ localAddress: '::1' }, 6],
    [{ localAddress: '127.0.0.1', family: 6 }, 6],
  ])('asks for all addresses of the family: %j', async (options, family) => {
    const { lookup, asked } = finds('127.0.0.1');
    await findAddresses('h', { ...options, lookup }, 'lookup');
    expect(asked).toEqual([expect.objectContaining({ all: true, family })]);
  });
});

describe('a name with several addresses', () => {
  const several = (): DialerOptions => ({
    ...finds('127.0.0.2', '127.0.0.3', '127.0.0.1'),
    proxy: false,
  });

  it.each<[string, DialerOptions]>([
    ['no other option', {}],
    ['family', { family: 4 }],
    ['localAddress', { localAddress: '127.0.0.1' }],
  ])('is dialed at each of them, with %s', async (_, extra) => {
    const { cert: ca } = await certificate();
    const accepts = says((request) => request.ok());
    const [plain, secure] = [await rawServer(accepts), await rawTlsServer(accepts)];
    const { lookup } = several();
    const options = { proxy: false, lookup, ...extra } as const;
    const tls = { ca, servername: 'localhost' };
    for (const [url, more] of [
      [`ws://several.example:${plain.port}/`, options],
      [`wss://several.example:${secure.port}/`, { ...options, tls }],
      // The options of tls.connect include those of net.connect.
      [
        `wss://several.example:${secure.port}/`,
        { proxy: false, tls: { ...tls, lookup, ...extra } },
      ],
    ] as const) {
      const conn = await dial(url, more);
      expect(conn.remoteAddr).toMatch(/^127\.0\.0\.1:/);
      conn.terminate();
    }
    await plain.gone();
    await secure.gone();
  });

  it('that all refuse fails with an error for each', async () => {
    const server = await rawServer(() => {});
    const options = { ...finds('127.0.0.2', '127.0.0.3'), netDial: undefined };
    const { lookup } = options;
    const error = await inVain(`ws://h.example:${server.port}/`, { lookup, netDial: undefined });
    expect(error).toBeInstanceOf(TransportError);
    expect(error).toMatchObject({
      message: `websocket: connecting to h.example:${server.port} failed: connect ECONNREFUSED 127.0.0.2:${server.port}, connect ECONNREFUSED 127.0.0.3:${server.port}; nothing listens there`,
      cause: { code: 'ECONNREFUSED', errors: [{}, {}] },
    });
  });

  it('without an address fails, and reconnecting dials again', async () => {
    const { lookup } = finds();
    const error = await inVain('ws://h.example/', { lookup, netDial: undefined });
    expect(error).toMatchObject({
      message: expect.stringContaining(
        'connecting to h.example:80 failed: lookup found no address',
      ),
      cause: { code: 'ENOTFOUND' },
    });
  });

  it('leaves no attempt after an abort in the lookup', async () => {
    const server = await rawServer(() => {});
    const controller = new AbortController();
    const reason = new Error('enough');
    let answer = (): void => {};
    const lookup: Lookup = (_name, _options, done) => {
      answer = () => done(null, [{ address: '127.0.0.1', family: 4 }]);
      controller.abort(reason);
    };
    const dialing = new Dialer({ lookup, proxy: false }).dial(`ws://h.example:${server.port}/`, {
      signal: controller.signal,
    });
    await expect(dialing).rejects.toBe(reason);
    answer();
    await delay(0);
    expect(server.sockets).toHaveLength(0);
  });
});
