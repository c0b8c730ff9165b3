// The option `alive` of a ReconnectingConn over many connections, and as `connect` of @ws/rpc sets it.
import { contract, event, method, stream } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { openAt, pass, stubPage } from './support.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const QUESTION = '{"jsonrpc":"2.0","id":"$/alive","method":"$/alive"}';
const names = contract({ client: { told: event({ '~standard': standard() }) } });

function standard() {
  return { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) } as const;
}

function started(options: ReconnectingConnOptions = {}) {
  const { WebSocket, sockets } = socketClass();
  const live = new ReconnectingConn('ws://h', { WebSocket, minDelay: 1, maxDelay: 2, ...options });
  const open = async (i: number): Promise<FakeWebSocket> => {
    await pass(5);
    return openAt(sockets, i);
  };
  const close = async (socket: FakeWebSocket): Promise<void> => {
    const closing = live.close();
    await pass(0);
    socket.end(1000);
    await closing;
  };
  return { live, sockets, open, close };
}

describe('connect and roomsOf', () => {
  it.each([
    ['connect', (live: ReconnectingConn) => names.connect(live, { told: () => {} })],
    ['roomsOf', (live: ReconnectingConn) => roomsOf(live)],
  ])('%s lets a page ask after 25 s, on its open connection and on later ones', async (_, use) => {
    const { live, open, close } = started();
    const first = await open(0);
    use(live);
    await pass(24_990);
    expect(first.sent).toEqual([]);
    await pass(10);
    expect(first.sent).toEqual([QUESTION]);
    first.message('{"jsonrpc":"2.0","id":"$/alive","error":{"code":-32601,"message":"no"}}');
    await pass(5_000);
    expect(live.state).toBe('open');
    await pass(25_000);
    expect(live.state).not.toBe('open');
    const second = await open(1);
    await pass(25_000);
    expect(second.sent).toEqual([QUESTION]);
    await close(second);
  });

  it('leave an option alive as it is, false too', async () => {
    for (const alive of [false, { ask: () => 'own', after: 1_000 }] as const) {
      const { live, open, close } = started({ alive });
      roomsOf(live);
      const socket = await open(0);
      await pass(1_500);
      expect(socket.sent).toEqual(alive === false ? [] : ['own']);
      socket.message('{"jsonrpc":"2.0","method":"$/other"}');
      await close(socket);
    }
  });

  it('report a server that closes on the question, once', async () => {
    const reports: string[] = [];
    const report = (error: unknown): void => void reports.push(String(error));
    const { live, open, close } = started({ report });
    roomsOf(live);
    for (let i = 0; i < 2; i++) {
      const socket = await open(i);
      const { conn } = live;
      const reading = conn!.closed;
      await pass(25_000);
      socket.end(1003, 'no text');
      expect(await reading).toMatchObject({ code: 1003 });
    }
    expect(reports).toEqual([
      expect.stringMatching(/closed with 1003 after the question .*\$\/alive.*alive: false/),
    ]);
    await close(await open(2));
  });
});

/** A function that resolves when the test says so. */
function gate<T>(value: T): { readonly wait: () => Promise<T>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<T>((resolve) => {
    open = () => resolve(value);
  });
  return { wait: () => opened, open };
}

