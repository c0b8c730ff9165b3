import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  type BrowserConn,
  type FreshURL,
  ReconnectingConn,
  type ReconnectingConnOptions,
  type ReconnectingOptions,
  reconnecting,
} from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { openAt, pass, rejection, socketAt, stubPage, stubReportError } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** `reconnecting` over fake sockets, until `stop`. */
function started(
  options: ReconnectingOptions = {},
  handler: (conn: BrowserConn) => unknown = () => {},
) {
  const { WebSocket, sockets } = socketClass();
  const stop = new AbortController();
  const all = { WebSocket, signal: stop.signal, ...options };
  return { sockets, stop, done: reconnecting('ws://h', all, handler) };
}

/** A ReconnectingConn over fake sockets. */
function liveOf(options: ReconnectingConnOptions = {}, url: string | FreshURL = 'ws://h') {
  const { WebSocket, sockets } = socketClass();
  const delays = { minDelay: 1, maxDelay: 2 };
  return { sockets, live: new ReconnectingConn(url, { WebSocket, ...delays, ...options }) };
}

describe('reconnecting', () => {
  it('dials again after an end, and stops at a stop code', async () => {
    const texts: string[] = [];
    const { sockets, done } = started({ minDelay: 1, maxDelay: 2 }, async (conn) => {
      await conn.receive((message) => void texts.push(message.text()));
    });
    for (const [i, code] of [1006, 1000, 1008].entries()) {
      const socket = await openAt(sockets, i);
      socket.message(String(code));
      socket.end(code);
      await pass(2);
    }
    await done;
    expect(texts).toEqual(['1006', '1000', '1008']);
    expect(sockets).toHaveLength(3);
  });

  it('iterates over connections', async () => {
    const { WebSocket, sockets } = socketClass();
    const urls: unknown[] = [];
    const iterate = async (): Promise<void> => {
      for await (const conn of reconnecting('ws://h/a', { WebSocket })) {
        urls.push((conn.underlying as FakeWebSocket).url);
        break;
      }
    };
    const done = iterate();
    (await socketAt(sockets, 0)).open();
    await done;
    expect(urls).toEqual(['ws://h/a']);
  });

  it('listens to no page after a connection has ended, until the next call of next', async () => {
    const page = stubPage();
    const { WebSocket, sockets } = socketClass();
    const iterator = reconnecting('ws://h/a', { WebSocket })[Symbol.asyncIterator]();
    const first = iterator.next();
    const socket = await openAt(sockets, 0);
    await first;
    expect(page.listeners()).toBeGreaterThan(0);
    socket.end();
    await pass(0);
    expect(page.listeners()).toBe(0);
    await iterator.return?.();
  });

  it('closes with 3011 after an error of the handler', async () => {
    const { sockets, done } = started({}, () => Promise.reject(new Error('mine')));
    const failed = rejection(done);
    const socket = await openAt(sockets, 0);
    expect(socket.closes).toEqual([[3011, '']]);
    socket.end(3011);
    expect((await failed).message).toBe('mine');
  });

  it('tries a failed dial again, but not a refused subprotocol', async () => {
    const { WebSocket, sockets } = socketClass();
    let refuse = false;
    class Refusing extends WebSocket {
      constructor(url?: string) {
        if (refuse) throw new SyntaxError('bad subprotocol');
        super(url);
      }
    }
    const failed = rejection(
      reconnecting('ws://h', { WebSocket: Refusing, minDelay: 1, maxDelay: 1 }, () => {}),
    );
    (await socketAt(sockets, 0)).end();
    await pass(2);
    refuse = true;
    (await socketAt(sockets, 1)).end();
    await pass(2);
    expect((await failed).message).toContain('bad subprotocol');
  });

  it.each([
    [() => reconnecting('ftp://h'), SyntaxError],
    [() => reconnecting('ws://h', { minDelay: 0 }), RangeError],
    [() => reconnecting('ws://h', { readLimit: 0 }), RangeError],
    [() => reconnecting('ws://h', { headers: {} } as never), TypeError],
  ])('throws for a bad URL or option: %s', (call, kind) => {
    expect(call).toThrow(kind);
  });

  it('dials at once when the page is online again or visible', async () => {
    const page = stubPage();
    const { sockets, stop, done } = started({ minDelay: 30_000 });
    (await socketAt(sockets, 0)).end();
    await pass(0);
    page.online();
    (await socketAt(sockets, 1)).end();
    await pass(0);
    page.visible('hidden');
    await pass(0);
    expect(sockets).toHaveLength(2);
    page.visible('visible');
    const socket = await openAt(sockets, 2);
    page.online();
    expect(sockets).toHaveLength(3);
    stop.abort();
    socket.end(1000);
    await done;
    expect(page.listeners()).toBe(0);
  });

  it('gives up a dial of two seconds when the page wakes, and dials again', async () => {
    const page = stubPage();
    const retry = vi.fn();
    const { sockets, stop, done } = started({ retry });
    await socketAt(sockets, 0);
    await pass(1_999);
    page.online();
    await pass(0);
    expect(sockets).toHaveLength(1);
    await pass(1);
    page.online();
    page.emit('pageshow');
    const socket = await socketAt(sockets, 1);
    expect(sockets[0]!.closes).toHaveLength(1);
    socket.open();
    await pass(10_000);
    page.online();
    await pass(10_000);
    expect(sockets).toHaveLength(2);
    expect(retry).not.toHaveBeenCalled();
    stop.abort();
    socket.end(1000);
    await done;
    expect(page.listeners()).toBe(0);
  });

  it('dials at once when the connection ends right after the page has woken', async () => {
    const page = stubPage();
    const { sockets, stop, done } = started({ minDelay: 30_000 });
    const frozen = await openAt(sockets, 0);
    page.visible('visible');
    await pass(10);
    frozen.end(1006);
    await pass(0);
    expect(sockets).toHaveLength(2);
    // Once: the failure of that dial is followed by a wait.
    sockets[1]!.end(1006);
    await pass(10);
    expect(sockets).toHaveLength(2);
    stop.abort();
    await done;
    expect(page.listeners()).toBe(0);
  });

  it('waits when the connection ends long after the page has woken', async () => {
    const page = stubPage();
    vi.spyOn(Math, 'random').mockReturnValueOnce(1);
    const { sockets, stop, done } = started({ minDelay: 30_000 });
    await openAt(sockets, 0);
    page.online();
    await pass(5_000);
    sockets[0]!.end(1006);
    await pass(10);
    expect(sockets).toHaveLength(1);
    stop.abort();
    await done;
  });
});

