// The option `alive` of a ReconnectingConn over many connections, and as `connect` of @ws/rpc sets it.
import { contract, event } from '@ws/rpc';
import { roomsOf } from '@ws/rpc/rooms';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReconnectingConn, type ReconnectingConnOptions } from '../src/index.ts';
import { type FakeWebSocket, socketClass } from './fake-web-socket.ts';
import { openAt, pass } from './support.ts';

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