describe('H1 connect finds a dead connection whose dial has begun', () => {
  const STATES = ['constructed', 'url', 'dialed', 'open event', 'onOpen', 'open listener', 'open'];

  it.each(STATES)('called in this state: %s', async (state) => {
    const { WebSocket, sockets } = socketClass();
    const url = gate('ws://h');
    const login = gate(undefined);
    const live = new ReconnectingConn(state === 'url' ? url.wait : 'ws://h', {
      WebSocket,
      minDelay: 1,
      maxDelay: 2,
      onOpen: state === 'onOpen' ? login.wait : undefined,
    });
    const use = (): void => void names.connect(live, { told: () => {} });
    if (state === 'constructed') use();
    if (state === 'open listener') live.on('open', use);
    await pass(1);
    if (state === 'url') {
      use();
      url.open();
      await pass(1);
    }
    const [socket] = sockets;
    if (state === 'dialed') use();
    if (state === 'open event') socket!.addEventListener('open', use);
    socket!.open();
    await pass(1);
    if (state === 'onOpen') {
      expect(live.state).toBe('connecting');
      use();
      await pass(1);
      login.open();
    }
    await pass(1);
    expect(live.state).toBe('open');
    if (state === 'open') use();
    const { conn } = live;
    await pass(30_000);
    expect(socket!.sent).toEqual([QUESTION]);
    expect(await conn!.closed).toMatchObject({ code: 1006, error: { name: 'TimeoutError' } });
    await close(live, sockets);
  });

  it('called while it waits for the next dial', async () => {
    const { live, sockets, open } = started({ minDelay: 1_000, maxDelay: 1_000 });
    (await open(0)).end(1006);
    await pass(1);
    expect(live.state).toBe('waiting');
    names.connect(live, { told: () => {} });
    await pass(1_000);
    const socket = await open(1);
    await pass(25_000);
    expect(socket.sent).toEqual([QUESTION]);
    await close(live, sockets);
  });

  it('keeps nothing of ended connections and given up dials', async () => {
    const { live, sockets, open } = started();
    names.connect(live, { told: () => {} });
    for (let i = 0; i < 3; i++) (await open(i)).end(1006);
    const last = await open(3);
    await pass(25_000);
    expect(sockets.slice(0, 3).map(({ sent }) => sent)).toEqual([[], [], []]);
    expect(last.sent).toEqual([QUESTION]);
    await close(live, sockets);
  });
});

const jobs = contract({
  server: {
    report: method({ '~standard': standard() }, { '~standard': standard() }),
    news: stream({ '~standard': standard() }, { '~standard': standard() }),
  },
});

