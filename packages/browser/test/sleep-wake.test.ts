import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { isPending, openAt, pass, socketAt, stubPage } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** An app without the events of a page, whose dials wait for the longest time. */
function app(options: ReconnectingConnOptions = {}): {
  live: ReconnectingConn;
  sockets: FakeWebSocket[];
} {
  const { WebSocket, sockets } = socketClass();
  vi.spyOn(Math, 'random').mockReturnValue(1);
  const alive = { ask: () => 'ask' };
  const live = new ReconnectingConn('ws://h', { WebSocket, alive, report: () => {}, ...options });
  onTestFinished(async () => {
    const closed = live.close();
    for (const socket of sockets) if (socket.readyState < 3) socket.end(1000);
    await closed;
  });
  void live.receive(() => {});
  return { live, sockets };
}

describe('101.7 ReconnectingConn.wake of an app without events of a page', () => {
  it('is open again within 6 s on a dead path, also the second time', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    for (const i of [0, 1]) {
      live.sleep();
      await pass(3_600_000);
      expect(sockets[i]!.sent).toEqual([]);
      live.wake();
      expect(sockets[i]!.sent).toEqual(['ask']);
      await pass(4_999);
      expect(live.state).toBe('open');
      await pass(1_001);
      expect(sockets).toHaveLength(i + 2);
      await openAt(sockets, i + 1);
      expect(live.state).toBe('open');
    }
  });

  it('keeps a connection that answers', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    live.sleep();
    await pass(600_000);
    live.wake();
    await pass(1_000);
    sockets[0]!.message('yes');
    await pass(24_000);
    expect([sockets.length, sockets[0]!.sent]).toEqual([1, ['ask']]);
    await pass(1_000);
    expect(sockets[0]!.sent).toEqual(['ask', 'ask']);
  });

  it('asks also without sleep before', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    live.wake();
    expect(sockets[0]!.sent).toEqual(['ask']);
  });

  it('asks on a connection that onOpen prepares', async () => {
    const { live, sockets } = app({ onOpen: () => new Promise(() => {}) });
    await openAt(sockets, 0);
    live.sleep();
    await pass(30_000);
    live.wake();
    expect([sockets.length, sockets[0]!.sent]).toEqual([1, ['ask']]);
    await pass(5_000);
    expect(sockets).toHaveLength(2);
  });

  it('dials at once instead of a wait, and begins with try 1', async () => {
    const tries: number[] = [];
    const { live, sockets } = app({ retry: (_, next) => void tries.push(next.tries) });
    for (const i of [0, 1, 2]) {
      (await socketAt(sockets, i)).end();
      await pass(20_000);
    }
    sockets[3]!.end();
    await pass(1);
    expect(tries).toEqual([1, 2, 3, 4]);
    live.wake();
    await pass(0);
    expect(sockets).toHaveLength(5);
    sockets[4]!.end();
    await pass(0);
    expect(tries).toEqual([1, 2, 3, 4, 1]);
  });

  it('is no reason to skip the delay of a later break', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    live.wake();
    sockets[0]!.message('yes');
    await pass(6_000);
    sockets[0]!.end();
    await pass(1_999);
    expect(sockets).toHaveLength(1);
    await pass(1);
    expect(sockets).toHaveLength(2);
  });
});

describe('101.7 ReconnectingConn.sleep', () => {
  it('gives up a dial, and dials no more until wake', async () => {
    const { live, sockets } = app();
    live.sleep();
    await pass(600_000);
    expect([sockets.length, sockets[0]!.closes.length, live.state]).toEqual([1, 1, 'waiting']);
    live.wake();
    await pass(0);
    expect(sockets).toHaveLength(2);
  });

  it.each(['before', 'during'])('dials no more %s a wait', async (when) => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    if (when === 'before') live.sleep();
    sockets[0]!.end();
    await pass(100);
    live.sleep();
    await pass(600_000);
    expect([sockets.length, live.state]).toEqual([1, 'waiting']);
    live.wake();
    await pass(0);
    expect(sockets).toHaveLength(2);
  });

  it('asks nothing and dials nothing at the events of a page', async () => {
    const page = stubPage();
    const { live, sockets } = app();
    await openAt(sockets, 0);
    live.sleep();
    page.online();
    await pass(60_000);
    expect(sockets[0]!.sent).toEqual([]);
    sockets[0]!.end();
    await pass(0);
    page.online();
    await pass(60_000);
    expect(sockets).toHaveLength(1);
  });

  it('drops a question that waits for its answer', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    await pass(25_000);
    expect(sockets[0]!.sent).toEqual(['ask']);
    live.sleep();
    await pass(60_000);
    expect(live.state).toBe('open');
  });

  it('keeps what is sent until wake, in order, and reads on', async () => {
    const { WebSocket, sockets } = socketClass();
    const live = new ReconnectingConn('ws://h', { WebSocket });
    const messages = live[Symbol.asyncIterator]();
    const first = messages.next();
    await openAt(sockets, 0);
    live.sleep();
    const sent = live.send('one');
    void live.send('two');
    sockets[0]!.message('hello');
    expect((await first).value?.text()).toBe('hello');
    expect([await isPending(sent), sockets[0]!.sent]).toEqual([true, []]);
    live.wake();
    void live.send('three');
    await sent;
    await pass(0);
    expect(sockets[0]!.sent).toEqual(['one', 'two', 'three']);
    const closing = live.close();
    sockets[0]!.end(1000);
    await closing;
  });

  it('keeps what is sent for the next connection, if the open one ends', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    live.sleep();
    const sent = live.send('one');
    sockets[0]!.end();
    await pass(60_000);
    live.wake();
    await openAt(sockets, 1);
    await sent;
    expect(sockets[1]!.sent).toEqual(['one']);
  });

  it('ends with close, which sends what waits', async () => {
    const { live, sockets } = app();
    await openAt(sockets, 0);
    live.sleep();
    void live.send('one');
    const closing = live.close();
    await pass(0);
    expect(sockets[0]!.sent).toContain('one');
    sockets[0]!.end(1000);
    expect(await closing).toEqual({ unsent: [] });
  });

  it('ends with close without a connection, and with reconnect', async () => {
    const { live, sockets } = app();
    await socketAt(sockets, 0);
    live.sleep();
    const opened = live.reconnect();
    await openAt(sockets, 1);
    await opened;
    live.sleep();
    sockets.at(-1)!.end();
    await pass(0);
    expect(await live.close()).toEqual({ unsent: [] });
    live.wake();
    live.sleep();
    await pass(60_000);
    expect(live.state).toBe('closed');
  });
});
