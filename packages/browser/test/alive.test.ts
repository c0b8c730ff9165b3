import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type AliveOptions,
  type BrowserConn,
  type DialOptions,
  dial,
  ReconnectingConn,
  TimeoutError,
} from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { openAt, pass, rejection, stubPage, stubReportError } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  // First: a test replaces the fake `setTimeout`.
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const ALIVE: AliveOptions = { ask: () => 'ask', after: 20_000, timeout: 5_000 };

async function dialed(
  alive: Partial<AliveOptions> = {},
  options: DialOptions = {},
): Promise<{ conn: BrowserConn; socket: FakeWebSocket }> {
  const { WebSocket, sockets } = socketClass();
  const dialing = dial('ws://h', { WebSocket, alive: { ...ALIVE, ...alive }, ...options });
  const [socket] = sockets;
  socket!.open();
  return { conn: await dialing, socket: socket! };
}

/** Expects that `conn` ends after exactly `ms`. */
async function endsIn(conn: BrowserConn, ms: number): Promise<void> {
  await pass(ms - 1);
  expect(conn.state).toBe('open');
  await pass(1);
  expect(conn.state).toBe('closed');
}

/** A thousand bytes of what waits leave in each of these seconds. */
async function leave(socket: FakeWebSocket, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    await pass(1_000);
    socket.bufferedAmount -= 1_000;
  }
}

/** Lets the clock of the page advance, while its timers do not run. */
function freezer(): (ms: number) => void {
  const now = performance.now.bind(performance);
  let frozen = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => now() + frozen);
  return (ms) => {
    frozen += ms;
  };
}