describe('a function for the URL', () => {
  /** Two connections of `reconnecting` or a ReconnectingConn, which end; then it is stopped. */
  async function twice(url: FreshURL): Promise<string[]> {
    const { live, sockets } = liveOf({}, url);
    void live.receive(() => {}).catch(() => {});
    for (const i of [0, 1]) {
      const socket = await openAt(sockets, i);
      socket.end(1006);
      await pass(2);
    }
    await live.close();
    return sockets.slice(0, 2).map((socket) => socket.url);
  }

  it('is called for each dial, and may be async', async () => {
    let n = 0;
    expect(await twice(() => `ws://h/?ticket=${++n}`)).toEqual([
      'ws://h/?ticket=1',
      'ws://h/?ticket=2',
    ]);
    const later = await twice(async () => {
      await Promise.resolve();
      return new URL(`http://h/?ticket=${++n}`);
    });
    expect(later[0]).toMatch(/^ws:\/\/h\/\?ticket=\d$/);
    expect(later[1]).not.toBe(later[0]);
  });

  it('17 fails in one line of the console, without a stack: code may catch its error', async () => {
    const print = vi.spyOn(console, 'error').mockReturnValue();
    onTestFinished(() => print.mockRestore());
    const { live } = liveOf({ retry: () => false }, () => {
      throw new TypeError('401 Unauthorized');
    });
    await expect(live.receive(() => {})).rejects.toThrow('401 Unauthorized');
    await pass(10);
    const line = expect.stringMatching(/^TypeError: 401 Unauthorized\. Later dials[^\n]*$/);
    expect(print.mock.calls).toEqual([[line]]);
    await live.close();
  });

  it('is called again after its error, which `retry` gets', async () => {
    const failures: unknown[] = [];
    const offline = new TypeError('Failed to fetch');
    let n = 0;
    const url = (): string => {
      if (++n === 1) throw offline;
      return 'ws://h/';
    };
    const retry = (error: unknown): void => void failures.push(error);
    const { live, sockets } = liveOf({ retry, report: () => {} }, url);
    await pass(4);
    await socketAt(sockets, 0);
    expect(failures).toEqual([offline]);
    await live.close();
  });

  it.each([
    [undefined, TypeError, 'url: expected a string or a URL, got undefined'],
    ['ftp://h', SyntaxError, 'malformed URL'],
  ])('ends with an error for the result %s', async (result, kind, words) => {
    const { live } = liveOf({ report: vi.fn() }, () => result as never);
    const { error } = await live.closed;
    expect(error).toBeInstanceOf(kind);
    expect(error?.message).toContain(words);
  });

  it('has handshakeTimeout, and its signal aborts', async () => {
    const signals: AbortSignal[] = [];
    const failed: unknown[] = [];
    const url: FreshURL = ({ signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    };
    const retry = (error: unknown): void => void failed.push(error);
    const options = { handshakeTimeout: 10, maxDelay: 1, retry, report: () => {} };
    const { live } = liveOf(options, url);
    await pass(12);
    await pass(1);
    expect(failed).toMatchObject([
      {
        code: 'WS_ERR_TIMEOUT',
        message: 'websocket: url: no result of the function after 10 ms (option handshakeTimeout)',
      },
    ]);
    expect(signals[0]!.reason).toBe(failed[0]);
    expect(signals).toHaveLength(2);
    await live.close();
    expect(signals[1]!.aborted).toBe(true);
  });
});

describe('ReconnectingConn', () => {
  it('keeps messages for the next connection and emits open and close', async () => {
    const { live, sockets } = liveOf({ onOpen: (conn) => conn.send('hello') });
    void live.receive(() => {}).catch(() => {});
    const events: unknown[] = [];
    live.on('open', (conn) => events.push(conn.state));
    live.on('close', ({ code }) => events.push(code));
    const sent = live.send('queued');
    const first = await socketAt(sockets, 0);
    first.open();
    await sent;
    expect(first.sent).toEqual(['hello', 'queued']);
    first.end(1006);
    await pass(2);
    const second = await openAt(sockets, 1);
    expect([live.state, events]).toEqual(['open', ['open', 1006, 'open']]);
    const closed = live.close();
    await pass(0);
    expect(second.closes).toEqual([[1000, '']]);
    second.end(1000);
    expect(await closed).toEqual({ unsent: [] });
  });

  it('reconnect ends a wait, and replaces the open connection at once', async () => {
    const { live, sockets } = liveOf({
      minDelay: 1_000_000,
      maxDelay: 1_000_000,
      stopCodes: [1000],
      report: () => {},
    });
    (await socketAt(sockets, 0)).end();
    await pass(0);
    const first = live.reconnect();
    (await socketAt(sockets, 1)).open();
    expect(await first).toBe(live.conn);
    const second = live.reconnect();
    expect(live.reconnect()).toBe(second);
    expect(sockets[1]!.closes).toEqual([[1000, '']]);
    (await socketAt(sockets, 2)).open();
    sockets[1]!.end(1000);
    expect(await second).toBe(live.conn);
    // The peer of this one says nothing.
    const third = live.reconnect();
    (await socketAt(sockets, 3)).open();
    await pass(999);
    expect([live.state, sockets.length]).toEqual(['connecting', 4]);
    await pass(1);
    expect(await third).toBe(live.conn);
    const closed = live.close();
    sockets[3]!.end(1000);
    await closed;
    const late = rejection(live.reconnect());
    await pass(1);
    expect(await late).toMatchObject({ code: 'WS_ERR_CLOSE_SENT' });
  });

  it('rejects a message that has waited when the socket throws, and sends the next one', async () => {
    const { live, sockets } = liveOf();
    const refused = rejection(live.send('one'));
    const sent = live.send('two');
    const socket = await socketAt(sockets, 0);
    vi.spyOn(socket, 'send').mockImplementationOnce(() => {
      throw new Error('no');
    });
    socket.open();
    expect((await refused).message).toBe('no');
    await sent;
    expect(socket.sent).toEqual(['two']);
    const closed = live.close();
    await pass(0);
    socket.end(1000);
    await closed;
  });

  it('bounds what waits', async () => {
    const { live } = liveOf({ maxQueuedBytes: 3 });
    const waits = live.send('abc');
    const refused = rejection(live.send('d'));
    await pass(0);
    expect(await refused).toMatchObject({ code: 'WS_ERR_BACKPRESSURE' });
    const { unsent } = await live.close();
    expect(unsent.map((message) => message.text())).toEqual(['abc']);
    await rejection(waits);
  });

  it('reports the errors of listeners, and those of `report`, as uncaught ones', async () => {
    const reported = stubReportError();
    const { WebSocket, sockets } = socketClass();
    const own = vi.fn(() => {
      throw new Error('of report');
    });
    const live = new ReconnectingConn('ws://h', { WebSocket, report: own });
    const other = new ReconnectingConn('ws://h', { WebSocket });
    for (const each of [live, other]) each.on('open', () => Promise.reject(new Error('mine')));
    for (const i of [0, 1]) await openAt(sockets, i);
    expect(own).toHaveBeenCalledWith(new Error('mine'), { where: 'on open' });
    expect(reported.mock.calls.flat()).toEqual(
      expect.arrayContaining([new Error('of report'), new Error('mine')]),
    );
    const ends = [live.close(), other.close()];
    for (const socket of sockets) socket.end(1000);
    await Promise.all(ends);
  });

  it('rejects close codes that browsers refuse', async () => {
    stubReportError();
    const { live } = liveOf();
    expect(await rejection(live.close(1001))).toBeInstanceOf(RangeError);
    expect(live.state).toBe('connecting');
    await live.close();
  });
});

describe('P1 a wake of the page', () => {
  type Page = ReturnType<typeof stubPage>;
  const hidden = async (page: Page, ms: number): Promise<void> => {
    page.visible('hidden');
    await pass(ms);
    page.visible('visible');
  };
  const EVENTS: [name: string, isWake: boolean, send: (page: Page) => unknown][] = [
    ['the load of the page', false, (page) => page.emit('pageshow', { persisted: false })],
    ['a switch of tabs', false, (page) => hidden(page, 1_900)],
    ['a return from the cache', true, (page) => page.emit('pageshow', { persisted: true })],
    ['a return after 2 s', true, (page) => hidden(page, 2_000)],
    [
      'a return after a sleep in which one clock stood still',
      true,
      async (page) => {
        page.visible('hidden');
        vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 60_000);
        page.visible('visible');
      },
    ],
    ['online', true, (page) => page.online()],
    ['the end of a freeze', true, (page) => page.emit('resume')],
  ];

  const setUp = (onOpen?: () => unknown) => {
    const page = stubPage();
    page.visible('visible');
    const { WebSocket, sockets } = socketClass();
    const options = { WebSocket, minDelay: 60_000, maxDelay: 60_000, onOpen, report: () => {} };
    vi.spyOn(Math, 'random').mockReturnValue(1);
    return { page, sockets, live: new ReconnectingConn('ws://h', options) };
  };

  it.each(EVENTS)('%s, during a dial of 3 s: gives it up %s', async (_, isWake, send) => {
    const { page, sockets, live } = setUp();
    await pass(3_000);
    await send(page);
    await pass(1);
    expect(sockets).toHaveLength(isWake ? 2 : 1);
    expect(sockets[0]!.closes).toHaveLength(isWake ? 1 : 0);
    await live.close();
  });

  it.each(EVENTS)(
    '%s, while onOpen runs for 3 s: never gives it up',
    async (_name, _isWake, send) => {
      let logins = 0;
      const { page, sockets, live } = setUp(() => {
        logins++;
        return new Promise((resolve) => setTimeout(resolve, 20_000));
      });
      await openAt(sockets, 0);
      await pass(3_000);
      for (let i = 0; i < 3; i++) await send(page);
      await pass(17_000);
      expect(live.state).toBe('open');
      expect([logins, sockets.length]).toEqual([1, 1]);
      const closing = live.close();
      sockets[0]!.end(1000);
      await closing;
    },
  );

  it.each(EVENTS)('%s, during a wait: ends it %s', async (_, isWake, send) => {
    const { page, sockets, live } = setUp();
    (await socketAt(sockets, 0)).end();
    await pass(3_000);
    expect(live.state).toBe('waiting');
    await send(page);
    await pass(1);
    expect(sockets).toHaveLength(isWake ? 2 : 1);
    await live.close();
  });
});