describe('H2 M6 a question to a server that may answer in order', () => {
  /** A page with a contract. The server answers its first question with `-32601`, or with a result. */
  async function asking(answer: 'result' | 'error' | 'none') {
    const page = started();
    const peer = jobs.connect(page.live, {});
    const socket = await page.open(0);
    const reply = (id: unknown, body: object): void =>
      socket.message(JSON.stringify({ jsonrpc: '2.0', id, ...body }));
    const firstReport = peer.report('first', { timeout: false });
    const [question, request] = socket.sent;
    expect(question).toBe(QUESTION);
    expect(request).toMatch(/"id":1,"method":"report"/);
    if (answer === 'result') reply('$/alive', { result: null });
    if (answer === 'error') reply('$/alive', { error: { code: -32_601, message: 'no' } });
    firstReport.catch(() => {});
    const questions = (): number => socket.sent.filter((text) => text === QUESTION).length;
    const { conn } = page.live;
    return { ...page, peer, socket, reply, questions, firstReport, conn: conn! };
  }

  it.each(['error', 'none'] as const)(
    'waits for a call of 40 s, although the call was given up: answer %s',
    async (answer) => {
      const { live, peer, questions, reply, sockets, firstReport } = await asking(answer);
      await pass(40_000);
      expect(questions()).toBe(1);
      reply(1, { result: 'ready' });
      expect(await firstReport).toBe('ready');
      const late = peer.report('late', { timeout: 30_000 }).catch((error: unknown) => error);
      await pass(40_000);
      expect(await late).toMatchObject({ name: 'TimeoutError' });
      expect(questions()).toBe(1);
      expect(live.state).toBe('open');
      reply(2, { result: 'late' });
      // Nothing is open: it asks after 25 s.
      await pass(25_000);
      expect(questions()).toBe(2);
      await close(live, sockets);
    },
  );

  it('cuts a call of 6 min after 5 min 30 s', async () => {
    const { live, sockets, questions, conn, firstReport } = await asking('error');
    await pass(329_000);
    expect(conn.state).toBe('open');
    expect(questions()).toBe(2);
    await pass(1_000);
    expect(conn.state).toBe('closed');
    await expect(firstReport).rejects.toMatchObject({ name: 'CloseError', closeCode: 1006 });
    await close(live, sockets);
  });

  it('finds a black hole within 5 min 30 s under calls that overlap without end', async () => {
    const { live, sockets, peer, conn } = await asking('none');
    for (let i = 0; i < 32; i++) {
      peer.report(i, { timeout: 15_000 }).catch(() => {});
      await pass(10_000);
    }
    expect(conn.state).toBe('open');
    await pass(10_000);
    expect(conn.state).toBe('closed');
    await close(live, sockets);
  });

  it('waits after a wake of the page too, and later wakes move nothing', async () => {
    const page = stubPage();
    const { live, sockets, questions, conn } = await asking('error');
    for (let i = 0; i < 29; i++) {
      page.online();
      await pass(10_000);
    }
    expect(questions()).toBe(1);
    await pass(10_000);
    expect(questions()).toBe(2);
    await pass(5_000);
    expect(conn.state).toBe('closed');
    await close(live, sockets);
    vi.unstubAllGlobals();
  });

  it.each(['result', 'error'] as const)(
    'asks at once without open requests: answer %s',
    async (answer) => {
      const page = stubPage();
      const { live, sockets, questions, reply, firstReport, conn } = await asking(answer);
      reply(1, { result: 'ready' });
      await firstReport;
      page.online();
      expect(questions()).toBe(2);
      await pass(5_000);
      expect(conn.state).toBe('closed');
      await close(live, sockets);
      vi.unstubAllGlobals();
    },
  );

  it('asks in the time of today a server that has answered with a result', async () => {
    const { live, sockets, peer, socket, questions, reply, conn } = await asking('result');
    const items = peer.news('all')[Symbol.asyncIterator]();
    const next = items.next().catch((error: unknown) => error);
    // Hours with an open stream and an open call.
    for (let i = 0; i < 300; i++) {
      await pass(25_000);
      expect(questions()).toBe(i + 2);
      reply('$/alive', { result: null });
    }
    expect(socket.sent.filter((text) => text !== QUESTION)).toHaveLength(2);
    await pass(29_999);
    expect(conn.state).toBe('open');
    await pass(1);
    expect(conn.state).toBe('closed');
    expect(await next).toMatchObject({ closeCode: 1006 });
    await close(live, sockets);
  });

  it('asks first on each connection, before its first request and after no event', async () => {
    const { live, sockets, open } = started();
    const peer = jobs.connect(live, {});
    for (let i = 0; i < 3; i++) {
      const socket = await open(i);
      expect(socket.sent).toEqual([]);
      for (let n = 0; n < 2; n++) peer.report(n).catch(() => {});
      expect(socket.sent.map((text) => text === QUESTION)).toEqual([true, false, false]);
      // Answered at once on this connection says nothing about the next one.
      socket.message('{"jsonrpc":"2.0","id":"$/alive","result":null}');
      socket.end(1006);
    }
    const socket = await open(3);
    peer.report(0, { timeout: false }).catch(() => {});
    await pass(60_000);
    expect(socket.sent).toHaveLength(2);
    await close(live, sockets);
  });

  it('has twice the time after an end, also when the first question was answered', async () => {
    const { live, sockets, open } = started();
    const peer = jobs.connect(live, {});
    for (const [i, ms] of [30_000, 35_000, 45_000].entries()) {
      const socket = await open(i);
      const { conn } = live;
      peer.report(0, { timeout: false }).catch(() => {});
      socket.message('{"jsonrpc":"2.0","id":"$/alive","result":null}');
      await pass(ms - 1);
      expect(conn!.state).toBe('open');
      await pass(1);
      expect(conn!.state).toBe('closed');
    }
    await close(live, sockets);
  });
});

async function close(live: ReconnectingConn, sockets: FakeWebSocket[]): Promise<void> {
  const closing = live.close();
  await pass(0);
  for (const socket of sockets) if (socket.readyState < 3) socket.end(1000);
  await closing;
}

describe('the timeout of alive', () => {
  it('doubles after an end, so that a message of 64 s arrives', async () => {
    const { live, sockets, open, close } = started();
    roomsOf(live);
    const ends: number[] = [];
    for (let i = 0; i < 9; i++) {
      const socket = await open(i);
      const began = performance.now();
      // 8 MiB at 1 Mbit/s: no part of the message is seen before.
      const download = setTimeout(() => socket.message('{"jsonrpc":"2.0","method":"$/x"}'), 64_000);
      await pass(64_000);
      clearTimeout(download);
      if (live.conn !== undefined && sockets.length === i + 1) break;
      ends.push(performance.now() - began);
    }
    expect(ends).toHaveLength(3);
    // A message after a question: 5 s again.
    const socket = sockets.at(-1)!;
    await pass(25_000 + 5_000);
    expect(live.state).toBe('open');
    await close(socket);
  });
});