describe('the option alive', () => {
  it('asks after a silence, and a message starts the silence again', async () => {
    const { socket } = await dialed();
    await pass(19_999);
    expect(socket.sent).toEqual([]);
    await pass(1);
    expect(socket.sent).toEqual(['ask']);
    await pass(1_000);
    socket.message('anything');
    await pass(19_999);
    expect(socket.sent).toEqual(['ask']);
    socket.message('again');
    await pass(19_999);
    expect(socket.sent).toEqual(['ask']);
    await pass(1);
    expect(socket.sent).toEqual(['ask', 'ask']);
  });

  it('ends the connection with 1006 and a TimeoutError without a message', async () => {
    const { conn, socket } = await dialed();
    const reading = rejection(conn.readMessage());
    await pass(24_999);
    expect(conn.state).toBe('open');
    await pass(1);
    const error = await reading;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({
      permanent: true,
      message: 'websocket: no message of the peer within 5000 ms of a question (option alive)',
    });
    expect(await conn.closed).toEqual({ code: 1006, reason: '', wasClean: false, error });
    const late = rejection(conn.send('late'));
    await pass(1);
    expect(await late).toBe(error);
    expect(socket.closes).toHaveLength(1);
    // The browser reports its end much later.
    socket.end(1006);
    expect(conn.state).toBe('closed');
  });

  it('has 25 s and 5 s as defaults', async () => {
    const { conn, socket } = await dialed({ after: undefined, timeout: undefined });
    await pass(25_000);
    expect(socket.sent).toEqual(['ask']);
    await pass(5_000);
    expect(conn.state).toBe('closed');
  });

  it('delivers no message for which `answer` is true', async () => {
    const { conn, socket } = await dialed({ answer: (message) => message.text() === 'yes' });
    const texts: string[] = [];
    void conn.receive((message) => void texts.push(message.text()));
    for (const text of ['a', 'yes', 'b', 'yes']) socket.message(text);
    await pass(0);
    expect(texts).toEqual(['a', 'b']);
    expect(conn.stats.messagesIn).toBe(2);
    await pass(20_000);
    socket.message('yes');
    await pass(15_000);
    expect(conn.state).toBe('open');
  });

  it('delivers every message without `answer`', async () => {
    const { conn, socket } = await dialed();
    socket.message('a');
    expect((await conn.readMessage()).text()).toBe('a');
  });

  it('sends bytes too', async () => {
    const { socket } = await dialed({ ask: () => Uint8Array.of(1) });
    await pass(20_000);
    expect(socket.sent).toEqual([Uint8Array.of(1)]);
  });

  it.each(['online', 'pageshow', 'resume', 'visible'])(
    'asks at once when the page wakes, and ends without a message: %s',
    async (event) => {
      const page = stubPage();
      const { conn, socket } = await dialed();
      if (event === 'visible') page.visible('visible');
      else page.emit(event);
      expect(socket.sent).toEqual(['ask']);
      await pass(4_999);
      expect(conn.state).toBe('open');
      await pass(1);
      // Without an answer from a hidden page the timer was on time too.
      expect((await conn.closed).error).toBeInstanceOf(TimeoutError);
      expect(page.listeners()).toBe(0);
    },
  );

  it('asks once for the events of one wake, and not when the page is hidden', async () => {
    const page = stubPage();
    const { socket } = await dialed();
    page.visible('hidden');
    expect(socket.sent).toEqual([]);
    page.emit('resume');
    page.emit('pageshow');
    page.visible('visible');
    await pass(100);
    page.online();
    expect(socket.sent).toEqual(['ask']);
    socket.message('x');
    await pass(10_000);
    page.online();
    expect(socket.sent).toEqual(['ask', 'ask']);
  });

  it('asks again at a wake, and keeps the end of the first question', async () => {
    const page = stubPage();
    const { conn, socket } = await dialed();
    await pass(24_000);
    page.online();
    expect(socket.sent).toEqual(['ask', 'ask']);
    await endsIn(conn, 1_000);
  });

  it('finds a dead connection while wakes come more often than timeout', async () => {
    const page = stubPage();
    const { conn, socket } = await dialed();
    for (let i = 0; i < 6; i++) {
      page.online();
      await pass(4_000);
    }
    expect(socket.sent).toEqual(['ask', 'ask']);
    expect((await conn.closed).error).toBeInstanceOf(TimeoutError);
  });

  it('starts the silence again with the answer to any of its questions', async () => {
    const page = stubPage();
    const { conn, socket } = await dialed();
    for (let i = 0; i < 20; i++) {
      page.online();
      await pass(4_000);
      socket.message('answer');
    }
    expect(conn.state).toBe('open');
    expect(socket.sent).toHaveLength(20);
  });

  it('asks again when the page was not running in the meantime', async () => {
    const freeze = freezer();
    const { conn, socket } = await dialed();
    await pass(20_000);
    freeze(600_000);
    await pass(5_000);
    expect(conn.state).toBe('open');
    expect(socket.sent).toEqual(['ask', 'ask']);
    socket.message('late answer');
    await pass(5_000);
    expect(conn.state).toBe('open');
    // The silence is over too: it asks after it, and then ends.
    await pass(20_000);
    expect(conn.state).toBe('closed');
  });

  it('raises no false alarm in a hidden page whose timers take a minute', async () => {
    stubPage();
    const { setTimeout: real } = globalThis;
    const minutes = ((call: () => void, ms = 0) =>
      real(call, Math.ceil(ms / 60_000) * 60_000)) as typeof setTimeout;
    vi.stubGlobal('setTimeout', minutes);
    const { conn, socket } = await dialed({ answer: () => true });
    let answered = 0;
    for (let i = 0; i < 600; i++) {
      await pass(1_000);
      if (socket.sent.length > answered) {
        answered++;
        socket.message('answer');
      }
    }
    expect(conn.state).toBe('open');
    expect(answered).toBeGreaterThan(3);
    // A peer that is gone is found there too.
    await pass(300_000);
    expect(conn.state).toBe('closed');
  });

  it('has timeout and the silence again after each fall of bufferedAmount', async () => {
    const { conn, socket } = await dialed();
    await pass(19_999);
    socket.bufferedAmount = 3_000;
    await pass(1);
    for (let i = 0; i < 3; i++) {
      await pass(4_000);
      expect(conn.state).toBe('open');
      socket.bufferedAmount -= 1_000;
    }
    // It is looked at each second: the silence is 33 s then.
    await pass(1_000);
    await endsIn(conn, 38_000);
  });

  it('adds at most a minute of silence', async () => {
    const { conn, socket } = await dialed();
    socket.blocked = true;
    void conn.send('x'.repeat(100_000));
    await leave(socket, 100);
    await pass(65_000);
    expect(conn.state).toBe('open');
    await pass(1_001);
    expect(conn.state).toBe('closed');
  });

  it('takes an answer that comes within timeout of the last byte', async () => {
    const { conn, socket } = await dialed();
    socket.bufferedAmount = 10_000;
    await pass(20_000);
    for (; socket.bufferedAmount > 0; socket.bufferedAmount -= 1_000) await pass(1_000);
    await pass(4_900);
    socket.message('answer');
    await pass(19_000);
    expect(conn.state).toBe('open');
  });

  it.each([
    ['long before the question', 0, 8_000, 30, 12_000],
    ['just before the question, after a silence', 18_000, 4_000, 34, 7_000],
    ['just after the question', 20_500, 4_000, 34, 7_000],
  ])('allows for bytes that the system took %s', async (_, before, taken, seconds, rest) => {
    const { conn, socket } = await dialed();
    await pass(before);
    socket.blocked = true;
    // The others leave at 1,000 in a second. Then those that the system took leave at that rate.
    void conn.send('x'.repeat(38_000));
    socket.bufferedAmount -= taken;
    await leave(socket, seconds);
    await pass(rest);
    expect(conn.state).toBe('open');
    socket.message('the answer, after the last byte has passed');
    socket.bufferedAmount = 0;
    await pass(19_000);
    expect(conn.state).toBe('open');
    // A dead connection ends all the same.
    await pass(7_000);
    expect(conn.state).toBe('closed');
  });

  it('ends a connection whose messages do not leave', async () => {
    const { conn, socket } = await dialed();
    socket.bufferedAmount = 10_000;
    await endsIn(conn, 25_000);
  });

  it('sees messages leave while the application sends more', async () => {
    const { conn, socket } = await dialed();
    socket.blocked = true;
    void conn.send('x'.repeat(10_000));
    for (let i = 0; i < 40; i++) {
      await pass(1_000);
      void conn.send('x'.repeat(2_000)).catch(() => {});
      socket.bufferedAmount -= 1_000;
    }
    expect(socket.sent.filter((data) => data === 'ask')).toHaveLength(1);
    expect(conn.state).toBe('open');
  });

  it('ends a dead connection although the application sends', async () => {
    const { conn } = await dialed();
    for (let i = 0; i < 25; i++) {
      expect(conn.state).toBe('open');
      void conn.send('taken by the system').catch(() => {});
      await pass(1_000);
    }
    expect(conn.state).toBe('closed');
  });

  it('ends with its connection: no timer and no listener stays', async () => {
    const page = stubPage();
    const { conn, socket } = await dialed();
    const closing = conn.close();
    page.online();
    await pass(1_000);
    expect(socket.sent).toEqual([]);
    socket.end(1000);
    await closing;
    expect(vi.getTimerCount()).toBe(0);
    expect(page.listeners()).toBe(0);
  });

  it('lets a ReconnectingConn dial again, and its reader go on', async () => {
    const { WebSocket, sockets } = socketClass();
    const live = new ReconnectingConn('ws://h', {
      WebSocket,
      minDelay: 1,
      maxDelay: 2,
      alive: { ...ALIVE, answer: (message) => message.text() === 'yes' },
      resend: { id: (data) => data as string, acknowledged: (message) => message.text() },
    });
    const texts: string[] = [];
    void live.receive((message) => void texts.push(message.text()));
    await openAt(sockets, 0);
    const sent = live.send('1');
    await pass(25_002);
    const second = await openAt(sockets, 1);
    expect(second.sent).toEqual(['1']);
    second.message('yes');
    second.message('1');
    await sent;
    await pass(0);
    expect(texts).toEqual(['1']);
    const closed = live.close();
    await pass(0);
    second.end(1000);
    await closed;
  });

  it('reports an error of its functions, and continues', async () => {
    const reported = stubReportError();
    const mine = new Error('mine');
    const throws = (): never => {
      throw mine;
    };
    const { conn, socket } = await dialed({ ask: throws, answer: throws });
    socket.message('x');
    expect((await conn.readMessage()).text()).toBe('x');
    expect(reported.mock.calls).toEqual([[mine]]);
    await pass(20_000);
    expect(reported.mock.calls).toEqual([[mine], [mine]]);
    await pass(100_000);
    expect(socket.sent).toEqual([]);
    expect(conn.state).toBe('open');
  });

  it('keeps the end of a question when `ask` throws later', async () => {
    stubReportError();
    const page = stubPage();
    let asked = 0;
    const { conn } = await dialed({
      ask() {
        if (asked++ > 0) throw new Error('later');
        return 'ask';
      },
    });
    await pass(23_000);
    page.online();
    await endsIn(conn, 2_000);
  });

  it('reports a question that is no message', async () => {
    const reported = stubReportError();
    await dialed({ ask: () => ({}) as never });
    await pass(20_000);
    expect(reported.mock.calls[0]![0]).toMatchObject({
      message: 'alive.ask: expected a string or bytes, got Object',
    });
  });

  it('reports the errors of functions that are async, which no option allows', async () => {
    const reported = stubReportError();
    const mine = new Error('mine');
    const rejects = (): never => Promise.reject(mine) as never;
    const { conn, socket } = await dialed({ ask: rejects, answer: rejects });
    socket.message('x');
    expect((await conn.readMessage()).text()).toBe('x');
    await pass(20_000);
    expect(reported.mock.calls.map(([error]) => String(error))).toEqual([
      'Error: mine',
      'TypeError: alive.ask: expected a string or bytes, got Promise',
      'Error: mine',
    ]);
  });

  it('costs no timer and no listener when it is off', async () => {
    const page = stubPage();
    const { WebSocket, sockets } = socketClass();
    const dialing = dial('ws://h', { WebSocket, handshakeTimeout: false });
    sockets[0]!.open();
    await dialing;
    expect([vi.getTimerCount(), page.listeners()]).toEqual([0, 0]);
  });

  it.each<[unknown, string]>([
    [5, 'alive: expected an object of options, got number'],
    [{}, 'alive.ask: expected a function, got undefined'],
    [{ ...ALIVE, answer: true }, 'alive.answer: expected a function, got boolean'],
    [{ ...ALIVE, after: 0 }, 'alive.after: expected a whole number from 1 to 2147483647, got 0'],
    [{ ...ALIVE, timeout: '5' }, 'alive.timeout: expected a number, got string'],
    [{ ...ALIVE, interval: 5 }, 'alive: unknown option interval; known options: ask, answer'],
  ])('rejects %j', async (alive, words) => {
    const { WebSocket, sockets } = socketClass();
    const options = { WebSocket, alive: alive as AliveOptions };
    expect((await rejection(dial('ws://h', options))).message).toContain(words);
    expect(() => new ReconnectingConn('ws://h', options)).toThrow(words);
    expect(sockets).toEqual([]);
  });
});
