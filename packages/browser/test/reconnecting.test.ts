import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReconnectingConn, reconnecting } from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { rejection, stubReportError } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** The globals of a page that sends events. */
function stubPage(): { online(): void; visible(state: string): void; listeners(): number } {
  const page = new Map<string, Set<() => void>>();
  const add = (type: string, listener: () => void): void => {
    page.set(type, (page.get(type) ?? new Set()).add(listener));
  };
  const remove = (type: string, listener: () => void): void =>
    void page.get(type)?.delete(listener);
  const emit = (type: string): void => [...(page.get(type) ?? [])].forEach((call) => call());
  const document = {
    visibilityState: 'hidden',
    addEventListener: add,
    removeEventListener: remove,
  };
  vi.stubGlobal('addEventListener', add);
  vi.stubGlobal('removeEventListener', remove);
  vi.stubGlobal('document', document);
  return {
    online: () => emit('online'),
    visible(state) {
      document.visibilityState = state;
      emit('visibilitychange');
    },
    listeners: () => [...page.values()].reduce((sum, { size }) => sum + size, 0),
  };
}

async function socketAt(sockets: FakeWebSocket[], i: number): Promise<FakeWebSocket> {
  await vi.waitFor(() => expect(sockets.length).toBeGreaterThan(i), {
    interval: 0,
    timeout: 60_000,
  });
  return sockets[i]!;
}

describe('reconnecting', () => {
  it('dials again after an end, and stops at a stop code', async () => {
    const { WebSocket, sockets } = socketClass();
    const texts: string[] = [];
    const done = reconnecting('ws://h', { WebSocket, minDelay: 1, maxDelay: 2 }, async (conn) => {
      await conn.receive((message) => void texts.push(message.text()));
    });
    for (const [i, code] of [1006, 1000, 1008].entries()) {
      const socket = await socketAt(sockets, i);
      socket.open();
      await vi.advanceTimersByTimeAsync(0);
      socket.message(String(code));
      socket.end(code);
      await vi.advanceTimersByTimeAsync(2);
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

  it('closes with 3011 after an error of the handler', async () => {
    const { WebSocket, sockets } = socketClass();
    const failed = rejection(
      reconnecting('ws://h', { WebSocket }, () => {
        throw new Error('mine');
      }),
    );
    const socket = await socketAt(sockets, 0);
    socket.open();
    await vi.advanceTimersByTimeAsync(0);
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
    await vi.advanceTimersByTimeAsync(2);
    refuse = true;
    (await socketAt(sockets, 1)).end();
    await vi.advanceTimersByTimeAsync(2);
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
    const { WebSocket, sockets } = socketClass();
    const stop = new AbortController();
    const done = reconnecting(
      'ws://h',
      { WebSocket, minDelay: 30_000, signal: stop.signal },
      () => {},
    );
    (await socketAt(sockets, 0)).end();
    await vi.advanceTimersByTimeAsync(0);
    page.online();
    (await socketAt(sockets, 1)).end();
    await vi.advanceTimersByTimeAsync(0);
    page.visible('hidden');
    await vi.advanceTimersByTimeAsync(0);
    expect(sockets).toHaveLength(2);
    page.visible('visible');
    const socket = await socketAt(sockets, 2);
    socket.open();
    await vi.advanceTimersByTimeAsync(0);
    page.online();
    expect(sockets).toHaveLength(3);
    stop.abort();
    socket.end(1000);
    await done;
    expect(page.listeners()).toBe(0);
  });

  it('dials at once when the connection ends right after the page has woken', async () => {
    const page = stubPage();
    const { WebSocket, sockets } = socketClass();
    const stop = new AbortController();
    const options = { WebSocket, minDelay: 30_000, signal: stop.signal };
    const done = reconnecting('ws://h', options, () => {});
    const frozen = await socketAt(sockets, 0);
    frozen.open();
    await vi.advanceTimersByTimeAsync(0);
    page.visible('visible');
    await vi.advanceTimersByTimeAsync(10);
    frozen.end(1006);
    await vi.advanceTimersByTimeAsync(0);
    expect(sockets).toHaveLength(2);
    // Once: the failure of that dial is followed by a wait.
    sockets[1]!.end(1006);
    await vi.advanceTimersByTimeAsync(10);
    expect(sockets).toHaveLength(2);
    stop.abort();
    await done;
    expect(page.listeners()).toBe(0);
  });

  it('waits when the connection ends long after the page has woken', async () => {
    const page = stubPage();
    vi.spyOn(Math, 'random').mockReturnValueOnce(1);
    const { WebSocket, sockets } = socketClass();
    const stop = new AbortController();
    const options = { WebSocket, minDelay: 30_000, signal: stop.signal };
    const done = reconnecting('ws://h', options, () => {});
    (await socketAt(sockets, 0)).open();
    await vi.advanceTimersByTimeAsync(0);
    page.online();
    await vi.advanceTimersByTimeAsync(5_000);
    sockets[0]!.end(1006);
    await vi.advanceTimersByTimeAsync(10);
    expect(sockets).toHaveLength(1);
    stop.abort();
    await done;
  });
});

describe('ReconnectingConn', () => {
  it('keeps messages for the next connection and emits open and close', async () => {
    const { WebSocket, sockets } = socketClass();
    const live = new ReconnectingConn('ws://h', {
      WebSocket,
      minDelay: 1,
      maxDelay: 2,
      onOpen: (conn) => conn.send('hello'),
    });
    const events: unknown[] = [];
    live.on('open', (conn) => events.push(conn.state));
    live.on('close', ({ code }) => events.push(code));
    const sent = live.send('queued');
    const first = await socketAt(sockets, 0);
    first.open();
    await sent;
    expect(first.sent).toEqual(['hello', 'queued']);
    first.end(1006);
    await vi.advanceTimersByTimeAsync(2);
    const second = await socketAt(sockets, 1);
    second.open();
    await vi.advanceTimersByTimeAsync(0);
    expect([live.state, events]).toEqual(['open', ['open', 1006, 'open']]);
    const closed = live.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(second.closes).toEqual([[1000, '']]);
    second.end(1000);
    expect(await closed).toEqual({ unsent: [] });
  });

  it('bounds what waits', async () => {
    const { WebSocket } = socketClass();
    const live = new ReconnectingConn('ws://h', { WebSocket, maxQueuedBytes: 3 });
    const waits = live.send('abc');
    const refused = rejection(live.send('d'));
    await vi.advanceTimersByTimeAsync(0);
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
    for (const i of [0, 1]) (await socketAt(sockets, i)).open();
    await vi.advanceTimersByTimeAsync(0);
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
    const { WebSocket } = socketClass();
    const live = new ReconnectingConn('ws://h', { WebSocket });
    expect(await rejection(live.close(1001))).toBeInstanceOf(RangeError);
    expect(live.state).toBe('connecting');
    await live.close();
  });
});
